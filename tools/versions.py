"""Keeps the old version of every file that a run changes, in a folder outside the workspace.

`VERSIONS/3-labels.csv` is a copy; `VERSIONS/index.jsonl` says which path each copy was.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from memory import durable

INDEX = "index.jsonl"
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Version:
    """One kept copy."""

    number: int
    path: str
    """Where it was in the workspace."""
    file: str
    """Its name in the folder of versions."""
    sha256: str
    size: int
    before: str
    """What was about to happen to it: `write`, `move` or `delete`."""


class Versions:
    """The kept copies of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, path: str, file: BinaryIO, *, before: str) -> Version:
        """Copy the open file; when this returns, the copy is on the disk."""
        number = self._next_number()
        name = f"{number}-{_short(path.rpartition('/')[2])}"
        hasher = hashlib.sha256()
        durable.replace(self.folder / name, _pieces(file, hasher))
        version = Version(number, path, name, hasher.hexdigest(), file.tell(), before)
        line = json.dumps(asdict(version), ensure_ascii=False) + "\n"
        durable.append(self.folder / INDEX, line.encode())
        return version

    def all(self) -> list[Version]:
        """Every kept copy, oldest first."""
        index = self.folder / INDEX
        if not index.exists():
            return []
        kept = []
        for line in index.read_bytes().splitlines():
            try:
                kept.append(Version(**json.loads(line)))
            except (ValueError, TypeError):  # a line torn by a crash: its change never happened
                continue
        return kept

    def _next_number(self) -> int:
        if not self.folder.is_dir():
            return 1
        numbers = [entry.name.partition("-")[0] for entry in self.folder.iterdir()]
        return max((int(n) for n in numbers if n.isascii() and n.isdigit()), default=0) + 1


def _pieces(file: BinaryIO, hasher: "hashlib._Hash") -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        hasher.update(piece)
        yield piece


def _short(name: str) -> str:
    while len(name.encode()) > 200:
        name = name[1:]
    return name
