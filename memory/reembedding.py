"""All vectors anew with another embedder, while the old ones still count.

New vectors gather in the table `fresh`, a batch at a time, so a crash loses one batch. The last
transaction takes in what was written meanwhile and exchanges all vectors at once.
"""

from langchain_core.embeddings import Embeddings

from memory.embedding import dumps
from memory.errors import BadNote
from memory.note import Vectors, checked_vectors, digest
from memory.notes import NoteStore
from models.fingerprint import Fingerprint

BATCH = 256
"""Texts embedded at once."""

_MISSING = (
    "select n.fid, n.text, n.sha256 from notes n left join fresh f"
    " on f.fid = n.fid and f.sha256 = n.sha256 where f.fid is null order by n.fid limit ?"
)


def reembed(notes: NoteStore, embedding: Embeddings, fingerprint: Fingerprint) -> int:
    """Exchange all vectors; how many there are.

    Raises:
        BadNote: the embedder gave no usable vector; the old ones count on.
    """
    with notes.writing() as db:
        stored = db.execute("select value from meta where key = 'fresh_fingerprint'").fetchone()[0]
        if stored != dumps(fingerprint):
            db.execute("delete from fresh")
            notes.set(fresh_fingerprint=dumps(fingerprint))
    while True:
        with notes.reading() as db:
            batch = db.execute(_MISSING, (BATCH,)).fetchall()
        if not batch:
            break
        vectors = _embedded(batch, embedding, fingerprint)
        with notes.writing():
            _keep(notes, batch, vectors)
    with notes.writing() as db:
        while batch := db.execute(_MISSING, (BATCH,)).fetchall():  # written meanwhile
            _keep(notes, batch, _embedded(batch, embedding, fingerprint))
        state = notes.state()
        rows = db.execute(
            "select n.fid, n.id, n.text, n.metadata, f.vector from notes n join fresh f using (fid)"
        )
        count = 0
        while some := rows.fetchmany(BATCH):
            db.executemany(
                "update notes set vector = ?, sha256 = ? where fid = ?",
                [(blob, digest(id, text, meta, blob), fid) for fid, id, text, meta, blob in some],
            )
            count += len(some)
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


def _embedded(
    batch: list[tuple[int, str, bytes]], embedding: Embeddings, fingerprint: Fingerprint
) -> Vectors:
    vectors = checked_vectors(
        embedding.embed_documents([text for _, text, _ in batch]), fingerprint.dimension
    )
    if len(vectors) != len(batch):
        raise BadNote(f"{fingerprint} gave {len(vectors)} vectors for {len(batch)} texts")
    return vectors


def _keep(notes: NoteStore, batch: list[tuple[int, str, bytes]], vectors: Vectors) -> None:
    with notes.reading() as db:  # inside the caller's writing
        db.executemany(
            "insert or replace into fresh values (?, ?, ?)",
            [
                (fid, sha256, row.tobytes())
                for (fid, _, sha256), row in zip(batch, vectors, strict=True)
            ],
        )
