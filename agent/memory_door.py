"""Opens the long-term memory for a command, and moves notes in and out of it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from agent.errors import UsageError
from agent.run_notes import FOLDER, RunNotes
from agent.settings import Settings
from agent.state import RunState
from memory.community import import_community
from memory.embedding import loads
from memory.notebook import Notebook
from memory.notes import NoteStore
from memory.store import FaissMemory
from models.digest import Progress
from models.fingerprint import Fingerprint
from models.hashing import HashingEmbedder

BATCH = 256
"""Lines of a file that are embedded and stored at once."""
FACTS = {"kind": "chunk", "origin": "document", "trust": "untrusted", "source": "", "run": ""}
"""What an imported note is where it does not say."""


class StoredEmbedder(Embeddings):
    """Stands for the embedder that made the stored vectors where none has to be made."""

    def __init__(self, fingerprint: Fingerprint) -> None:
        self.fingerprint = fingerprint

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError("this command makes no vectors")

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError("this command makes no vectors")


def open_memory(settings: Settings, *, progress: Progress | None = None) -> FaissMemory:
    """The memory with the settings' embedder, to add and to search.

    Raises:
        ModelUnavailable: there is no such embedder.
        StoreError: the memory cannot be opened.
    """
    return FaissMemory(settings.home / FOLDER, embedder(settings, progress))


def embedder(settings: Settings, progress: Progress | None = None) -> Embeddings:
    """What the settings name to make vectors."""
    from models.embedder import load_embedder

    return load_embedder(
        settings.embedder, settings.home, device=settings.device, progress=progress
    )


def open_stored(settings: Settings) -> FaissMemory:
    """The memory as it is, without loading an embedder: to list, count, delete and verify.

    Raises:
        UsageError: there is no memory yet.
        StoreError: the memory cannot be opened.
    """
    folder = settings.home / FOLDER
    if not FaissMemory.exists(folder):
        raise UsageError('there is no memory yet; begin one: tuneward memory add "TEXT"')
    notes = NoteStore(folder, read_only=True)
    try:
        stored = notes.state().fingerprint
    finally:
        notes.close()
    return FaissMemory(folder, StoredEmbedder(loads(stored)))


@contextmanager
def shown_notes() -> Iterator[RunNotes]:
    """A memory of one made-up passage, so that the tools of the memory can be shown and tested."""
    with (
        TemporaryDirectory() as folder,
        FaissMemory(Path(folder), HashingEmbedder()) as memory,
    ):
        memory.add_texts(["An example."], [FACTS])
        yield RunNotes(Notebook(memory), RunState("none"), goal="", may_write=True)


def as_line(note: Document) -> dict[str, Any]:
    """A note as a line of an export."""
    return {"id": note.id, "text": note.page_content, "metadata": note.metadata}


def import_notes(source: Path, memory: FaissMemory) -> int:
    """Take in an export (JSONL), or a folder that LangChain's FAISS store saved; how many notes.

    Lines are stored in batches: before a broken one all is kept, and doing it again is no harm.

    Raises:
        UsageError: a line is no note.
        BadImport: the folder holds something else.
        StoreError: the memory cannot take it.
    """
    if source.is_dir():
        ids = import_community(source, memory)
        memory.update_metadata(
            {
                str(note.id): {key: FACTS[key] for key in FACTS.keys() - note.metadata.keys()}
                for note in memory.get_by_ids(ids)
            }
        )
        return len(ids)
    count = 0
    for batch in _batches(_lines(source)):
        memory.add_texts(
            [line["text"] for line in batch],
            [{**FACTS, **line["metadata"]} for line in batch],
            ids=[line["id"] for line in batch],
        )
        count += len(batch)
    return count


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
                made = {
                    "id": line.get("id"),
                    "text": line["text"],
                    "metadata": dict(line.get("metadata") or {}),
                }
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UsageError(
                    f'{path}:{number}: no note: {error}; a line is {{"text": ..., "metadata": ...}}'
                ) from None
            yield made


def _batches(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
