"""Reading the notes in SQLite: where they stand, by id or number, by filter, page by page."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
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
COLUMNS = "fid, id, text, metadata, sha256, vector"
"""What `note_of` takes."""
ID = "cast(? as text)"
"""Stands for an id in SQL."""
_log = logging.getLogger(__name__)


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
                sql = f"select {COLUMNS} from notes where id in ({marks(some, ID)})"
                rows = db.execute(sql, [id_bytes(id) for id in some])
                found.update((note.id, note) for note in map(note_of, rows))
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    def by_fids(self, fids: Sequence[int]) -> dict[int, Note]:
        """The notes with these fids, those that are there."""
        found: dict[int, Note] = {}
        with self.reading() as db:
            for some in portions(fids):
                sql = f"select {COLUMNS} from notes where fid in ({marks(some)})"
                found.update((note.fid, note) for note in map(note_of, db.execute(sql, some)))
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
        sql = f"select {COLUMNS} from notes where fid > ?{among} order by fid limit ?"
        with self.reading() as db:
            return [note_of(row) for row in db.execute(sql, values)]

    def ids_beginning(self, beginning: str, limit: int) -> list[str]:
        """Up to `limit` ids that begin so, in their order; one that is just this comes first."""
        sql = f"select id from notes where id >= {ID} order by id limit ?"
        with self.reading() as db:
            found = [id for (id,) in db.execute(sql, (id_bytes(beginning), limit))]
        return [id for id in found if id.startswith(beginning)]

    def neighbours(self, id: str) -> list[str]:
        """The ids just before and just after this one, those that are there."""
        sql = (
            f"select * from (select id from notes where id < {ID} order by id desc limit 1)"
            f" union all select * from (select id from notes where id > {ID} order by id limit 1)"
        )
        with self.reading() as db:
            return [found for (found,) in db.execute(sql, [id_bytes(id)] * 2)]

    def vectors_after(self, fid: int, dimension: int) -> tuple[Fids, Vectors]:
        """A page of fids above this one and their vectors, by fid."""
        with self.reading() as db:
            rows = db.execute(
                "select fid, vector from notes where fid > ? order by fid limit ?", (fid, PAGE)
            ).fetchall()
        width = 4 * dimension
        # A damaged row still counts; no search gives it back.
        rows = [
            (fid, blob if isinstance(blob, bytes) and len(blob) == width else bytes(width))
            for fid, blob in rows
        ]
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
            damaged = []
            for row in db.execute(f"select {COLUMNS} from notes"):
                note = note_of(row)
                if not note.is_intact:
                    damaged.append(note.fid)
                    yield f"note {note.id!r}: its row is not what was written"
                    continue
                for key, value in cells(note.metadata):
                    expected += 1
                    sql = "select 1 from note_keys where key = ? and value = ? and fid = ?"
                    if db.execute(sql, (key, value, note.fid)).fetchone() is None:
                        yield f"note {note.id!r}: filters do not find its {key!r}"
            sql = "select count(*) from note_keys where fid not in (select value from json_each(?))"
            total = db.execute(sql, (json.dumps(damaged),)).fetchone()[0]
            if total > expected:
                yield f"{total - expected} filter entries belong to no note"

    def close(self) -> None:
        self.database.close()


def note_of(row: tuple[Any, ...]) -> Note:
    """A row as a note; one that is damaged has its id and no more."""
    fid, id, text, meta, sha256, blob = row
    try:
        if digest(id, text, meta, blob) == sha256:
            return Note(fid, id, text, json.loads(meta), np.frombuffer(blob, np.float32), True)
    except (AttributeError, TypeError, ValueError):
        pass  # a value has changed its type, or is no UTF-8 any more
    return Note(fid, str(id), "", {}, np.zeros(0, np.float32), False)


def intact(notes: Iterable[Note]) -> list[Note]:
    """Those that are what was written; says which are not."""
    found = []
    for note in notes:
        if note.is_intact:
            found.append(note)
        else:
            _log.warning("note %r is damaged and left out; `tuneward memory verify` tells", note.id)
    return found


def id_bytes(id: str) -> bytes:
    """How an id is bound, at `ID`; a damaged one is no UTF-8 and cannot be bound as a text.

    Raises:
        UnicodeEncodeError: no note can have this id, not even a damaged one.
    """
    return id.encode("utf-8", "surrogateescape")


def portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _BOUND):
        yield values[start : start + _BOUND]


def marks(values: Sequence[object], mark: str = "?") -> str:
    return ", ".join([mark] * len(values))
