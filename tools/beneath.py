"""Opens files and folders below a folder, and nothing else, whatever links lie on the way.

The kernel enforces it: `openat2` with RESOLVE_BENEATH, NO_SYMLINKS and NO_MAGICLINKS where there is
one (Linux 5.6), else one component after the other with O_NOFOLLOW. No path is ever compared as a
string. Callers pass components that `tools/pathnames.py` has split: no `..`, no slash, no NUL.
"""

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Sequence
from typing import Protocol

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe waits for a writer.
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_SYS_OPENAT2 = 437  # the same on every architecture that CPython runs on, alpha excepted
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08


class Opener(Protocol):
    """A way to open what lies below the folder with descriptor `root`."""

    def open(self, root: int, parts: Sequence[str], flags: int) -> int:
        """A descriptor; ELOOP, EXDEV or ENOTDIR where a link is on the way."""


class ByComponent:
    """Walks down one folder at a time; every step refuses a symbolic link."""

    def open(self, root: int, parts: Sequence[str], flags: int) -> int:
        if not parts:
            return os.open(".", flags, dir_fd=root)
        folder = root
        try:
            for part in parts[:-1]:
                deeper = os.open(part, FOLDER_FLAGS, dir_fd=folder)
                if folder != root:
                    os.close(folder)
                folder = deeper
            return os.open(parts[-1], flags | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            if folder != root:
                os.close(folder)


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


class Openat2:
    """One system call, resolved by the kernel as a whole."""

    def __init__(self) -> None:
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long

    def open(self, root: int, parts: Sequence[str], flags: int) -> int:
        path = os.fsencode("/".join(parts) or ".")
        how = _OpenHow(flags | os.O_CLOEXEC, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
        for _ in range(100):
            file = self._syscall(
                ctypes.c_long(_SYS_OPENAT2),
                ctypes.c_int(root),
                ctypes.c_char_p(path),
                ctypes.byref(how),
                ctypes.c_size_t(ctypes.sizeof(how)),
            )
            if file >= 0:
                return int(file)
            number = ctypes.get_errno()
            # EAGAIN: something was renamed meanwhile and the kernel could not be sure.
            if number not in (errno.EAGAIN, errno.EINTR):
                break
        raise OSError(number, os.strerror(number), os.fsdecode(path))


@functools.cache
def best_opener() -> Opener:
    """`Openat2` where this system has it, else `ByComponent`."""
    if not sys.platform.startswith("linux"):
        return ByComponent()
    here = os.open("/", FOLDER_FLAGS)
    try:
        opener = Openat2()
        os.close(opener.open(here, (), FOLDER_FLAGS))
    except (OSError, AttributeError):  # an old kernel, or a filter that forbids the call
        return ByComponent()
    else:
        return opener
    finally:
        os.close(here)
