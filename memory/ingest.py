"""Takes documents into memory as chunks, again only what changed, and drops what is gone.

    report = ingest(["docs", "handbook.pdf"], memory, root=Path.cwd(), read=sections_of)

A chunk's id comes from its source and text, so a changed file costs an embedding only for the
passages that are new. A file counts as taken in when all its chunks of its present hash are there:
a run that is killed on the way leaves whole chunks, and the next one mends the rest.

Covered: broken, huge and binary files; one never stops the others. Not covered: a file that is
changed while it is read (the next run sees it); two runs at once over the same files (the next run
mends what they leave).
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from langchain_core.documents import Document

from memory.chunks import CUTTER, Chunk, NoText, Section, cut
from memory.sources import find_sources, is_below, is_gone, source_of

MAX_BYTES = 64 << 20
"""A larger file is refused before it is read; as text it would be some 100,000 chunks."""

TOGETHER = 128
"""Once so many new chunks of small files are collected, they go to memory at once."""
CALL = 1_024
"""Chunks of a large file that are embedded and stored in one go; a killed run keeps these."""

Read = Callable[[str, bytes], Iterable[Section]]
"""From a file's name and bytes to its text; raises NoText for a file without text."""


class Passages(Protocol):
    """What is asked of the memory; `FaissMemory` has it."""

    def add_documents(self, documents: list[Document], *, ids: list[str]) -> list[str]: ...
    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> int: ...
    def delete(self, ids: Sequence[str] | None = None) -> bool | None: ...
    def scan(self, filter: Mapping[str, Any] | None = None) -> Iterator[Document]: ...


@dataclass
class IngestReport:
    """What became of each source, which is the whole path of a file."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Were in memory and are gone."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why it could not be read; what memory had of it before is kept."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Found in a folder and of no use: pictures, programs, empty files."""
    unplaced: list[str] = field(default_factory=list)
    """Relative sources of an earlier version that may be these files, or those of another folder.
    They are left as they are."""
    chunks_added: int = 0
    chunks_removed: int = 0


@dataclass
class _Held:
    """What memory has of one source."""

    chunks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Id to metadata."""

    def is_whole(self, sha256: str) -> bool:
        wanted = {"sha256": sha256, "cutter": CUTTER, "chunks": len(self.chunks)}
        return bool(self.chunks) and all(
            wanted.items() <= metadata.items() for metadata in self.chunks.values()
        )


@dataclass
class _Changes:
    """What is to be done to memory; of several small files at once, since that is far quicker."""

    new: dict[str, Document] = field(default_factory=dict)
    kept: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    def make(self, memory: Passages) -> None:
        """Add first and delete last, so that a passage that stays is there at every moment."""
        ids = list(self.new)
        for start in range(0, len(ids), CALL):
            some = ids[start : start + CALL]
            memory.add_documents([self.new[id] for id in some], ids=some)
        if self.kept:
            memory.update_metadata(self.kept)
        if self.gone:
            memory.delete(self.gone)


def ingest(
    paths: Iterable[str | Path],
    memory: Passages,
    *,
    root: Path,
    read: Read,
    progress: Callable[[str, int, int], None] | None = None,
) -> IngestReport:
    """Take files, and all files in folders, into memory.

    Args:
        paths: relative ones are taken from `root`. One that is gone is removed from memory.
            Files that were named once stay, though hidden or linked, when their folder is named.
        read: gives the text of a file.
        progress: called with a source, how many are done, and how many there are.

    Raises:
        StoreError: the memory cannot take it; what was taken in before that stays.
    """
    found = find_sources(paths, root)
    report = IngestReport(failed=found.failed)
    held, unplaced = _held(memory, found.asked)
    here = source_of(".", root)
    report.unplaced = [name for name in unplaced if is_below(f"{here}/{name}", found.asked)]
    changes = _Changes()
    for number, (source, path) in enumerate(found.files.items()):
        if progress is not None:
            progress(source, number, len(found.files))
        had = held.get(source, _Held())
        try:
            _compare(source, path, had, read, changes, report)
        except NoText as reason:
            told = report.failed if source in found.named else report.skipped
            told[source] = str(reason)
            _drop(had, changes, report)
        except Exception as error:  # the libraries that parse files raise anything
            report.failed[source] = str(error) or type(error).__name__
        if len(changes.new) >= TOGETHER:
            changes.make(memory)
            changes = _Changes()
    for source in sorted(held.keys() - found.files.keys()):
        if not is_below(source, found.failed) and is_gone(source):
            _drop(held[source], changes, report)
            report.removed.append(source)
    changes.make(memory)
    for source in found.missing:
        if not any(is_below(gone, [source]) for gone in report.removed):
            report.failed[source] = "there is no such file or folder"
    return report


def _compare(
    source: str, path: Path, had: _Held, read: Read, changes: _Changes, report: IngestReport
) -> None:
    """Find out what brings memory up to date with one file."""
    data = _bytes(path)
    sha256 = hashlib.sha256(data).hexdigest()
    if had.is_whole(sha256):
        report.unchanged.append(source)
        return
    chunks = [chunk for section in read(source, data) for chunk in cut(section)]
    if not chunks:
        raise NoText("it has no text")
    documents = _documents(source, sha256, chunks)
    for id, document in documents.items():
        if id not in had.chunks:
            changes.new[id] = document
            report.chunks_added += 1
        else:
            created = had.chunks[id].get("created")
            changes.kept[id] = {**document.metadata, "created": created}
    gone = [id for id in had.chunks if id not in documents]
    changes.gone += gone
    report.chunks_removed += len(gone)
    (report.changed if had.chunks else report.added).append(source)


def _documents(source: str, sha256: str, chunks: Sequence[Chunk]) -> dict[str, Document]:
    """The chunks by id, in order; the same text twice in a file has two ids."""
    documents: dict[str, Document] = {}
    times: dict[str, int] = {}
    now = time.time()
    for chunk in chunks:
        text = chunk.text.encode("utf-8", "replace").decode()  # half characters cannot be kept
        times[text] = again = times.get(text, 0) + 1
        hashed = hashlib.sha256(f"{source}\0{again}\0{text}".encode())
        metadata = {
            "kind": "chunk",
            "origin": "document",
            "trust": "untrusted",
            "source": source,
            "position": chunk.position,
            "sha256": sha256,
            "cutter": CUTTER,
            "chunks": len(chunks),
            "created": now,
        }
        documents[f"chunk-{hashed.hexdigest()[:32]}"] = Document(text, metadata=metadata)
    return documents


def _drop(had: _Held, changes: _Changes, report: IngestReport) -> None:
    changes.gone += had.chunks
    report.chunks_removed += len(had.chunks)


def _held(memory: Passages, below: Sequence[str]) -> tuple[dict[str, _Held], list[str]]:
    """What memory has of the sources at or below these, and the relative sources of documents."""
    held: dict[str, _Held] = {}
    relative: set[str] = set()
    for document in memory.scan({"kind": "chunk"}):
        source = document.metadata.get("source")
        if not isinstance(source, str) or document.id is None:
            continue
        if is_below(source, below):
            held.setdefault(source, _Held()).chunks[document.id] = document.metadata
        elif not source.startswith("/") and "cutter" in document.metadata:
            relative.add(source)
    return held, sorted(relative)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        if facts.st_size > MAX_BYTES:
            raise ValueError(f"it has {facts.st_size:,} bytes; at most {MAX_BYTES:,} are read")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has grown beyond {MAX_BYTES:,} bytes, the most that are read")
    return data
