"""The index on disk: a cache that saves recomputing it from the notes, and is never believed.

Each shard is one file, `index-GENERATION-NUMBER-HASH.faiss`, written whole. Part of its hash is in
its name: two processes can cut one state into other shards, and neither writes over what counts.
Which files count is said by the notes' own database, in one transaction, with the hash of each:
files from another time, another memory or with one wrong bit do not fit and the index is computed
anew. FAISS parses only bytes whose hash was right.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from memory import durable
from memory.errors import StoreError
from memory.index import Shard, VectorIndex

METRIC = "inner product of vectors of length 1"
PIECE = 4 * 1024 * 1024
"""Bytes written at once."""


@dataclass(frozen=True)
class SavedShard:
    """One file of a snapshot."""

    file: str
    bytes: int
    notes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """Which files make up the index, and which state of the notes they hold."""

    generation: int
    last_fid: int
    dimension: int
    metric: str
    fingerprint: str
    shards: tuple[SavedShard, ...]

    @property
    def notes(self) -> int:
        return sum(shard.notes for shard in self.shards)

    def dumps(self) -> str:
        return json.dumps(asdict(self))


def manifest_from(stored: str) -> Manifest | None:
    """The manifest as it stands in the database; None if there is none or it is of another kind."""
    try:
        fields = json.loads(stored)
        shards = tuple(SavedShard(**shard) for shard in fields.pop("shards"))
        manifest = Manifest(shards=shards, **fields)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return manifest if manifest.metric == METRIC else None


def save(index: VectorIndex, folder: Path, fingerprint: str) -> Manifest:
    """Write the shards that are not on disk yet; the caller makes the manifest count.

    Raises:
        DiskFull, WriteFailed: nothing that counts was touched.
    """
    import faiss

    saved = []
    for number, shard in enumerate(index.shards):
        entry = _entry(shard, folder)
        if entry is None:
            shard.purge()
            data = faiss.serialize_index(shard.index).tobytes()
            sha256 = hashlib.sha256(data).hexdigest()
            name = f"index-{index.generation}-{number}-{sha256[:16]}.faiss"
            durable.replace(folder / name, _pieces(data))
            entry = SavedShard(name, len(data), len(shard), sha256)
            shard.file = json.dumps(asdict(entry))
        saved.append(entry)
    return Manifest(
        index.generation, index.last_fid, index.dimension, METRIC, fingerprint, tuple(saved)
    )


def load(manifest: Manifest, folder: Path) -> VectorIndex | str:
    """The index as it was saved, or why it cannot be used, in words."""
    index = VectorIndex(manifest.dimension, generation=manifest.generation)
    index.last_fid = manifest.last_fid
    last = 0
    for saved in manifest.shards:
        shard = _loaded(saved, folder, manifest.dimension)
        if isinstance(shard, str):
            return f"{saved.file}: {shard}"
        fids = shard.fids
        if len(fids) and (
            fids[0] <= last or fids[-1] > index.last_fid or np.any(np.diff(fids) < 1)
        ):
            return f"{saved.file}: its notes are out of order"
        last = int(fids[-1]) if len(fids) else last
        shard.file = json.dumps(asdict(saved))
        index.shards.append(shard)
    return index


def damage(manifest: Manifest, folder: Path) -> Iterator[str]:
    """Which files are not what was saved."""
    for saved in manifest.shards:
        data = _verified(saved, folder)
        if isinstance(data, str):
            yield f"{saved.file}: {data}; the index is computed anew from the notes"


def sweep(manifest: Manifest | None, folder: Path) -> None:
    """Remove index files that do not count any more, and what dead writers left.

    What cannot be removed now is left for the next time: the data are safe already.
    """
    kept = {shard.file for shard in manifest.shards} if manifest else set()
    with contextlib.suppress(OSError, StoreError):
        for path in folder.glob("index-*.faiss"):
            if path.name not in kept:
                path.unlink()
        with durable.open_folder(folder) as opened:
            durable.sweep(opened)


def _entry(shard: Shard, folder: Path) -> SavedShard | None:
    """Where this very shard lies, if the file is still there."""
    if not shard.file:
        return None
    saved = SavedShard(**json.loads(shard.file))
    return saved if (folder / saved.file).is_file() else None


def _verified(saved: SavedShard, folder: Path) -> bytes | str:
    try:
        data = (folder / saved.file).read_bytes()
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if len(data) != saved.bytes or hashlib.sha256(data).hexdigest() != saved.sha256:
        return "it does not match its checksum"
    return data


def _loaded(saved: SavedShard, folder: Path, dimension: int) -> Shard | str:
    import faiss

    data = _verified(saved, folder)
    if isinstance(data, str):
        return data
    faiss.set_deserialization_vector_byte_limit(len(data) + 1024)
    try:
        index: Any = faiss.deserialize_index(np.frombuffer(data, np.uint8))
    except RuntimeError as error:
        return f"FAISS cannot read it ({str(error).splitlines()[0][:80]})"
    is_ours = isinstance(index, faiss.IndexIDMap2) and isinstance(
        faiss.downcast_index(index.index), faiss.IndexFlat
    )
    if not is_ours or index.metric_type != faiss.METRIC_INNER_PRODUCT:
        return "it is an index of another kind"
    if index.d != dimension or index.ntotal != saved.notes:
        return f"it holds {index.ntotal} x {index.d} numbers, not {saved.notes} x {dimension}"
    return Shard(index)


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
