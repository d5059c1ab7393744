"""All vectors anew with another embedder, while the old ones still count.

New vectors gather in the table `fresh`, a batch at a time, so a crash loses one batch. The last
transaction takes in what was written meanwhile and exchanges all vectors at once. A damaged note
keeps its vector and its hash: a new hash would pass it off as whole.
"""

from collections.abc import Iterable
from typing import Any

from langchain_core.embeddings import Embeddings

from memory.embedding import dumps
from memory.errors import BadNote
from memory.note import Vectors, checked_vectors, digest
from memory.note_rows import COLUMNS, intact, note_of
from memory.notes import NoteStore
from models.fingerprint import Fingerprint

BATCH = 256
"""Texts embedded at once."""

_MISSING = (
    f"select {COLUMNS} from notes where fid > ? and not exists (select 1 from fresh f"
    " where f.fid = notes.fid and f.sha256 = notes.sha256) order by fid limit ?"
)
_FRESH = (
    f"select {COLUMNS}, (select vector from fresh f where f.fid = notes.fid) from notes"
    " where fid in (select fid from fresh)"
)

Row = tuple[Any, ...]
"""fid, id, text, metadata, sha256, vector."""


def reembed(notes: NoteStore, embedding: Embeddings, fingerprint: Fingerprint) -> int:
    """Exchange the vectors of all notes but damaged ones; how many those are.

    Raises:
        BadNote: the embedder gave no usable vector; the old ones count on.
    """
    with notes.writing() as db:
        stored = db.execute("select value from meta where key = 'fresh_fingerprint'").fetchone()[0]
        if stored != dumps(fingerprint):
            db.execute("delete from fresh")
            notes.set(fresh_fingerprint=dumps(fingerprint))
    after = 0
    while batch := _missing(notes, after):
        after = batch[-1][0]
        rows = _whole(batch)
        vectors = _embedded(rows, embedding, fingerprint)
        with notes.writing():
            _keep(notes, rows, vectors)
    with notes.writing() as db:
        after = 0
        while batch := _missing(notes, after):  # written meanwhile
            after = batch[-1][0]
            rows = _whole(batch)
            _keep(notes, rows, _embedded(rows, embedding, fingerprint))
        state = notes.state()
        fresh = db.execute(_FRESH)
        count = 0
        while some := fresh.fetchmany(BATCH):
            rows = _whole(some)
            db.executemany(
                "update notes set vector = ?, sha256 = ? where fid = ?",
                [
                    (new, digest(id, text, meta, new), fid)
                    for fid, id, text, meta, _, _, new in rows
                ],
            )
            count += len(rows)
        db.execute("delete from fresh")
        db.execute("delete from removed")
        notes.set(
            fingerprint=dumps(fingerprint),
            fresh_fingerprint="",
            generation=state.generation + 1,
            floor=state.generation + 1,  # no index from before is of use
            snapshot="",
        )
    return count


def _missing(notes: NoteStore, after: int) -> list[Row]:
    """The next notes without a new vector; damaged ones never get one."""
    with notes.reading() as db:
        return db.execute(_MISSING, (after, BATCH)).fetchall()


def _whole(rows: Iterable[Row]) -> list[Row]:
    """Rows, with whatever follows their columns, that are what was written."""
    return [row for row in rows if intact([note_of(row[:6])])]


def _embedded(rows: list[Row], embedding: Embeddings, fingerprint: Fingerprint) -> Vectors:
    texts = [text for _, _, text, *_ in rows]
    made = embedding.embed_documents(texts) if texts else []
    vectors = checked_vectors(made, fingerprint.dimension)
    if len(vectors) != len(rows):
        raise BadNote(f"{fingerprint} gave {len(vectors)} vectors for {len(rows)} texts")
    return vectors


def _keep(notes: NoteStore, rows: list[Row], vectors: Vectors) -> None:
    with notes.reading() as db:  # inside the caller's writing
        db.executemany(
            "insert or replace into fresh values (?, ?, ?)",
            [(row[0], row[4], vector.tobytes()) for row, vector in zip(rows, vectors, strict=True)],
        )
