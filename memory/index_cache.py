"""Keeps the index in memory in step with the notes: loads, catches up, rebuilds, saves."""

import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from memory import snapshot
from memory.embedding import dumps
from memory.errors import StoreError
from memory.filters import Query
from memory.index import Fids, VectorIndex, Vectors
from memory.note import Vectors as NoteVectors
from memory.note_rows import PAGE, State
from memory.notes import NoteStore
from models.fingerprint import Fingerprint

SAVE_AFTER = 2_000
"""Changes since the last save that make a save worth while; replaying them takes 0.1 s or less."""
SAVE_SHARE = 20
"""... or one in so many of all notes, where that is more."""
MAX_ANSWERS = 32
"""Filters whose notes are remembered until something changes."""


class IndexCache:
    """The index of one open memory; every use holds `guard`."""

    def __init__(self, notes: NoteStore, fingerprint: Fingerprint) -> None:
        self.guard = threading.RLock()
        self._notes = notes
        self._fingerprint = fingerprint
        self._index: VectorIndex | None = None
        self._checked = False
        """Whether the index was counted against the notes since it was loaded."""
        self._behind = 0
        """Changes in the index that no snapshot has."""
        self._ignore_snapshot = False
        self._answers: dict[Query, Fids] = {}

    def prepare(self) -> None:
        """Have an index, from disk if there is a good one; outside of a transaction."""
        if self._index is not None:
            return
        state = self._notes.state()
        self._checked = False
        manifest = snapshot.manifest_from(state.snapshot)
        if (
            manifest is not None
            and not self._ignore_snapshot
            and manifest.fingerprint == dumps(self._fingerprint)
            and manifest.dimension == self._fingerprint.dimension
            and state.floor <= manifest.generation <= state.generation
        ):
            loaded = snapshot.load(manifest, self._notes.database.folder)
            if isinstance(loaded, VectorIndex):
                self._index, self._behind = loaded, 0
                return
        # All rows count as new, and what is removed from now on as removed.
        self._index = VectorIndex(self._fingerprint.dimension, generation=state.generation)
        self._behind = 0

    def catch_up(self, state: State) -> bool:
        """Take in a page of what changed; True once the index is at `state`."""
        index = self._index
        if index is None:
            return False
        if index.generation < state.floor or index.generation > state.generation:
            self.drop()
            return False
        if index.generation == state.generation and self._checked:
            return True
        self._answers.clear()
        gone = self._notes.removed_after(index.generation)
        index.remove(gone)
        fids, vectors = self._notes.vectors_after(index.last_fid, index.dimension)
        index.add(fids, vectors)
        self._behind += len(gone) + len(fids)
        if len(fids) == PAGE:
            return False
        index.last_fid = max(index.last_fid, state.last_fid)
        index.generation = state.generation
        if not self._checked and len(index) != self._notes.count():
            if self._ignore_snapshot:
                raise StoreError("the notes changed while the index was computed; try again")
            self.drop()
            return False
        self._checked = True
        return True

    def wrote(self, before: int, fids: Fids, vectors: NoteVectors | None, gone: Fids) -> None:
        """This process committed a change onto generation `before`; keep up if that is easy."""
        index = self._index
        if index is None or not self._checked or index.generation != before:
            return
        self._answers.clear()
        index.remove(gone)
        if vectors is not None:
            index.add(fids, vectors)
        index.generation = before + 1
        self._behind += len(gone) + len(fids)

    def search(self, vector: Vectors, k: int, query: Query | None) -> list[tuple[int, float]]:
        """The best fids with their cosines, among those that pass; after `catch_up` only."""
        assert self._index is not None
        return self._index.search(vector, k, self._passing(query))

    def _passing(self, query: Query | None) -> Fids | None:
        if query is None:
            return None
        if query not in self._answers:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            self._answers[query] = self._notes.matching(query)
        return self._answers[query]

    def drop(self) -> None:
        """The index is wrong: compute it anew from the notes, whatever is on the disk."""
        self._forget()
        self._ignore_snapshot = True

    def _forget(self) -> None:
        if self._index is not None:
            self._index.close()
        self._index = None
        self._answers.clear()

    def damage(self) -> Iterator[str]:
        """Every row against the index, every index file against its hash."""
        index = self._index
        assert index is not None
        manifest = snapshot.manifest_from(self._notes.state().snapshot)
        if manifest is not None:
            yield from snapshot.damage(manifest, self._notes.database.folder)
        seen, after = 0, 0
        while True:
            fids, vectors = self._notes.vectors_after(after, index.dimension)
            if not len(fids):
                break
            after = int(fids[-1])
            here, held = index.held(fids)
            seen += int(here.sum())
            yield from (f"note number {fid} is not in the index" for fid in fids[~here])
            differs = here & np.any(vectors != held, axis=1)
            yield from (f"note number {fid} differs from the index" for fid in fids[differs])
        if len(index) > seen:
            yield f"the index holds {len(index) - seen} vectors of no note"

    def save(self, *, only_if_worth_it: bool = False) -> None:
        """Write the index and make it the one that counts.

        Raises:
            StoreError: the snapshot of before still counts.
        """
        index = self._index
        database = self._notes.database
        if index is None or not self._checked or database.read_only:
            return
        if only_if_worth_it and self._behind < max(SAVE_AFTER, len(index) // SAVE_SHARE):
            return
        with self.guard, database.turn():
            stored = snapshot.manifest_from(self._notes.state().snapshot)
            newer = stored is not None and stored.generation > index.generation
            if (stored is not None and newer) or self._notes.state().floor > index.generation:
                return
            try:
                manifest = snapshot.save(index, database.folder, dumps(self._fingerprint))
            except StoreError as error:
                database.stop_writes(error)
                raise
            with self._notes.transaction():
                self._notes.set(snapshot=manifest.dumps())
            snapshot.sweep(manifest, database.folder)
            self._behind = 0
            self._ignore_snapshot = False

    def close(self) -> None:
        """Save if it is worth it; a failure to do so costs the next opening some time, no more."""
        with self.guard:
            with contextlib.suppress(StoreError):
                self.save(only_if_worth_it=True)
            self._forget()
