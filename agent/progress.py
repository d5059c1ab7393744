"""Shows how far a download or a conversion is: a bar at a terminal, a few plain lines elsewhere."""

import sys
from typing import Self, TextIO

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from agent.console import Console
from agent.safe_text import safe_text

PLAIN_SHARES = 4
"""Without a terminal, a line is printed each time so many parts of the work are done."""


class ProgressBar:
    """Called with (what, done, total) in bytes; total may be unknown. Use it as a context."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr, markup=False, highlight=False)
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int | None = None) -> None:
        label = safe_text(what, one_line=True)
        if self._console.is_terminal:
            self._draw(label, done, total)
        else:
            self._tell(label, done, total)

    def close(self) -> None:
        """End the bar, so that other lines can be printed."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = None
        self._tasks.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, label: str, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        if label not in self._tasks:
            self._tasks[label] = self._bar.add_task(label, total=total)
        self._bar.update(self._tasks[label], completed=done, total=total)

    def _tell(self, label: str, done: int, total: int | None) -> None:
        share = done * PLAIN_SHARES // total if total else 0
        if share > self._told.get(label, -1):
            self._told[label] = share
            percent = f" {share * 100 // PLAIN_SHARES} %" if total else ""
            self._console.print(f"{label}{percent}", soft_wrap=True)
