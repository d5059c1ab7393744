"""How large a memory is."""

from dataclasses import dataclass

from memory import snapshot
from memory.notes import NoteStore


@dataclass(frozen=True)
class MemoryStats:
    """Counts and sizes in bytes."""

    notes: int
    generation: int
    """Changes so far."""
    removed: int
    """Deleted or replaced notes that other processes may still have to drop."""
    embedder: str
    """Its fingerprint as stored, JSON text."""
    notes_bytes: int
    """Size of the database; `compact` gives back what is unused."""
    unused_bytes: int
    index_bytes: int
    """Size of the saved index; 0 if none is saved."""
    indexed: int
    """Notes in the saved index; the others are taken in when the memory is first searched."""


def stats_of(notes: NoteStore) -> MemoryStats:
    """One consistent look at the notes."""
    with notes.reading() as db:
        state = notes.state()
        manifest = snapshot.manifest_from(state.snapshot)
        size, free, page = (
            int(db.execute(f"pragma {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return MemoryStats(
            notes=notes.count(),
            generation=state.generation,
            removed=int(db.execute("select count(*) from removed").fetchone()[0]),
            embedder=state.fingerprint,
            notes_bytes=size * page,
            unused_bytes=free * page,
            index_bytes=sum(shard.bytes for shard in manifest.shards) if manifest else 0,
            indexed=manifest.notes if manifest else 0,
        )
