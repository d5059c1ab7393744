"""The only door to the user's files: everything stays below one folder, and nothing is lost.

Covered: `..`, absolute paths, symbolic links anywhere on the way, also ones swapped in meanwhile,
/proc links, pipes and devices, the workspace itself replaced, half-written files, lost versions.
A hard link is read like any file; writing gives the name a new file and leaves the other name's
content alone. Not covered: other processes that may write in the workspace changing its files.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from memory import durable
from tools import text_encoding
from tools.beneath import Opener
from tools.errors import ToolError, ToolFailed, WorkspaceError
from tools.held_folder import HeldFolder, Parts
from tools.pathnames import check_writable, show, split_path
from tools.versions import PIECE_BYTES, Versions

__all__ = ["Workspace", "WorkspaceError"]

MAX_READ_BYTES = 64 << 20
MAX_WRITE_BYTES = 256 << 20
MAX_KEEP_BYTES = 1 << 30
"""A larger file cannot be changed, since its old version would have to be kept."""


class Workspace:
    """The files below one folder, by relative POSIX paths.

    Every method raises WorkspaceError for a path that it does not take, ToolFailed where the
    system refuses, and DiskFull where there is no room; the files are then as they were.

    Args:
        root: an existing folder.
        versions: where old versions are kept before a file is changed; None keeps none.
        protected: files and folders below `root` that may be read but not changed.
        opener: how paths are opened; the safest way that the system has, where left out.

    Raises:
        WorkspaceError: `root` does not exist or is no folder.
    """

    def __init__(
        self,
        root: Path,
        *,
        versions: Path | None = None,
        protected: Iterable[Path] = (),
        opener: Opener | None = None,
    ) -> None:
        self._folder = HeldFolder(root, opener)
        self.root = self._folder.path
        self.written: set[str] = set()
        """Paths that were written through this object; a resumed run fills it in."""
        self.versions = Versions(Path(versions)) if versions is not None else None
        self._protected = [
            below.parts
            for path in protected
            if (below := _below(Path(path).absolute(), self.root)) is not None
        ]
        self._swept: set[int] = set()

    # -- looking ---------------------------------------------------------------------------------

    def files(self, suffixes: Sequence[str] = ()) -> list[str]:
        """Every regular file that is not hidden, sorted; at most 20,000.

        Args:
            suffixes: only names that end so, in any case; empty takes all.
        """
        endings = tuple(suffix.lower() for suffix in suffixes)
        paths = (found.path for found in self._folder.walk())
        return sorted(p for p in paths if not endings or p.lower().endswith(endings))

    def folders(self) -> list[str]:
        """Every folder that is not hidden, sorted, without the workspace itself."""
        folders: list[str] = []
        for _ in self._folder.walk(on_folder=folders.append):
            pass
        return sorted(folders)

    def sizes(self) -> dict[str, int]:
        """The size in bytes of every file that `files` lists, sorted by path."""
        found = sorted(self._folder.walk(stats=True), key=lambda file: file.path)
        return {file.path: file.size for file in found}

    def state(self) -> str:
        """Changes when a file comes, goes or changes, or is first written; opens no file."""
        hasher = hashlib.sha256("\0".join(sorted(self.written)).encode())
        for found in self._folder.walk(stats=True):
            hasher.update(f"{found.path}\0{found.size}\0{found.changed}\n".encode())
        return hasher.hexdigest()

    def relative(self, path: str) -> str:
        """The path as the workspace spells it (`./a//b` is `a/b`); `.` is the workspace itself."""
        return "/".join(split_path(path, self.root)) or "."

    def exists(self, path: str) -> bool:
        """Whether the path is a regular file that can be opened."""
        try:
            os.close(self._open(path))
        except ToolError:
            return False
        return True

    def is_folder(self, path: str) -> bool:
        """Whether the path is a folder."""
        try:
            with self._folder.folder(split_path(path, self.root), path):
                return True
        except ToolError:
            return False

    def size(self, path: str) -> int:
        """The file's size in bytes."""
        return self.stamp(path)[1]

    def stamp(self, path: str) -> tuple[int, int, int]:
        """(time of change in ns, size, inode): a key for what was computed from the file."""
        file = self._open(path)
        try:
            facts = os.fstat(file)
        finally:
            os.close(file)
        return facts.st_mtime_ns, facts.st_size, facts.st_ino

    def digest(self, path: str) -> str | None:
        """The file's sha256 in hex; None where there is no such file."""
        if not self.exists(path):
            return None
        hasher = hashlib.sha256()
        for piece in self._pieces(path):
            hasher.update(piece)
        return hasher.hexdigest()

    # -- reading ---------------------------------------------------------------------------------

    def open(self, path: str) -> BinaryIO:
        """The file, opened for reading bytes."""
        return os.fdopen(self._open(path), "rb")

    def read_bytes(self, path: str, limit: int = MAX_READ_BYTES) -> bytes:
        """The whole file; refuses one of more than `limit` bytes."""
        with self.open(path) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1) if size <= limit else b""
        if size > limit or len(data) > limit:
            raise ToolFailed(
                f"{show(path)} has {max(size, len(data)):,} bytes; at most {limit:,} can be read"
            )
        return data

    def read_text(self, path: str) -> str:
        """The whole file as text, its encoding detected, line ends as they are."""
        text = text_encoding.decode(self.read_bytes(path))
        if text is None:
            raise ToolFailed(f"{show(path)} is not a text file")
        return text

    # -- writing ---------------------------------------------------------------------------------

    def check_writable(self, path: str) -> None:
        """Raises WorkspaceError for a path under which no file may be written."""
        self._changeable(path)

    def write_bytes(self, path: str, data: bytes) -> bool:
        """Write the file, whole or not at all; folders on the way are made.

        Returns False, and leaves the file untouched, where it holds just this already.
        """
        parts = self._changeable(path)
        if len(data) > MAX_WRITE_BYTES:
            raise ToolFailed(
                f"{len(data):,} bytes are too many for one file; at most {MAX_WRITE_BYTES:,}"
            )
        if self._holds(path, data):
            self.written.add("/".join(parts))
            return False
        self._write(parts, path, (data,))
        return True

    def append_bytes(self, path: str, data: bytes) -> None:
        """Add to the end of the file, whole or not at all; a missing file is made."""
        parts = self._changeable(path)
        if not self.exists(path):
            self.write_bytes(path, data)
            return
        if self.size(path) + len(data) > MAX_WRITE_BYTES:
            raise ToolFailed(f"{show(path)} would be larger than {MAX_WRITE_BYTES:,} bytes")

        def pieces() -> Iterator[bytes]:
            yield from self._pieces(path)
            yield data

        # What this run wrote itself stays the beginning of the new file: nothing is lost.
        self._write(parts, path, pieces(), keep="/".join(parts) not in self.written)

    def copy(self, source: str, target: str) -> None:
        """Copy a file's content."""
        parts = self._changeable(target)
        self._refuse_same(source, target)
        if self.size(source) > MAX_KEEP_BYTES:
            raise ToolFailed(f"{show(source)} has more than {MAX_KEEP_BYTES:,} bytes")
        self._write(parts, target, self._pieces(source))

    def move(self, source: str, target: str) -> None:
        """Rename a file; of a file that it replaces the old version is kept."""
        here, there = self._changeable(source), self._changeable(target)
        self._refuse_same(source, target)
        os.close(self._open(source))
        self._folder.make_folders(there[:-1])
        with (
            self._folder.folder(here[:-1], source) as old,
            self._folder.folder(there[:-1], target) as new,
            self._folder.explained(target),
        ):
            if _regular(new, there[-1], target) is not None:
                self._keep(new, there, before="move")
            os.rename(here[-1], there[-1], src_dir_fd=old, dst_dir_fd=new)
            durable.sync_folder(new, there[-1])
            durable.sync_folder(old, here[-1])
        self.written.discard("/".join(here))
        self.written.add("/".join(there))

    def delete(self, path: str) -> None:
        """Remove a file; its last version is kept."""
        parts = self._changeable(path)
        os.close(self._open(path))
        with self._folder.folder(parts[:-1], path) as folder, self._folder.explained(path):
            self._keep(folder, parts, before="delete")
            os.unlink(parts[-1], dir_fd=folder)
            durable.sync_folder(folder, parts[-1])
        self.written.discard("/".join(parts))

    # -- how -------------------------------------------------------------------------------------

    def _write(
        self, parts: Parts, path: str, pieces: Iterable[bytes], *, keep: bool = True
    ) -> None:
        self._folder.make_folders(parts[:-1])
        with self._folder.folder(parts[:-1], path) as folder, self._folder.explained(path):
            self._sweep(folder)
            old = _regular(folder, parts[-1], path)
            if old is not None and keep:
                self._keep(folder, parts, before="write")
            mode = None if old is None else stat.S_IMODE(old.st_mode) & 0o777
            durable.replace_at(folder, parts[-1], pieces, exact_mode=mode)
        self.written.add("/".join(parts))

    def _keep(self, folder: int, parts: Parts, *, before: str) -> None:
        """Keep the open folder's file as it is before something happens to it."""
        if self.versions is None:
            return
        path = "/".join(parts)
        with os.fdopen(self._folder.open_file_in(folder, parts[-1:], path), "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_KEEP_BYTES:
                raise ToolFailed(
                    f"{show(path)} has more than {MAX_KEEP_BYTES:,} bytes, too many to keep "
                    "its old version; write to another name"
                )
            self.versions.keep(path, file, before=before)

    def _holds(self, path: str, data: bytes) -> bool:
        if not self.exists(path) or self.size(path) != len(data):
            return False
        with self.open(path) as file:
            return file.read(len(data) + 1) == data

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self.open(path) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def _open(self, path: str) -> int:
        return self._folder.open_file(self._file_parts(path), path)

    def _file_parts(self, path: str) -> Parts:
        parts = split_path(path, self.root)
        if not parts or path.endswith("/"):
            raise WorkspaceError(f"{show(path)} names a folder; name a file")
        return parts

    def _changeable(self, path: str) -> Parts:
        parts = self._file_parts(path)
        check_writable(parts)
        if any(parts[: len(protected)] == protected for protected in self._protected):
            raise WorkspaceError(f"{show(path)} is protected and cannot be written or removed")
        return parts

    def _refuse_same(self, source: str, target: str) -> None:
        if self.relative(source) == self.relative(target):
            raise WorkspaceError(f"{show(source)} and {show(target)} are the same file")

    def _sweep(self, folder: int) -> None:
        """Once a folder: remove what a killed writer left behind."""
        inode = os.fstat(folder).st_ino
        if inode not in self._swept:
            self._swept.add(inode)
            durable.sweep(folder)


def _regular(folder: int, name: str, path: str) -> os.stat_result | None:
    """What stands under the name that is about to be written; None where nothing does."""
    try:
        old = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(old.st_mode):
        return old
    kind = "a folder" if stat.S_ISDIR(old.st_mode) else "a link or a special file"
    raise WorkspaceError(f"{show(path)} is {kind}; choose another name")


def _below(path: Path, root: Path) -> Path | None:
    return path.relative_to(root) if path.is_relative_to(root) and path != root else None
