"""The one place for durable writes: a file is either as it was or as it should be, never between.

Temp file in the same folder, write all, fsync, replace, fsync the folder. Everything works from a
folder's descriptor, so that a caller who holds one (the workspace) cannot be led elsewhere.

Covered: death of the process at any point, power loss on a disk that honours fsync, a full disk.
Not covered: a disk that lies about fsync; two writers of one name (the last one wins, whole).
"""

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from memory.errors import DiskFull, StoreError, WriteFailed

TEMP_PREFIX = ".tuneward-"
TEMP_SUFFIX = ".tmp"
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
LEFTOVER_SECONDS = 60
"""A temp file younger than this is left alone: its writer may be about to lock it."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def replace(path: Path, data: bytes | Iterable[bytes], *, mode: int = 0o600) -> None:
    """Write `data` to `path`, whole or not at all; missing folders are made.

    Raises:
        DiskFull: no room; `path` is as it was.
        WriteFailed: any other refusal; `path` is as it was unless the message says otherwise.
    """
    make_folders(path.parent)
    with open_folder(path.parent) as folder:
        replace_at(folder, path.name, data, mode=mode)


def replace_at(
    folder: int,
    name: str,
    data: bytes | Iterable[bytes],
    *,
    mode: int = 0o666,
    exact_mode: int | None = None,
) -> os.stat_result:
    """Write `data` to `name` in the open `folder`, whole or not at all.

    Args:
        mode: permissions of the file, as far as the umask allows.
        exact_mode: permissions to set whatever the umask says; those of the replaced file, say.
    """
    temp = f"{TEMP_PREFIX}{secrets.token_hex(8)}{TEMP_SUFFIX}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    replaced = False
    with _typed_errors(name):
        file = os.open(temp, flags, mode, dir_fd=folder)
        try:
            # The lock tells `sweep` that the writer is alive.
            fcntl.flock(file, fcntl.LOCK_EX)
            if exact_mode is not None:
                os.fchmod(file, exact_mode)
            _write_all(file, data)
            sync(file)
            os.replace(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
            replaced = True
            written = os.fstat(file)
        finally:
            os.close(file)
            if not replaced:
                with contextlib.suppress(OSError):
                    os.unlink(temp, dir_fd=folder)
        sync_folder(folder, name)
    return written


def append(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Add `data` at the end of a file of ours and wait until it is on the disk.

    A crash can leave part of `data` behind, so readers of such a file skip a torn last line.
    """
    make_folders(path.parent)
    is_new = not path.exists()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with _typed_errors(path.name):
        file = os.open(path, flags, mode)
        try:
            before = os.fstat(file).st_size
            try:
                _write_all(file, data)
            except OSError:
                os.ftruncate(file, before)
                raise
            sync(file)
        finally:
            os.close(file)
        if is_new:
            with open_folder(path.parent) as folder:
                sync_folder(folder, path.name)


def make_folders(path: Path, *, mode: int = 0o700) -> None:
    """Make a folder and its missing parents, each synced into its own parent."""
    if path.is_dir():
        return
    make_folders(path.parent, mode=mode)
    with open_folder(path.parent) as parent:
        make_folder_at(parent, path.name, mode=mode)


def make_folder_at(folder: int, name: str, *, mode: int = 0o777) -> None:
    """Make folder `name` in the open `folder`, unless something of that name is there."""
    with _typed_errors(name), contextlib.suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=folder)
        sync_folder(folder, name)


@contextlib.contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """A descriptor of the folder at `path`, closed afterwards."""
    with _typed_errors(str(path)):
        folder = os.open(path, FOLDER_FLAGS)
    try:
        yield folder
    finally:
        os.close(folder)


def sync(file: int) -> None:
    """Wait until what was written to the descriptor is on the disk."""
    full = getattr(fcntl, "F_FULLFSYNC", None)  # on macOS, fsync alone stops at the drive's cache
    if full is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(file, full)
            return
    os.fsync(file)


def sync_folder(folder: int, name: str = "") -> None:
    """Wait until the folder's entries are on the disk.

    Raises:
        WriteFailed: the change to `name` is visible but may not survive a power loss.
    """
    try:
        sync(folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            return
        raise WriteFailed(
            f"{name!r} was changed, but the disk did not confirm it ({error.strerror}); "
            "check the disk before relying on it"
        ) from error


def sweep(folder: int) -> int:
    """Remove temp files that dead writers left in the open `folder`; says how many."""
    swept = 0
    for name in os.listdir(folder):
        if not (name.startswith(TEMP_PREFIX) and name.endswith(TEMP_SUFFIX)):
            continue
        with contextlib.suppress(OSError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(name, flags, dir_fd=folder)
            try:
                if time.time() - os.fstat(file).st_mtime < LEFTOVER_SECONDS:
                    continue
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=folder)
                swept += 1
            finally:
                os.close(file)
    return swept


def _write_all(file: int, data: bytes | Iterable[bytes]) -> None:
    pieces = (data,) if isinstance(data, bytes) else data
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(file, rest) :]


@contextlib.contextmanager
def _typed_errors(name: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(
                f"no room to write {name!r} ({error.strerror}); nothing was changed, "
                "free some space and go on"
            ) from error
        raise WriteFailed(f"could not write {name!r}: {error.strerror or error}") from error
