"""The only door to the user's files: everything stays below one folder, and nothing is lost.

Covered: `..`, absolute paths, symbolic links anywhere on the way, also ones swapped in meanwhile,
/proc links, pipes and devices, the workspace itself replaced, half-written files, lost versions.
A hard link is read like any file; writing gives the name a new file and leaves the other name's
content alone. Not covered: other processes that may write in the workspace changing its files.
"""

import contextlib
import errno
import hashlib
import os
import stat
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from memory import durable
from memory.errors import WriteFailed
from tools import text_encoding
from tools.beneath import FILE_FLAGS, FOLDER_FLAGS, Opener, best_opener
from tools.errors import ToolFailed, WorkspaceError
from tools.nearest import did_you_mean
from tools.pathnames import MAX_DEPTH, check_writable, is_listed, show, split_path
from tools.versions import PIECE_BYTES, Versions

__all__ = ["Workspace", "WorkspaceError"]

MAX_FILES = 20_000
"""No more files than this are listed."""
MAX_READ_BYTES = 64 << 20
MAX_WRITE_BYTES = 256 << 20
MAX_KEEP_BYTES = 1 << 30
"""A larger file cannot be changed, since its old version would have to be kept."""


@dataclass(frozen=True)
class Found:
    """One entry of a walk."""

    path: str
    size: int
    changed: int
    """Time of the last change, in nanoseconds."""


class Workspace:
    """The files below one folder, by relative POSIX paths.

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
        self.root = _resolved(root)
        self.written: set[str] = set()
        """Paths that were written through this object; a resumed run fills it in."""
        self.versions = Versions(Path(versions)) if versions is not None else None
        self._opener = opener or best_opener()
        self._root = os.open(self.root, FOLDER_FLAGS)
        self._identity = _identity(os.fstat(self._root))
        self._protected = tuple(
            below.parts
            for path in protected
            if (below := _below(Path(path).absolute(), self.root)) is not None
        )
        self._swept: set[int] = set()
        weakref.finalize(self, os.close, self._root)

    # -- looking ---------------------------------------------------------------------------------

    def files(self, suffixes: Sequence[str] = ()) -> list[str]:
        """Every regular file that is not hidden, sorted; at most `MAX_FILES`."""
        endings = tuple(suffix.lower() for suffix in suffixes)
        paths = (found.path for found in self._walk())
        return sorted(p for p in paths if not endings or p.lower().endswith(endings))

    def folders(self) -> list[str]:
        """Every folder that is not hidden, sorted, without the workspace itself."""
        folders: list[str] = []
        for _ in self._walk(on_folder=folders.append):
            pass
        return sorted(folders)

    def sizes(self) -> dict[str, int]:
        """The size in bytes of every file that `files` lists, sorted by path."""
        return {f.path: f.size for f in sorted(self._walk(stats=True), key=lambda f: f.path)}

    def state(self) -> str:
        """Changes whenever a file comes, goes or changes; opens no file."""
        hasher = hashlib.sha256()
        for found in self._walk(stats=True):
            hasher.update(f"{found.path}\0{found.size}\0{found.changed}\n".encode())
        return hasher.hexdigest()

    def relative(self, path: str) -> str:
        """The path as the workspace spells it (`./a//b` is `a/b`); `.` is the workspace itself."""
        return "/".join(split_path(path, self.root)) or "."

    def exists(self, path: str) -> bool:
        """Whether the path is a regular file that can be opened."""
        try:
            os.close(self._open_file(path))
        except (WorkspaceError, ToolFailed):
            return False
        return True

    def is_folder(self, path: str) -> bool:
        """Whether the path is a folder."""
        try:
            with self._folder(split_path(path, self.root), path):
                return True
        except (WorkspaceError, ToolFailed):
            return False

    def size(self, path: str) -> int:
        """The file's size in bytes."""
        return self.stamp(path)[1]

    def stamp(self, path: str) -> tuple[int, int, int]:
        """(time of change in ns, size, inode): a key for what was computed from the file."""
        file = self._open_file(path)
        try:
            facts = os.fstat(file)
        finally:
            os.close(file)
        return facts.st_mtime_ns, facts.st_size, facts.st_ino

    def digest(self, path: str) -> str | None:
        """The file's sha256 in hex; None where there is no such file."""
        if not self.exists(path):
            return None
        with self.open(path) as file:
            hasher = hashlib.sha256()
            while piece := file.read(PIECE_BYTES):
                hasher.update(piece)
        return hasher.hexdigest()

    # -- reading ---------------------------------------------------------------------------------

    def open(self, path: str) -> BinaryIO:
        """The file, opened for reading bytes."""
        return os.fdopen(self._open_file(path), "rb")

    def read_bytes(self, path: str, limit: int = MAX_READ_BYTES) -> bytes:
        """The whole file; refuses one of more than `limit` bytes."""
        with self.open(path) as file:
            data = file.read(limit + 1)
            if len(data) > limit:
                size = os.fstat(file.fileno()).st_size
                raise ToolFailed(
                    f"{show(path)} has {size:,} bytes; at most {limit:,} can be read at once"
                )
        return data

    def read_text(self, path: str) -> str:
        """The whole file as text, its encoding detected, line ends as they are."""
        text = text_encoding.decode(self.read_bytes(path))
        if text is None:
            raise ToolFailed(f"{show(path)} is not a text file")
        return text

    # -- writing ---------------------------------------------------------------------------------

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write the file, whole or not at all; folders on the way are made."""
        if len(data) > MAX_WRITE_BYTES:
            raise ToolFailed(
                f"{len(data):,} bytes are too many for one file; at most {MAX_WRITE_BYTES:,}"
            )
        self._write(path, lambda: (data,))

    def append_bytes(self, path: str, data: bytes) -> None:
        """Add to the end of the file, whole or not at all; a missing file is made."""
        if not self.exists(path):
            return self.write_bytes(path, data)
        if self.size(path) + len(data) > MAX_WRITE_BYTES:
            raise ToolFailed(f"{show(path)} would be larger than {MAX_WRITE_BYTES:,} bytes")

        def pieces() -> Iterator[bytes]:
            yield from self._pieces(path)
            yield data

        # What this run wrote itself stays the beginning of the new file: nothing is lost.
        return self._write(path, pieces, keep=self.relative(path) not in self.written)

    def copy(self, source: str, target: str) -> None:
        """Copy a file's content."""
        self._refuse_same(source, target)
        if self.size(source) > MAX_KEEP_BYTES:
            raise ToolFailed(f"{show(source)} has more than {MAX_KEEP_BYTES:,} bytes")
        self._write(target, lambda: self._pieces(source))

    def move(self, source: str, target: str) -> None:
        """Rename a file; a file that it replaces keeps its old version."""
        self._refuse_same(source, target)
        here, there = self._file_parts(source), self._file_parts(target)
        self._check_writable(here)
        self._check_writable(there)
        os.close(self._open_file(source))
        self._make_parents(there)
        with (
            self._folder(here[:-1], source) as old,
            self._folder(there[:-1], target) as new,
            self._explained(target),
        ):
            if self._stat_for_write(new, there, target) is not None:
                self._keep("/".join(there), before="move")
            os.rename(here[-1], there[-1], src_dir_fd=old, dst_dir_fd=new)
            durable.sync_folder(new, there[-1])
            durable.sync_folder(old, here[-1])
        self.written.discard("/".join(here))
        self.written.add("/".join(there))

    def delete(self, path: str) -> None:
        """Remove a file; its last version is kept."""
        parts = self._file_parts(path)
        self._check_writable(parts)
        os.close(self._open_file(path))
        with self._folder(parts[:-1], path) as folder, self._explained(path):
            self._keep("/".join(parts), before="delete")
            os.unlink(parts[-1], dir_fd=folder)
            durable.sync_folder(folder, parts[-1])
        self.written.discard("/".join(parts))

    # -- how -------------------------------------------------------------------------------------

    def _write(
        self, path: str, pieces: Callable[[], Iterable[bytes]], *, keep: bool = True
    ) -> None:
        parts = self._file_parts(path)
        self._check_writable(parts)
        self._make_parents(parts)
        with self._folder(parts[:-1], path) as folder, self._explained(path):
            self._sweep(folder)
            old = self._stat_for_write(folder, parts, path)
            if old is not None and keep:
                self._keep("/".join(parts), before="write")
            mode = None if old is None else stat.S_IMODE(old.st_mode) & 0o777
            durable.replace_at(folder, parts[-1], pieces(), exact_mode=mode)
        self.written.add("/".join(parts))

    def _keep(self, path: str, *, before: str) -> None:
        if self.versions is None:
            return
        with self.open(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_KEEP_BYTES:
                raise ToolFailed(
                    f"{show(path)} has more than {MAX_KEEP_BYTES:,} bytes, too many to keep "
                    "its old version; write to another name"
                )
            self.versions.keep(path, file, before=before)

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self.open(path) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def _file_parts(self, path: str) -> tuple[str, ...]:
        parts = split_path(path, self.root)
        if not parts or path.endswith("/"):
            raise WorkspaceError(f"{show(path)} names a folder; name a file")
        return parts

    def _check_writable(self, parts: tuple[str, ...]) -> None:
        check_writable(parts)
        for protected in self._protected:
            if parts[: len(protected)] == protected:
                raise WorkspaceError(
                    f"{show('/'.join(parts))} is protected and cannot be written or removed"
                )

    def _refuse_same(self, source: str, target: str) -> None:
        if self.relative(source) == self.relative(target):
            raise WorkspaceError(f"{show(source)} and {show(target)} are the same file")

    def _check_root(self) -> None:
        """The folder we hold must still be the one that the user named."""
        try:
            is_same = _identity(os.lstat(self.root)) == self._identity
        except OSError:
            is_same = False
        if not is_same:
            raise ToolFailed(f"the workspace {self.root} was removed or replaced during the run")

    def _open_file(self, path: str) -> int:
        parts = self._file_parts(path)
        self._check_root()
        with self._explained(path):
            file = self._opener.open(self._root, parts, FILE_FLAGS)
        kind = os.fstat(file).st_mode
        if stat.S_ISREG(kind):
            return file
        os.close(file)
        if stat.S_ISDIR(kind):
            raise WorkspaceError(f"{show(path)} is a folder; name a file in it")
        raise WorkspaceError(f"{show(path)} is no regular file; it cannot be opened")

    @contextlib.contextmanager
    def _folder(self, parts: tuple[str, ...], path: str) -> Iterator[int]:
        self._check_root()
        with self._explained(path):
            folder = self._opener.open(self._root, parts, FOLDER_FLAGS)
        try:
            yield folder
        finally:
            os.close(folder)

    def _make_parents(self, parts: tuple[str, ...]) -> None:
        self._check_root()
        for depth in range(1, len(parts)):
            path = "/".join(parts[:depth])
            with self._explained(path):
                try:
                    os.close(self._opener.open(self._root, parts[:depth], FOLDER_FLAGS))
                except FileNotFoundError:
                    with self._folder(parts[: depth - 1], path) as above:
                        durable.make_folder_at(above, parts[depth - 1])

    def _stat_for_write(
        self, folder: int, parts: tuple[str, ...], path: str
    ) -> os.stat_result | None:
        try:
            old = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISREG(old.st_mode):
            return old
        kind = "a folder" if stat.S_ISDIR(old.st_mode) else "a link or a special file"
        raise WorkspaceError(f"{show(path)} is {kind}; choose another name")

    def _sweep(self, folder: int) -> None:
        """Once a folder: remove what a killed writer left behind."""
        inode = os.fstat(folder).st_ino
        if inode not in self._swept:
            self._swept.add(inode)
            durable.sweep(folder)

    @contextlib.contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except WriteFailed as error:
            raise ToolFailed(str(error)) from error
        except OSError as error:
            raise self._explanation(path, error) from error

    def _explanation(self, path: str, error: OSError) -> WorkspaceError | ToolFailed:
        match error.errno:
            case errno.ENOENT:
                hint = did_you_mean(path, self.files)
                return WorkspaceError(f"there is no {show(path)} in the workspace{hint}")
            case errno.ELOOP | errno.EXDEV:
                return WorkspaceError(f"{show(path)} is or passes a link; links are not followed")
            case errno.ENOTDIR:
                return WorkspaceError(
                    f"{show(path)} passes a file or a link as if it were a folder"
                )
            case errno.ENXIO:
                return WorkspaceError(f"{show(path)} is no regular file; it cannot be opened")
            case errno.ENAMETOOLONG:
                return WorkspaceError(f"the path {show(path)} is too long")
            case _:
                return ToolFailed(f"{show(path)} cannot be used: {error.strerror or error}")

    def _walk(
        self, *, stats: bool = False, on_folder: Callable[[str], object] | None = None
    ) -> Iterator[Found]:
        """Every listed file, folder by folder; links and special files are passed over."""
        self._check_root()
        left = MAX_FILES

        def walk(folder: int, prefix: str, depth: int) -> Iterator[Found]:
            nonlocal left
            folders = []
            with os.scandir(folder) as entries:
                listed = sorted((e for e in entries if is_listed(e.name)), key=lambda e: e.name)
            for entry in listed:
                path = prefix + entry.name
                if entry.is_file(follow_symlinks=False):
                    if left == 0:
                        return
                    left -= 1
                    if not stats:
                        yield Found(path, 0, 0)
                        continue
                    with contextlib.suppress(FileNotFoundError):
                        facts = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
                        yield Found(path, facts.st_size, facts.st_mtime_ns)
                elif depth < MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
            for name in folders:
                if on_folder is not None:
                    on_folder(prefix + name)
                with contextlib.suppress(OSError):  # gone, swapped or not ours to read
                    deeper = os.open(name, FOLDER_FLAGS, dir_fd=folder)
                    try:
                        yield from walk(deeper, f"{prefix}{name}/", depth + 1)
                    finally:
                        os.close(deeper)

        # A fresh descriptor, since scanning moves the position that a descriptor's copies share.
        top = self._opener.open(self._root, (), FOLDER_FLAGS)
        try:
            yield from walk(top, "", 1)
        finally:
            os.close(top)


def _resolved(root: Path) -> Path:
    try:
        resolved = Path(root).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise WorkspaceError(
            f"the workspace {str(root)!r} does not exist; make it or name another folder"
        ) from None
    if not resolved.is_dir():
        raise WorkspaceError(f"the workspace {str(root)!r} is no folder; name a folder")
    return resolved


def _below(path: Path, root: Path) -> Path | None:
    return path.relative_to(root) if path.is_relative_to(root) and path != root else None


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino
