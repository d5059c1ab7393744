"""Content hashes of model files, remembered so that a start does not read gigabytes again.

A hash is remembered under path, size, modification time and inode; any change of these computes
it anew. The memory (`hashes.json`) is a cache: deleting it costs seconds, nothing else.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, bytes done and bytes in all (None where unknown)."""


def file_sha256(path: Path, progress: Progress | None = None) -> str:
    """The sha256 of the file's bytes."""
    total = path.stat().st_size
    done = 0
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
            done += len(block)
            if progress:
                progress(f"checking {path.name}", done, total)
    return digest.hexdigest()


class Digests:
    """Hashes of files by path, kept in `home/models/hashes.json`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hashes.json"

    def known(self, path: Path) -> str | None:
        """The remembered hash, if the file is unchanged since."""
        return self._read().get(_stamp(path))

    def of_file(self, path: Path, progress: Progress | None = None) -> str:
        """The file's sha256, from memory where the file is unchanged."""
        known = self.known(path)
        if known is None:
            known = file_sha256(path, progress)
            self.remember(path, known)
        return known

    def of_weights(self, folder: Path, progress: Progress | None = None) -> str:
        """One hash over all safetensors files of a folder, names included."""
        digest = hashlib.sha256()
        for path in sorted(folder.glob("*.safetensors")):
            digest.update(f"{path.name}={self.of_file(path, progress)}\n".encode())
        return digest.hexdigest()

    def is_sound(self, digest: str) -> bool:
        """The weights of this hash were found to hold finite numbers only."""
        return f"sound|{digest}" in self._read()

    def mark_sound(self, digest: str) -> None:
        """Keeps that they were."""
        self._write({**self._read(), f"sound|{digest}": "yes"})

    def remember(self, path: Path, sha256: str) -> None:
        """Keeps the hash; losing a race with another process only costs computing it again."""
        old = f"{path.resolve()}|"
        entries = {k: v for k, v in self._read().items() if not k.startswith(old)}
        self._write({**entries, _stamp(path): sha256})

    def _write(self, entries: dict[str, str]) -> None:
        with suppress(OSError):  # a cache: a full disk must not stop a load
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".hashes-")
            try:
                with os.fdopen(handle, "w") as stream:
                    json.dump(entries, stream, indent=1)
                Path(temporary).replace(self.path)
            finally:
                Path(temporary).unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        try:
            entries = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(entries, dict):
            return {}
        return {k: v for k, v in entries.items() if isinstance(v, str)}


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{path.resolve()}|{found.st_size}|{found.st_mtime_ns}|{found.st_ino}"
