"""FaissMemory: a LangChain vector store that neither loses nor confuses a note.

    with FaissMemory(folder, embedding) as memory:
        memory.add_texts(["the invoice is due on Monday"], [{"kind": "note"}], ids=["invoice"])
        memory.similarity_search("when is the invoice due?", k=1, filter={"kind": "note"})

The notes live in SQLite and a write is done when they are on the disk. The FAISS index is a cache:
it is brought up to date from the notes before each search, and each hit is checked against its row.
One process writes at a time, the others queue; readers see one whole state. Methods may be called
from several threads; the async twins run in LangChain's executor.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from memory.embedding import fingerprint_of
from memory.errors import BadNote
from memory.index_cache import IndexCache
from memory.lookup import NoteLookup, may_exist
from memory.new_notes import Metadata, NewNotes
from memory.note import Note, Vectors, checked_metadata, checked_vectors
from memory.notes import NoteStore
from memory.reembedding import reembed
from memory.stats import MemoryStats, stats_of


class FaissMemory(NoteLookup):
    """Notes with vectors in a folder: add, change, delete, search exactly, filter before."""

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
        new = NewNotes(texts, metadatas, ids)
        if not new.texts:
            return []
        return self._put(new, self._embedding.embed_documents(new.texts))

    def add_vectors(
        self,
        texts: Iterable[str],
        vectors: Iterable[Sequence[float]] | Vectors,
        metadatas: Sequence[Metadata] | None = None,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """`add_texts` for vectors that are known; shape (texts, dimension), of any length."""
        return self._put(NewNotes(texts, metadatas, ids), vectors)

    def _put(self, new: NewNotes, vectors: Iterable[Sequence[float]] | Vectors) -> list[str]:
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
                gone = self._notes.remove(id for id in ids if may_exist(id))
            if len(gone):
                self._cache.wrote(before.generation, np.zeros(0, np.int64), None, gone)
        return True

    def update_metadata(self, changes: Mapping[str, Metadata]) -> int:
        """Merge values into notes' metadata, by id, without embedding anew; how many there were.

        Missing ids and damaged notes are skipped. All changes of a call are kept together.
        """
        return self.derive_metadata(list(changes), lambda note: changes[str(note.id)])

    def derive_metadata(self, ids: Sequence[str], change: Callable[[Document], Metadata]) -> int:
        """`update_metadata` with what `change` makes of each note; nobody writes in between."""

        def merged(note: Note) -> str:
            new = change(note.document())
            return checked_metadata({**note.metadata, **new}, f"note {note.id!r}")

        with self._cache.guard, self._notes.writing():
            return self._notes.change_metadata([id for id in ids if may_exist(id)], merged)

    def verify(self) -> list[str]:
        """What is wrong, each in a sentence; nothing if every row is as written and as indexed."""
        with self._current() as cache:
            return [*self._notes.damage(), *cache.damage()]

    def stats(self) -> MemoryStats:
        """Sizes and counts."""
        return stats_of(self._notes)

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
            How many notes have new vectors: all but damaged ones, which stay for `verify` to name.
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
