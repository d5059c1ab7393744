"""Work in a forked child under strace, whose system calls are counted, killed or made to fail.

`traced_store.py`, `traced_ingest.py` and `traced_naive.py` do it to the work on a small memory:
they count its calls once, then do it again on a new copy for every point, with the harm done there.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "ftruncate,mkdir,mkdirat"
)
"""Those that can change the disk."""
NEED_ROOM = {"openat", "write", "pwrite64", "ftruncate", "mkdir", "mkdirat"}
PR_SET_PTRACER, ANYONE = 0x59616D61, -1

T = TypeVar("T")
Say = Callable[[str], None]
Work = Callable[[Say], None]
"""What a child does; it may say lines meanwhile."""


@dataclass(frozen=True)
class Point:
    """One system call of some work, and the harm done just before it or in its place."""

    call: str
    k: int
    """The k-th of this kind."""
    harm: str
    """As `inject` of strace takes it."""

    def __str__(self) -> str:
        return f"{self.call} {self.k}, {self.harm}"


def kills(calls: Counter[str]) -> list[Point]:
    """SIGKILL just before each of the calls."""
    return [
        Point(call, k, "signal=SIGKILL")
        for call, times in sorted(calls.items())
        for k in range(1, times + 1)
    ]


def faults(calls: Counter[str]) -> list[Point]:
    """Each of the calls fails, with EIO, and with ENOSPC where it can need room."""
    return [
        Point(call, k, f"error={error}")
        for call, times in sorted(calls.items())
        for k in range(1, times + 1)
        for error in ("EIO", "ENOSPC")
        if error == "EIO" or call in NEED_ROOM
    ]


def spread(points: list[T], count: int) -> list[T]:
    """So many of them, evenly spread; all where `count` is 0."""
    if not count or len(points) <= count:
        return points
    return [points[i * len(points) // count] for i in range(count)]


def copies(base: Path, points: Sequence[T]) -> Iterator[tuple[Path, T]]:
    """Each point with a new copy of the folder, which is removed afterwards."""
    for number, point in enumerate(points):
        copy = base.with_name(f"try{number}")
        shutil.copytree(base, copy)
        yield copy, point
        shutil.rmtree(copy)


class Child:
    """A forked process that does some work when told to, and can be watched."""

    def __init__(self, work: Work) -> None:
        start, self._go = os.pipe()
        self._said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYONE, 0, 0, 0)
                os.read(start, 1)
                work(lambda text: tell(say, text))
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        os.close(start)
        os.close(say)

    def go(self) -> None:
        os.write(self._go, b".")

    def wait(self) -> tuple[int | None, list[str]]:
        """Exit code (None where it was killed) and what it said."""
        with os.fdopen(self._said) as said:
            lines = said.read().splitlines()
        _, status = os.waitpid(self.pid, 0)
        os.close(self._go)
        return (os.WEXITSTATUS(status) if os.WIFEXITED(status) else None), lines


def tell(pipe: int, text: str) -> None:
    """Write a line; the pipe is ours, so a fault that hits it is not the memory's."""
    with contextlib.suppress(OSError):
        os.write(pipe, f"{text}\n".encode())
        return
    os.write(pipe, f"{text}\n".encode())


def traced(child: Child, *options: str) -> tuple[int | None, list[str]]:
    """Run the child under strace, from its start signal on."""
    command = ["strace", "-q", "-p", str(child.pid), "-e", f"trace={CALLS}", *options]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    status = Path(f"/proc/{child.pid}/status")
    deadline = time.monotonic() + 20
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            sys.exit(f"strace cannot attach: {tracer.communicate()[1].decode()}")
        time.sleep(0.001)
    child.go()
    ended = child.wait()
    tracer.communicate()
    return ended


def calls_of(work: Work, log: Path) -> Counter[str]:
    """How often the work makes each call."""
    code, said = traced(Child(work), "-o", str(log))
    assert (code, said[-1:]) == (0, ["done"]), said
    names = (line.partition("(")[0] for line in log.read_text().splitlines() if "(" in line)
    return Counter(name for name in names if name in CALLS.split(","))


def harmed(work: Work, point: Point) -> tuple[int | None, list[str]]:
    """Do the work with the harm; exit code (None where it was killed) and what was said."""
    inject = f"inject={point.call}:{point.harm}:when={point.k}"
    return traced(Child(work), "-o", "/dev/null", "-e", inject)


def in_child(work: Callable[[], Any]) -> Any:
    """The result of the work, done in a process of its own (FAISS and forks do not mix)."""
    child = Child(lambda say: say(json.dumps(work())))
    child.go()
    code, lines = child.wait()
    assert code == 0, "the check failed"
    return json.loads(lines[0])
