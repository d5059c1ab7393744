"""The notes in SQLite: the truth that everything else in a memory's folder is computed from.

Each transaction that changes notes has a number, its generation. A note that is changed gets a new
fid, except where only its metadata change. Readers ask what came and went since a generation.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from memory.filters import cells
from memory.note import Note, Vectors, digest
from memory.note_rows import COLUMNS, ID, Fids, NoteRows, id_bytes, intact, marks, note_of, portions

REMEMBERED = 10_000
"""Changes for which it is known what they removed."""


class NoteStore(NoteRows):
    """Writes rows; each method runs in the caller's transaction or in its own."""

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

    def change_metadata(self, ids: Sequence[str], change: Callable[[Note], str]) -> int:
        """Give notes the metadata that `change` makes of each, as JSON text; how many there were.

        A damaged note is left as it is: to hash it anew would pass it off as whole.
        """
        with self.transaction() as db:
            generation, _ = self._next(db)
            notes = intact(self.by_ids(ids))
            for note in notes:
                meta = change(note)
                db.executemany(
                    "delete from note_keys where key=? and value=? and fid=?",
                    [(*pair, note.fid) for pair in cells(note.metadata)],
                )
                db.executemany(
                    "insert into note_keys values (?, ?, ?)",
                    [(*pair, note.fid) for pair in cells(json.loads(meta))],
                )
                sha256 = digest(note.id, note.text, meta, note.vector.tobytes())
                db.execute(
                    "update notes set metadata = ?, sha256 = ?, generation = ? where fid = ?",
                    (meta, sha256, generation, note.fid),
                )
            if notes:
                self.set(generation=generation)
        return len(notes)

    def _next(self, db: sqlite3.Connection) -> tuple[int, int]:
        meta = dict(
            db.execute("select key, value from meta where key in ('generation', 'last_fid')")
        )
        return meta["generation"] + 1, meta["last_fid"]

    def _drop(self, db: sqlite3.Connection, ids: Sequence[str], generation: int) -> list[int]:
        gone: list[int] = []
        for some in portions(ids):
            sql = f"select {COLUMNS} from notes where id in ({marks(some, ID)})"
            notes = [note_of(row) for row in db.execute(sql, [id_bytes(id) for id in some])]
            gone.extend(note.fid for note in notes)
            db.executemany(
                "delete from note_keys where key = ? and value = ? and fid = ?",
                [(*pair, note.fid) for note in notes for pair in cells(note.metadata)],
            )
            # What the keys of a damaged note are is not known: all rows are looked through.
            damaged = [(note.fid,) for note in notes if not note.is_intact]
            db.executemany("delete from note_keys where fid = ?", damaged)
        db.executemany("delete from notes where fid = ?", [(fid,) for fid in gone])
        db.executemany("insert into removed values (?, ?)", [(generation, fid) for fid in gone])
        if gone:
            self._forget_removed(db, generation - REMEMBERED)
        return gone

    def _forget_removed(self, db: sqlite3.Connection, before: int) -> None:
        """Keep the list of what was removed short; an index from before that starts anew."""
        if before > 0:
            db.execute("delete from removed where generation <= ?", (before,))
            self.set(floor=max(before, self.state().floor))

    def compact(self) -> None:
        """Forget what was removed (indexes from before start anew) and give unused room back."""
        with self.writing() as db:
            state = self.state()
            db.execute("delete from removed")
            self.set(generation=state.generation + 1, floor=state.generation + 1)
        self.database.vacuum()


def _by_key(row: Any) -> tuple[str, int]:
    """Neighbours in the table one after the other; values of several kinds do not compare."""
    return row[0], row[2]
