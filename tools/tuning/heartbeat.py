"""The sign of life of a job's process: twice a second, how long it has worked and its memory.

The kernel kills a process that takes the last memory without a word to it. What the heartbeat said
last tells such a death from a person's `kill -9`.
"""

import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Self

from models.footprint import machine_memory
from tools.tuning.job_folder import Heartbeat, Job

SECONDS = 0.5
FULL_SHARE = 0.9
"""Of the limit: a process that holds so much stood at it."""
EMPTY_SHARE = 0.05
"""Of the limit: where no more is free, the process stood at it whatever it held itself."""
_GROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""cgroup v1 gives a number beyond this where there is no limit."""


class Pulse:
    """Writes the heartbeat of this process while it is open; use it as a context."""

    def __init__(self, job: Job, attempt: int, seconds_before: float) -> None:
        self._job = job
        self._attempt = attempt
        self._before = seconds_before
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def seconds_used(self) -> float:
        """By this attempt and those before it."""
        return self._before + time.monotonic() - self._began

    def beat(self) -> None:
        """Write one now."""
        memory, free, limit = memory_now()
        self._job.beat(
            Heartbeat(
                pid=os.getpid(),
                attempt=self._attempt,
                time=time.time(),
                seconds_used=self.seconds_used(),
                memory=memory,
                free=free,
                limit=limit,
            )
        )

    def __enter__(self) -> Self:
        self.beat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.beat()

    def _run(self) -> None:
        while not self._over.wait(SECONDS):
            self.beat()


def stood_at_limit(last: Heartbeat | None, limit: int | None = None) -> bool:
    """The process had no memory left when it last said something.

    Args:
        limit: bytes that it could have, where that is known to be less than the machine has.
    """
    if last is None:
        return False
    most = min(last.limit, limit or last.limit)
    return last.memory >= FULL_SHARE * most or last.free <= EMPTY_SHARE * last.limit


def memory_now() -> tuple[int, int, int]:
    """Bytes of main memory: held by this process, free, and in all.

    Free and in all are those of the machine, or of the group of processes (a container, say) that
    this one is confined to where that has less.
    """
    limit, free = machine_memory()
    for group_limit, group_free in _groups():
        limit, free = min(limit, group_limit), min(free, group_free)
    return _held(), free, limit


def _held() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):  # macOS tells the most that it ever held
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _groups() -> list[tuple[int, int]]:
    """Limit and free bytes of every control group around this process that has a limit."""
    found = []
    for folder, limit_name, used_name in _group_folders():
        try:
            limit = int((folder / limit_name).read_text())
            used = int((folder / used_name).read_text())
            facts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # no such group, or `max`
            continue
        if limit < _UNLIMITED:
            cache = int(facts.get("inactive_file", facts.get("total_inactive_file", 0)))
            found.append((limit, max(limit - used + cache, 0)))
    return found


def _group_folders() -> list[tuple[Path, str, str]]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        steps = [step for step in path.split("/") if step]
        for depth in range(len(steps) + 1):
            inner = Path(*steps[:depth])
            if kinds == "":
                found.append((_GROUPS / inner, "memory.max", "memory.current"))
            elif "memory" in kinds.split(","):
                folder = _GROUPS / "memory" / inner
                found.append((folder, "memory.limit_in_bytes", "memory.usage_in_bytes"))
    return found
