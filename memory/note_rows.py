"""Reading the notes in SQLite: where they stand, by id or number, by filter, page by page."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from memory.database import Database
from memory.filters import Query, cells
from memory.note import Note, Vectors, digest

T = TypeVar("T")
Fids = npt.NDArray[np.int64]

PAGE = 10_000
"""Rows read in one go; at 384 numbers a vector that is 20 MB."""
_BOUND = 500
"""Ids bound in one statement."""
_COLUMNS = "fid, id, text, metadata, sha256, vector"


@dataclass(frozen=True)
class State:
    """Where the notes stand, read within one transaction."""

    generation: int
    """Number of the last change."""
    floor: int
    """What was removed is known from this generation on; an index older than it starts anew."""
    last_fid: int
    fingerprint: str
    """Of the embedder, as stored; empty until one is known."""
    snapshot: str
    """Of the index, as stored; empty if there is none."""


class NoteRows:
    """Reads rows; each method sees one state, that of the caller's transaction if there is one."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Raises: see `Database`."""
        self.database = Database(folder, read_only=read_only)
        self.reading = self.database.reading
        self.writing = self.database.writing

    def state(self) -> State:
        """Where the notes stand now."""
        with self.reading() as db:
            meta = dict(db.execute("select key, value from meta"))
        return State(
            generation=meta["generation"],
            floor=meta["floor"],
            last_fid=meta["last_fid"],
            fingerprint=meta["fingerprint"],
            snapshot=meta["snapshot"],
        )

    def by_ids(self, ids: Sequence[str]) -> list[Note]:
        """The notes with these ids, those that are there, in the order asked for."""
        found: dict[str, Note] = {}
        with self.reading() as db:
            for some in portions(list(dict.fromkeys(ids))):
                sql = f"select {_COLUMNS} from notes where id in ({marks(some)})"
                found.update((note.id, note) for note in map(_note, db.execute(sql, some)))
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def by_fids(self, fids: Sequence[int]) -> dict[int, Note]:
        """The notes with these fids, those that are there."""
        found: dict[int, Note] = {}
        with self.reading() as db:
            for some in portions(fids):
                sql = f"select {_COLUMNS} from notes where fid in ({marks(some)})"
                found.update((note.fid, note) for note in map(_note, db.execute(sql, some)))
        return found

    def matching(self, query: Query | None) -> Fids:
        """The fids that pass a filter, ascending."""
        sql, values = (query.sql, query.values) if query else ("select fid from notes", ())
        with self.reading() as db:
            # One long text is read in a fifth of the time of a row for each fid.
            listed = db.execute(f"select group_concat(fid) from ({sql})", values).fetchone()[0]
        if not listed:
            return np.zeros(0, np.int64)
        fids = np.fromstring(listed, dtype=np.int64, sep=",")
        fids.sort()
        return fids

    def count(self, query: Query | None = None) -> int:
        """How many notes pass a filter."""
        sql, values = (query.sql, query.values) if query else ("select fid from notes", ())
        with self.reading() as db:
            return int(db.execute(f"select count(*) from ({sql})", values).fetchone()[0])

    def page(self, query: Query | None, after: int, limit: int = 500) -> list[Note]:
        """Up to `limit` notes with fids above `after` that pass a filter, by fid."""
        values: tuple[Any, ...] = (after, limit)
        among = ""
        if query:
            among, values = f" and fid in ({query.sql})", (after, *query.values, limit)
        sql = f"select {_COLUMNS} from notes where fid > ?{among} order by fid limit ?"
        with self.reading() as db:
            return [_note(row) for row in db.execute(sql, values)]

    def vectors_after(self, fid: int, dimension: int) -> tuple[Fids, Vectors]:
        """A page of fids above this one and their vectors, by fid."""
        with self.reading() as db:
            rows = db.execute(
                "select fid, vector from notes where fid > ? order by fid limit ?", (fid, PAGE)
            ).fetchall()
        width = 4 * dimension
        # A damaged row still counts; no search gives it back.
        rows = [(fid, blob if len(blob) == width else bytes(width)) for fid, blob in rows]
        fids = np.fromiter((fid for fid, _ in rows), np.int64, len(rows))
        flat = np.frombuffer(b"".join(blob for _, blob in rows), np.float32)
        return fids, flat.reshape(len(rows), dimension)

    def removed_after(self, generation: int) -> Fids:
        """The fids that went after this generation."""
        with self.reading() as db:
            rows = db.execute("select fid from removed where generation > ?", (generation,))
            return np.fromiter((fid for (fid,) in rows), np.int64)

    def damage(self) -> Iterator[str]:
        """What is wrong with the rows, each in a sentence; reads all of them."""
        with self.reading() as db:
            for (said,) in db.execute("pragma integrity_check(20)"):
                if said != "ok":
                    yield f"notes.sqlite: {said}"
            expected = 0
            for row in db.execute(f"select {_COLUMNS} from notes"):
                note = _note(row)
                if not note.is_intact:
                    yield f"note {note.id!r}: its row is not what was written"
                    continue
                for key, value in cells(note.metadata):
                    expected += 1
                    sql = "select 1 from note_keys where key = ? and value = ? and fid = ?"
                    if db.execute(sql, (key, value, note.fid)).fetchone() is None:
                        yield f"note {note.id!r}: filters do not find its {key!r}"
            total = db.execute("select count(*) from note_keys").fetchone()[0]
            if total > expected:
                yield f"{total - expected} filter entries belong to no note"

    def close(self) -> None:
        self.database.close()


def _note(row: tuple[Any, ...]) -> Note:
    fid, id, text, meta, sha256, blob = row
    is_intact = digest(id, text, meta, blob) == sha256
    metadata: dict[str, Any] = {}
    if is_intact or meta.startswith("{"):
        try:
            metadata = json.loads(meta)
        except ValueError:
            is_intact = False
    vector = np.frombuffer(blob[: len(blob) // 4 * 4], np.float32)
    return Note(fid, id, text, metadata, vector, is_intact)


def portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _BOUND):
        yield values[start : start + _BOUND]


def marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
