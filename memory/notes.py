"""The notes in SQLite: the truth that everything else in a memory's folder is computed from.

Each transaction that changes notes has a number, its generation. A note that is changed gets a new
fid, except where only its metadata change. Readers ask what came and went since a generation.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
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


class NoteStore:
    """Reads and writes rows; each method runs in the caller's transaction or in its own."""

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

    def set(self, **values: int | str) -> None:
        """Change facts about the whole; does not count as a change of notes."""
        with self.transaction() as db:
            db.executemany(
                "update meta set value = ? where key = ?",
                [(value, key) for key, value in values.items()],
            )

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """The writing transaction that is open, or a new one."""
        db = self.database.connection
        return self.reading() if db.in_transaction else self.writing()

    def put(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        metadatas: Sequence[str],
        vectors: Vectors,
        *,
        all_new: bool = False,
    ) -> tuple[Fids, Fids]:
        """Write notes, replacing those with the same id, and count one generation.

        All values have passed the checks in `note.py`; metadata is JSON text; ids are distinct.

        Args:
            all_new: no id is there yet, as with those that were just made up.

        Returns:
            The fids of the notes, and those of the ones that were replaced.
        """
        with self.transaction() as db:
            generation, last = self._next(db)
            gone = [] if all_new else self._drop(db, ids, generation)
            fids = range(last + 1, last + 1 + len(ids))
            blobs = [row.tobytes() for row in vectors]
            rows = zip(fids, ids, texts, metadatas, blobs, strict=True)
            db.executemany(
                "insert into notes (fid, id, text, metadata, sha256, generation, vector)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                (
                    (fid, id, text, meta, digest(id, text, meta, blob), generation, blob)
                    for fid, id, text, meta, blob in rows
                ),
            )
            keys = (
                (key, value, fid)
                for fid, meta in zip(fids, metadatas, strict=True)
                for key, value in cells(json.loads(meta))
            )
            db.executemany("insert into note_keys values (?, ?, ?)", sorted(keys, key=_by_key))
            self.set(generation=generation, last_fid=last + len(ids))
        return np.array(fids, np.int64), np.array(gone, np.int64)

    def remove(self, ids: Iterable[str]) -> Fids:
        """Delete the notes that are there; the fids that went. Nothing there: no new generation."""
        with self.transaction() as db:
            generation, _ = self._next(db)
            gone = self._drop(db, list(dict.fromkeys(ids)), generation)
            if gone:
                self.set(generation=generation)
        return np.array(gone, np.int64)

    def change_metadata(self, changed: Mapping[str, str]) -> int:
        """Give notes other metadata (JSON text by id), nothing else; how many there were."""
        count = 0
        with self.transaction() as db:
            generation, _ = self._next(db)
            for id, meta in changed.items():
                row = db.execute(
                    "select fid, text, metadata, vector from notes where id = ?", (id,)
                ).fetchone()
                if row is None:
                    continue
                fid, text, before, blob = row
                db.executemany(
                    "delete from note_keys where key=? and value=? and fid=?",
                    [(*pair, fid) for pair in cells(json.loads(before))],
                )
                db.executemany(
                    "insert into note_keys values (?, ?, ?)",
                    [(*pair, fid) for pair in cells(json.loads(meta))],
                )
                db.execute(
                    "update notes set metadata = ?, sha256 = ?, generation = ? where fid = ?",
                    (meta, digest(id, text, meta, blob), generation, fid),
                )
                count += 1
            if count:
                self.set(generation=generation)
        return count

    def _next(self, db: sqlite3.Connection) -> tuple[int, int]:
        meta = dict(
            db.execute("select key, value from meta where key in ('generation', 'last_fid')")
        )
        return meta["generation"] + 1, meta["last_fid"]

    def _drop(self, db: sqlite3.Connection, ids: Sequence[str], generation: int) -> list[int]:
        gone: list[int] = []
        for some in _portions(ids):
            rows = db.execute(
                f"select fid, metadata from notes where id in ({_marks(some)})", some
            ).fetchall()
            gone.extend(fid for fid, _ in rows)
            db.executemany(
                "delete from note_keys where key = ? and value = ? and fid = ?",
                [(*pair, fid) for fid, meta in rows for pair in cells(json.loads(meta))],
            )
        db.executemany("delete from notes where fid = ?", [(fid,) for fid in gone])
        db.executemany("insert into removed values (?, ?)", [(generation, fid) for fid in gone])
        return gone

    def by_ids(self, ids: Sequence[str]) -> list[Note]:
        """The notes with these ids, those that are there, in the order asked for."""
        found: dict[str, Note] = {}
        with self.reading() as db:
            for some in _portions(list(dict.fromkeys(ids))):
                sql = f"select {_COLUMNS} from notes where id in ({_marks(some)})"
                found.update((note.id, note) for note in map(_note, db.execute(sql, some)))
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def by_fids(self, fids: Sequence[int]) -> dict[int, Note]:
        """The notes with these fids, those that are there."""
        found: dict[int, Note] = {}
        with self.reading() as db:
            for some in _portions(fids):
                sql = f"select {_COLUMNS} from notes where fid in ({_marks(some)})"
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

    def compact(self) -> None:
        """Forget what was removed (indexes from before start anew) and give unused room back."""
        with self.writing() as db:
            state = self.state()
            db.execute("delete from removed")
            self.set(generation=state.generation + 1, floor=state.generation + 1)
        self.database.vacuum()

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


def _by_key(row: Any) -> tuple[str, int]:
    """Neighbours in the table one after the other; values of several kinds do not compare."""
    return row[0], row[2]


def _portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _BOUND):
        yield values[start : start + _BOUND]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
