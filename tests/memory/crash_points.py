"""Kills a writer at every system call it makes: `python crash_points.py FOLDER HOW`.

For each k a child process overwrites `FOLDER/k/file` and is killed just before its k-th call of the
operating system, until one gets through. HOW is `durable`, or `naive` for the control that a plain
write is: it shows that the kills do harm where nothing prevents it.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = (
    *("open", "write", "fsync", "replace", "close"),
    *("fchmod", "unlink", "mkdir", "rename", "rmdir"),
)
OLD = b"old " * 1_000
NEW = b"new " * 1_000


def kill_before(point: int) -> None:
    """From now on, the process dies just before its `point`-th call."""
    left = point

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counting

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def overwrite(path: Path, how: str) -> None:
    """Write NEW over OLD, in two pieces."""
    from memory import durable

    if how == "durable":
        durable.replace(path, iter((NEW[:2_000], NEW[2_000:])))
        return
    file = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(file, NEW[:2_000])
    os.write(file, NEW[2_000:])
    os.close(file)


def at_every_point(begin: Callable[[int], Callable[[], object]], most: int = 400) -> None:
    """Kill a write before each of its calls in turn, and print how many points there were.

    Args:
        begin: makes ready for one point; gives the write, which a child process carries out.
    """
    for point in range(most):
        write = begin(point)
        child = os.fork()
        if child == 0:
            kill_before(point)
            write()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status) != 0:
                sys.exit("the writer failed")
            print(point + 1)
            return
    sys.exit("the writer never got through")


def main(folder: Path, how: str) -> None:
    def begin(point: int) -> Callable[[], object]:
        path = folder / str(point) / "file"
        path.parent.mkdir(parents=True)
        path.write_bytes(OLD)
        return lambda: overwrite(path, how)

    at_every_point(begin)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
