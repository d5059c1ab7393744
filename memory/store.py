"""FaissMemory: a LangChain vector store that neither loses nor confuses a note.

    with FaissMemory(folder, embedding) as memory:
        memory.add_texts(["the invoice is due on Monday"], [{"kind": "note"}], ids=["invoice"])
        memory.similarity_search("when is the invoice due?", k=1, filter={"kind": "note"})

The notes live in SQLite and a write is done when they are on the disk. The FAISS index is a cache:
it is brought up to date from the notes before each search, and each hit is checked against its row.
One process writes at a time, the others queue; readers see one whole state. Methods may be called
from several threads; the async twins run in LangChain's executor.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from memory import filters
from memory.database import NAME
from memory.embedding import dumps, expect_same, fingerprint_of, loads
from memory.errors import BadNote, StoreDamaged
from memory.filters import Filter
from memory.index_cache import IndexCache
from memory.note import (
    Note,
    Vectors,
    checked_id,
    checked_metadata,
    checked_text,
    checked_vectors,
    new_id,
)
from memory.notes import NoteStore, State
from memory.reembedding import reembed
from memory.stats import MemoryStats, stats_of

Metadata = Mapping[str, Any]
Vector = npt.NDArray[np.float32]
Hit = tuple[Note, float]

SAME_SCORE = 1e-4
"""How far a score may be from the one computed from the row itself (float32 sums differ)."""
_log = logging.getLogger(__name__)


class FaissMemory(VectorStore):
    """Notes with vectors in a folder: add, change, delete, search exactly, filter before."""

    def __init__(self, folder: Path, embedding: Embeddings, *, read_only: bool = False) -> None:
        """Open the memory in `folder`, or make one there unless only reading.

        Args:
            embedding: makes the vectors; its fingerprint must be the one that is stored.
            read_only: write nothing, not even the index; for folders that may not be written.

        Raises:
            EmbedderChanged: the notes were embedded by another one.
            StoreMissing: there is nothing to read yet.
            StoreError: see `memory/errors.py` for the others.
        """
        self.folder = Path(folder)
        self.fingerprint = fingerprint_of(embedding)
        self._embedding = embedding
        self._notes = NoteStore(self.folder, read_only=read_only)
        try:
            self._claim()
        except BaseException:
            self._notes.close()
            raise
        self._cache = IndexCache(self._notes, self.fingerprint)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether there is a memory in `folder`."""
        return (folder / NAME).is_file()

    def _claim(self) -> None:
        """Compare the embedder with the stored one; an empty memory takes any."""
        stored = self._notes.state().fingerprint
        if stored == dumps(self.fingerprint):
            return
        if self._notes.database.read_only:
            if stored:
                expect_same(loads(stored), self.fingerprint)
            return
        with self._notes.writing():
            stored = self._notes.state().fingerprint
            if stored and self._notes.count():
                expect_same(loads(stored), self.fingerprint)
            else:
                self._notes.set(fingerprint=dumps(self.fingerprint))

    def _expect_mine(self, state: State) -> None:
        """Another process may have re-embedded everything meanwhile."""
        if state.fingerprint and state.fingerprint != dumps(self.fingerprint):
            expect_same(loads(state.fingerprint), self.fingerprint)

    @property
    def embeddings(self) -> Embeddings:
        """What makes the vectors."""
        return self._embedding

    # Writing

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Metadata] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts durably; one whose id is there already replaces that note.

        Args:
            metadatas: JSON objects, one for each text.
            ids: one for each text; None makes one up. Of equal ones in a call the last counts.

        Returns:
            The ids, in the order of the texts.

        Raises:
            BadNote: something cannot be kept; nothing of the call was stored.
            StoreError: see `memory/errors.py`; nothing of the call was stored.
        """
        given = [checked_text(text, f"text {number}") for number, text in enumerate(texts)]
        if not given:
            return []
        prepared = _Prepared(given, metadatas, ids)
        return self._put(prepared, self._embedding.embed_documents(given))

    def add_vectors(
        self,
        texts: Iterable[str],
        vectors: Iterable[Sequence[float]] | Vectors,
        metadatas: Sequence[Metadata] | None = None,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """`add_texts` for vectors that are known; shape (texts, dimension), of any length."""
        given = [checked_text(text, f"text {number}") for number, text in enumerate(texts)]
        return self._put(_Prepared(given, metadatas, ids), vectors)

    def _put(self, new: "_Prepared", vectors: Iterable[Sequence[float]] | Vectors) -> list[str]:
        rows = checked_vectors(vectors, self.fingerprint.dimension)
        if len(rows) != len(new.texts):
            raise BadNote(f"{len(rows)} vectors for {len(new.texts)} texts")
        if not new.texts:
            return []
        kept = new.last_of_each_id()
        rows = rows if len(kept) == len(rows) else rows[kept]
        with self._cache.guard:
            with self._notes.writing():
                before = self._notes.state()
                self._expect_mine(before)
                fids, gone = self._notes.put(
                    [new.ids[i] for i in kept],
                    [new.texts[i] for i in kept],
                    [new.metadatas[i] for i in kept],
                    rows,
                    all_new=new.made_up,
                )
            self._cache.wrote(before.generation, fids, rows, gone)
        return new.ids

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """Delete the notes with these ids; those that are not there are no mistake.

        Raises:
            BadNote: `ids` is None; everything is never deleted by leaving something out.
        """
        if ids is None:
            raise BadNote("delete needs ids; to delete everything, remove the memory's folder")
        if isinstance(ids, str):
            raise BadNote("delete takes a list of ids, not one text")
        with self._cache.guard:
            with self._notes.writing():
                before = self._notes.state()
                gone = self._notes.remove(id for id in ids if _may_exist(id))
            if len(gone):
                self._cache.wrote(before.generation, np.zeros(0, np.int64), None, gone)
        return True

    def update_metadata(self, changes: Mapping[str, Metadata]) -> int:
        """Merge values into notes' metadata, by id, without embedding anew; how many there were.

        Missing ids are skipped. All changes of a call are kept together.
        """
        with self._cache.guard, self._notes.writing():
            there = {note.id: note for note in self._notes.by_ids(list(changes))}
            merged = {
                id: checked_metadata({**note.metadata, **changes[id]}, f"note {id!r}")
                for id, note in there.items()
            }
            return self._notes.change_metadata(merged)

    # Looking up

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The notes with these ids, those that are there, in the order asked for."""
        notes = self._notes.by_ids([id for id in ids if _may_exist(id)])
        return [note.document() for note in notes if _is_intact(note)]

    def count(self, filter: Filter | None = None) -> int:
        """How many notes pass `filter`."""
        return self._notes.count(filters.query(filter))

    def scan(self, filter: Filter | None = None, after_fid: int = 0) -> Iterator[Document]:
        """All notes that pass `filter`, oldest first, read a page at a time.

        Notes that are written meanwhile may or may not come; each comes whole and once.
        """
        query = filters.query(filter)
        while page := self._notes.page(query, after_fid):
            yield from (note.document() for note in page if _is_intact(note))
            after_fid = page[-1].fid

    def similarity_search(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """The `k` notes nearest to `query`, best first, among those that pass `filter`."""
        return [note.document() for note, _ in self._hits(self._asked(query), k, filter)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """As `similarity_search`, each with its cosine: 1 the same direction, -1 the opposite."""
        hits = self._hits(self._asked(query), k, filter)
        return [(note.document(), score) for note, score in hits]

    def similarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, filter: Filter | None = None, **kwargs: Any
    ) -> list[Document]:
        """As `similarity_search`, for a vector of any length but zero."""
        return [note.document() for note, _ in self._hits(embedding, k, filter)]

    def similarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, filter: Filter | None = None
    ) -> list[tuple[Document, float]]:
        """As `similarity_search_with_score`, for a vector of any length but zero."""
        return [(note.document(), score) for note, score in self._hits(embedding, k, filter)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """Of the nearest `fetch_k` notes, `k` that are near the query and unlike each other."""
        return self.max_marginal_relevance_search_by_vector(
            self._asked(query), k, fetch_k, lambda_mult, filter
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: Sequence[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        """As `max_marginal_relevance_search`, for a vector of any length but zero."""
        from langchain_core.vectorstores.utils import maximal_marginal_relevance

        asked = self._direction(embedding)
        notes = [note for note, _ in self._hits(asked, max(k, fetch_k), filter)]
        vectors = [note.vector.tolist() for note in notes]
        chosen = maximal_marginal_relevance(asked, vectors, lambda_mult, k)
        return [notes[i].document() for i in chosen]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: min(1.0, max(0.0, (1 + cosine) / 2))

    def _asked(self, query: str) -> Sequence[float]:
        return self._embedding.embed_query(checked_text(query, "the query"))

    def _direction(self, vector: Sequence[float] | Vector) -> Vector:
        one = checked_vectors(np.asarray([vector]), self.fingerprint.dimension)
        direction: Vector = one[0]
        return direction

    def _hits(
        self, embedding: Sequence[float] | Vector, k: int, filter: Filter | None
    ) -> list[Hit]:
        """The nearest notes with their cosines, each as its row says."""
        asked = self._direction(embedding)
        query = filters.query(filter)
        if k < 1:
            return []
        damaged: set[int] = set()
        rebuilt = False
        while True:
            with self._current() as cache:
                found = cache.search(asked, k + len(damaged), query)
                notes = self._notes.by_fids([fid for fid, _ in found])
                if any(
                    fid not in notes or abs(float(notes[fid].vector @ asked) - score) > SAME_SCORE
                    for fid, score in found
                    if fid not in notes or notes[fid].is_intact
                ):
                    if rebuilt:
                        raise StoreDamaged(
                            f"{self.folder}: the index does not fit the notes even when computed"
                            " from them; `tuneward memory verify` tells which"
                        )
                    rebuilt = True
                    _log.warning("%s: the index did not fit the notes; it is rebuilt", self.folder)
                    cache.drop()
                    continue
            hits = [(notes[fid], score) for fid, score in found]
            bad = {note.fid for note, _ in hits if not _is_intact(note)}
            if bad <= damaged:
                return [hit for hit in hits if hit[0].fid not in bad][:k]
            damaged |= bad  # once more, so that the caller gets as many as there are

    @contextmanager
    def _current(self) -> Iterator[IndexCache]:
        """The index up to date with the one state of the notes that the block sees."""
        with self._cache.guard:
            while True:
                self._cache.prepare()
                with self._notes.reading():
                    state = self._notes.state()
                    self._expect_mine(state)
                    if self._cache.catch_up(state):
                        yield self._cache
                        return

    # Care

    def verify(self) -> list[str]:
        """What is wrong, each in a sentence; nothing if every row is as written and as indexed."""
        with self._current() as cache:
            return [*self._notes.damage(), *cache.damage()]

    def stats(self) -> MemoryStats:
        """Sizes and counts."""
        return stats_of(self._notes, self.folder)

    def compact(self) -> None:
        """Give back the room of what was deleted, in the file and in the index.

        Needs free space as large as the notes themselves for a moment.
        """
        with self._cache.guard:
            self._notes.compact()
            self.save_index()

    def save_index(self) -> None:
        """Write the index beside the notes, so that the next opening need not compute it."""
        with self._current():
            pass
        self._cache.save()

    def reembed(self, embedding: Embeddings) -> int:
        """Compute every vector anew with another embedder, which this memory then has.

        The old vectors count until all new ones are there. After a crash, go on where it stopped.

        Returns:
            How many notes there are.
        """
        fingerprint = fingerprint_of(embedding)
        with self._cache.guard:
            count = reembed(self._notes, embedding, fingerprint)
            self._embedding, self.fingerprint = embedding, fingerprint
            self._cache.close()
            self._cache = IndexCache(self._notes, fingerprint)
        return count

    @classmethod
    def with_new_embedder(cls, folder: Path, embedding: Embeddings) -> Self:
        """`reembed` for a memory whose old embedder is not at hand; gives the memory, open."""
        notes = NoteStore(Path(folder))
        try:
            reembed(notes, embedding, fingerprint_of(embedding))
        finally:
            notes.close()
        return cls(folder, embedding)

    def close(self) -> None:
        """Save the index if much has changed and let go of the files; may be called again."""
        self._cache.close()
        self._notes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def from_texts(  # type: ignore[override]  # a folder is needed, which the base does not know
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        folder: Path,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open the memory in `folder` and add `texts`."""
        memory = cls(folder, embedding)
        try:
            memory.add_texts(texts, metadatas, ids=ids)
        except BaseException:
            memory.close()
            raise
        return memory


class _Prepared:
    """Texts with a checked id and metadata each."""

    def __init__(
        self,
        texts: list[str],
        metadatas: Sequence[Metadata] | None,
        ids: Sequence[str | None] | None,
    ) -> None:
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values is not None and len(values) != len(texts):
                raise BadNote(f"{len(values)} {name} for {len(texts)} texts")
        self.texts = texts
        self.made_up = ids is None or not any(ids)
        self.ids = [
            new_id() if id is None else checked_id(id, f"text {number}")
            for number, id in enumerate(ids or [None] * len(texts))
        ]
        self.metadatas = [
            checked_metadata(metadata or {}, f"text {number}")
            for number, metadata in enumerate(metadatas or [{}] * len(texts))
        ]

    def last_of_each_id(self) -> list[int]:
        """Positions to keep: of texts with one id the last."""
        return sorted({id: number for number, id in enumerate(self.ids)}.values())


def _may_exist(id: Any) -> bool:
    """Whether a note can have this id at all."""
    if not isinstance(id, str):
        raise BadNote(f"an id is a text, not {id!r}")
    try:
        id.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_intact(note: Note) -> bool:
    if not note.is_intact:
        _log.warning("note %r is damaged and left out; `tuneward memory verify` tells", note.id)
    return note.is_intact
