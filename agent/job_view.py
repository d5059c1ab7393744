"""Shows a tuning job at work: a bar at a terminal, lines elsewhere; the same lines as its log."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Self, TextIO

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from agent.console import Console
from agent.safe_text import safe_text

PLAIN_SECONDS = 5.0
"""Without a terminal the progress of a fit is told of this often at most."""
_SHOWN = ("method", "candidate", "block", "stage", "step", "steps", "loss", "score", "note")
_WORDS = ("phase", "why", "message", "note")
"""What speaks for itself."""
_HIDDEN = {"type", "time", "attempt", "label", "blocks", "seconds", "lines", *_WORDS, *_SHOWN}


def line_of(event: Mapping[str, Any]) -> str:
    """An event in a line: who, where, how good, and what there is to say."""
    parts = [subject_of(event)]
    if event.get("steps"):
        parts.append(f"step {event.get('step')}/{event['steps']}")
    elif event.get("step"):
        parts.append(f"step {event['step']}")
    if event.get("block") is not None:
        of = f"/{event['blocks']}" if event.get("blocks") else ""
        parts.append(f"block {_counted(event['block'])}{of}")
    parts += [
        f"{name} {_number(event[name])}" for name in ("loss", "score") if _is_set(event, name)
    ]
    if _is_set(event, "seconds"):
        parts.append(f"{_number(event['seconds'])} s")
    parts += [str(event[name]) for name in _WORDS if event.get(name)]
    parts += [
        f"{name} {_number(value)}"
        for name, value in event.items()
        if name not in _HIDDEN and isinstance(value, str | int | float) and value != ""
    ]
    return safe_text(", ".join(part for part in parts if part), one_line=True)


def lines_of(event: Mapping[str, Any]) -> list[str]:
    """An event in all its lines; most have one."""
    more = event.get("lines")
    more = more if isinstance(more, list) else []
    return [line_of(event), *(safe_text(f"  {line}", one_line=True) for line in more)]


def subject_of(event: Mapping[str, Any]) -> str:
    """What an event is about: the method with its settings, and the stage."""
    who = event.get("label") or event.get("method") or ""
    what = event.get("stage") or str(event.get("type", "")).replace("_", " ")
    return f"{who} {what}".strip()


class JobView:
    """Called with a job's events. Use it as a context: the bar ends with it."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = Console(file=stream or sys.stderr, markup=False, highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._clock = clock
        self._told = float("-inf")

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event.get("type") != "progress" or event.get("note"):
            for line in lines_of(event):
                self._say(line)
        elif self._console.is_terminal:
            self._draw(event)
        elif self._clock() - self._told >= PLAIN_SECONDS:
            self._told = self._clock()
            self._say(line_of(event))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = None

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def _draw(self, event: Mapping[str, Any]) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[figures]}", markup=False),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", figures="")
            self._bar.start()
        assert self._task is not None
        figures = [f"{n} {_number(event[n])}" for n in ("loss", "score") if _is_set(event, n)]
        self._bar.update(
            self._task,
            description=safe_text(subject_of(event), one_line=True),
            completed=event.get("step", 0),
            total=event.get("steps") or None,
            figures=", ".join(figures),
        )


def _is_set(event: Mapping[str, Any], name: str) -> bool:
    return event.get(name) is not None


def _counted(place: object) -> object:
    """People count from 1."""
    return place + 1 if isinstance(place, int) else place


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
