"""A folder held by its descriptor: opens what lies below it, or says in one line why it does not.

The descriptor stays with the folder that it was opened for. Whether the name still leads there is
asked before every use, so that a folder replaced by a link is noticed.
"""

import contextlib
import errno
import os
import stat
import weakref
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from memory import durable
from memory.errors import WriteFailed
from tools.beneath import FILE_FLAGS, FOLDER_FLAGS, Opener, best_opener
from tools.errors import ToolFailed, WorkspaceError
from tools.nearest import did_you_mean
from tools.pathnames import MAX_DEPTH, is_listed, show

MAX_FILES = 20_000
"""No more files than this are listed."""

Parts = tuple[str, ...]


_NAME = attrgetter("name")


class Found(NamedTuple):
    """One file of a walk."""

    path: str
    size: int
    changed: int
    """Time of the last change, in nanoseconds."""


class HeldFolder:
    """An existing folder.

    Raises:
        WorkspaceError: there is no folder at `path`.
    """

    def __init__(self, path: Path, opener: Opener | None = None) -> None:
        self.path = _resolved(path)
        self._opener = opener or best_opener()
        self._held = os.open(self.path, FOLDER_FLAGS)
        self._identity = _identity(os.fstat(self._held))
        weakref.finalize(self, os.close, self._held)

    def open_file(self, parts: Parts, path: str) -> int:
        """A descriptor of the regular file, for reading; `path` is how messages call it."""
        self.check()
        return self.open_file_in(self._held, parts, path)

    def open_file_in(self, folder: int, parts: Parts, path: str) -> int:
        """The same, below a folder that `folder` gave."""
        with self.explained(path):
            file = self._opener.open(folder, parts, FILE_FLAGS)
        kind = os.fstat(file).st_mode
        if stat.S_ISREG(kind):
            return file
        os.close(file)
        if stat.S_ISDIR(kind):
            raise WorkspaceError(f"{show(path)} is a folder; name a file in it")
        raise WorkspaceError(f"{show(path)} is no regular file; it cannot be opened")

    @contextlib.contextmanager
    def folder(self, parts: Parts, path: str) -> Iterator[int]:
        """A descriptor of the folder below, closed afterwards."""
        self.check()
        with self.explained(path):
            folder = self._opener.open(self._held, parts, FOLDER_FLAGS)
        try:
            yield folder
        finally:
            os.close(folder)

    def make_folders(self, parts: Parts) -> None:
        """Make the folder and those on the way to it, where they are missing."""
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            with self.explained(path):
                try:
                    os.close(self._opener.open(self._held, parts[:depth], FOLDER_FLAGS))
                except FileNotFoundError:
                    with self.folder(parts[: depth - 1], path) as above:
                        durable.make_folder_at(above, parts[depth - 1])

    def check(self) -> None:
        """The folder we hold must still be the one that the user named.

        Raises:
            ToolFailed: it was removed, moved or replaced.
        """
        try:
            is_same = _identity(os.lstat(self.path)) == self._identity
        except OSError:
            is_same = False
        if not is_same:
            raise ToolFailed(f"the workspace {self.path} was removed or replaced during the run")

    def walk(
        self, *, stats: bool = False, on_folder: Callable[[str], object] = lambda _: None
    ) -> Iterator[Found]:
        """Every regular file that can be named, folder by folder, `MAX_FILES` at most.

        Links, special files and hidden names are passed over.

        Args:
            stats: find out sizes and times too.
            on_folder: told of every folder, before its files come.
        """
        # A fresh descriptor, since scanning moves the position that a descriptor's copies share.
        with self.folder((), ".") as top:
            for number, found in enumerate(_walk(top, "", 1, stats, on_folder), 1):
                yield found
                if number == MAX_FILES:
                    return

    @contextlib.contextmanager
    def explained(self, path: str) -> Iterator[None]:
        """Turn the system's errors about `path` into ones that say what would work."""
        try:
            yield
        except WriteFailed as error:
            raise ToolFailed(str(error)) from error
        except OSError as error:
            raise self._explanation(path, error) from error

    def _explanation(self, path: str, error: OSError) -> WorkspaceError | ToolFailed:
        shown = show(path)
        match error.errno:
            case errno.ENOENT:
                hint = did_you_mean(path, self._names)
                return WorkspaceError(f"there is no {shown} in the workspace{hint}")
            case errno.ELOOP | errno.EXDEV:
                return WorkspaceError(f"{shown} is or passes a link; links are not followed")
            case errno.ENOTDIR:
                return WorkspaceError(f"{shown} passes a file or a link as if it were a folder")
            case errno.ENXIO:
                return WorkspaceError(f"{shown} is no regular file; it cannot be opened")
            case errno.ENAMETOOLONG:
                return WorkspaceError(f"the path {shown} is too long")
            case _:
                return ToolFailed(f"{shown} cannot be used: {error.strerror or error}")

    def _names(self) -> Sequence[str]:
        return sorted(found.path for found in self.walk())


def _walk(
    folder: int, prefix: str, depth: int, stats: bool, on_folder: Callable[[str], object]
) -> Iterator[Found]:
    folders = []
    with os.scandir(folder) as entries:
        listed = sorted([e for e in entries if is_listed(e.name)], key=_NAME)
    for entry in listed:
        if entry.is_file(follow_symlinks=False):
            path = prefix + entry.name
            if not stats:
                yield Found(path, 0, 0)
                continue
            try:
                facts = os.stat(entry.name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield Found(path, facts.st_size, facts.st_mtime_ns)
        elif depth < MAX_DEPTH and entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
    for name in folders:
        try:
            deeper = os.open(name, FOLDER_FLAGS, dir_fd=folder)
        except OSError:  # gone, swapped for a link, or not ours to read
            continue
        on_folder(prefix + name)
        try:
            yield from _walk(deeper, f"{prefix}{name}/", depth + 1, stats, on_folder)
        finally:
            os.close(deeper)


def _resolved(path: Path) -> Path:
    try:
        resolved = Path(path).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise WorkspaceError(
            f"the workspace {str(path)!r} does not exist; make it or name another folder"
        ) from None
    if not resolved.is_dir():
        raise WorkspaceError(f"the workspace {str(path)!r} is no folder; name a folder")
    return resolved


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino
