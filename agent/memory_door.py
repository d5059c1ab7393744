"""Opens the long-term memory for a command, and moves notes in and out of it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from agent.errors import UsageError
from agent.run_notes import FOLDER, RunNotes
from agent.settings import Settings
from agent.state import RunState
from memory.community import import_community
from memory.embedding import loads
from memory.errors import BadNote
from memory.note import checked_id, checked_metadata, checked_text
from memory.notebook import LAST_TIME, Kind, Notebook, Origin, Trust
from memory.notes import NoteStore
from memory.store import FaissMemory
from models.digest import Progress
from models.fingerprint import Fingerprint
from models.hashing import HashingEmbedder

BATCH = 256
"""Lines of a file that are embedded and stored at once."""
FOREIGN = {"origin": "document", "trust": "untrusted"}
"""What an imported note is, whatever it says of itself."""
PASSAGE = {"kind": "chunk", **FOREIGN}
_WORDS = {"kind": get_args(Kind), "origin": get_args(Origin), "trust": get_args(Trust)}
"""Facts that are one of a few words."""
_NUMBERS = ("created", "uses", "helped", "failed")


@dataclass(frozen=True)
class Line:
    """A note in an export, checked."""

    id: str | None
    text: str
    metadata: dict[str, Any]


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
        memory.add_texts(["An example."], [PASSAGE])
        yield RunNotes(Notebook(memory), RunState("none"), goal="", may_write=True)


def as_line(note: Document) -> dict[str, Any]:
    """A note as a line of an export."""
    return {"id": note.id, "text": note.page_content, "metadata": note.metadata}


def import_notes(source: Path, memory: FaissMemory, *, own: bool = False) -> tuple[int, int]:
    """Take in an export (JSONL), or a folder that LangChain's FAISS store saved.

    What a file says of itself is not believed: its notes are untrusted and of a document, those of
    a folder are passages, and no trusted note that is in memory already is replaced. Lines are
    stored in batches: before a broken one all is kept, and doing it again is no harm.

    Args:
        own: the export is the person's own: its notes are again what they were.

    Returns:
        How many notes were taken in, and how many were left since a trusted one has their id.

    Raises:
        UsageError: a line is no note.
        BadImport: the folder holds something else.
        StoreError: the memory cannot take it.
    """
    if source.is_dir():
        return len(import_community(source, memory, facts=PASSAGE)), 0
    count = left = 0
    for batch in _batches(_lines(source)):
        kept = batch if own else [line for line in batch if not _is_trusted(line, memory)]
        memory.add_texts(
            [line.text for line in kept],
            [line.metadata if own else {**line.metadata, **FOREIGN} for line in kept],
            ids=[line.id for line in kept],
        )
        count += len(kept)
        left += len(batch) - len(kept)
    return count, left


def _lines(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if text.strip():
                yield _line(text, f"{path}:{number}")


def _line(text: bytes, where: str) -> Line:
    """Raises:
    UsageError: it is no note, or says of itself what no note can be.
    """
    try:
        said = json.loads(text.decode())
        if not isinstance(said, dict) or not isinstance(said.get("metadata") or {}, dict):
            raise BadNote(f'{where}: no note; a line is {{"text": ..., "metadata": {{...}}}}')
        id, metadata = said.get("id"), {**PASSAGE, **(said.get("metadata") or {})}
        checked_metadata(metadata, where)
        _check_facts(metadata, where)
        return Line(
            None if id is None else checked_id(id, where),
            checked_text(said.get("text"), where),
            metadata,
        )
    except BadNote as error:
        raise UsageError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: no JSON in UTF-8: {str(error)[:100]}") from None


def _check_facts(metadata: dict[str, Any], where: str) -> None:
    for name, words in _WORDS.items():
        if metadata[name] not in words:
            raise BadNote(f"{where}: `{name}` is one of {', '.join(words)}, not {metadata[name]!r}")
    if metadata["kind"] == "chunk":
        return  # what else a passage says is for those who filter
    for name in _NUMBERS:
        value = metadata.get(name, 0)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 <= value <= LAST_TIME):
            raise BadNote(f"{where}: `{name}` is a number from 0 to {LAST_TIME}, not {value!r}")


def _is_trusted(line: Line, memory: FaissMemory) -> bool:
    """Whether the line would replace a note that is trusted."""
    found = memory.get_by_ids([line.id]) if line.id else []
    return any(note.metadata.get("trust") == "trusted" for note in found)


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
