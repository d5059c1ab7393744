"""Looking notes up: by id, by filter, by likeness; the reading half of `FaissMemory`.

Before each search the index is brought up to date with the notes, and each hit is checked against
its row: a vector that is not the row's own means that the index is wrong, and it is computed anew.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os.path import commonprefix
from pathlib import Path
from typing import Any

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
from memory.note import Note, checked_text, checked_vectors
from memory.note_rows import State, id_bytes, intact
from memory.notes import NoteStore

Vector = npt.NDArray[np.float32]
Hit = tuple[Note, float]

SHORT_ID = 12
"""Characters of an id that are shown where these name one note."""
SAME_SCORE = 1e-4
"""How far a score may be from the one computed from the row itself (float32 sums differ)."""
_log = logging.getLogger(__name__)


class NoteLookup(VectorStore):
    """An open memory, as far as reading goes."""

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

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The notes with these ids, those that are there, in the order asked for."""
        notes = self._notes.by_ids([id for id in ids if may_exist(id)])
        return [note.document() for note in intact(notes)]

    def ids_beginning(self, beginning: str, limit: int = 1_000) -> list[str]:
        """Up to `limit` ids that begin so, those of damaged notes too.

        Where one is just this, it is what is meant, and the only one given.
        """
        if not beginning or not may_exist(beginning):
            return []
        found = self._notes.ids_beginning(beginning, limit)
        return found[:1] if found[:1] == [beginning] else found

    def short_id(self, id: str) -> str:
        """As much of a note's id as names no other note, and `SHORT_ID` characters at least."""
        others = self._notes.neighbours(id)
        return id[: max([SHORT_ID, *(len(commonprefix([id, other])) + 1 for other in others)])]

    def count(self, filter: Filter | None = None) -> int:
        """How many notes pass `filter`."""
        return self._notes.count(filters.query(filter))

    def scan(self, filter: Filter | None = None, after_fid: int = 0) -> Iterator[Document]:
        """All notes that pass `filter`, oldest first, read a page at a time.

        Notes that are written meanwhile may or may not come; each comes whole and once.
        """
        query = filters.query(filter)
        while page := self._notes.page(query, after_fid):
            yield from (note.document() for note in intact(page))
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
            bad = {fid for fid, _ in found} - {note.fid for note in intact(n for n, _ in hits)}
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


def may_exist(id: Any) -> bool:
    """Whether a note can have this id at all."""
    if not isinstance(id, str):
        raise BadNote(f"an id is a text, not {id!r}")
    try:
        id_bytes(id)
    except UnicodeEncodeError:
        return False
    return True
