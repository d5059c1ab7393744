"""What happened in a tuning job: `events.jsonl`, one JSON object a line, written by its process.

Each has `time`, `attempt` and `type`. Those of type `progress` carry the figures: stage, step,
steps, loss, score, note. Readers skip a line that a kill has torn.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.tuning.methods.base import Progress

Event = Mapping[str, Any]


class EventWriter:
    """Adds events to a job's file; a kill loses at most the last one."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._attempt = attempt
        self._file = path.open("a+b", buffering=0)
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":  # torn by a kill
                self._file.write(b"\n")

    def __call__(self, event: Event | Progress) -> dict[str, Any]:
        """Add one and return it as written. A Progress becomes one of type `progress`."""
        facts = progress_facts(event) if isinstance(event, Progress) else event
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = plain({"time": now, "attempt": self._attempt, **facts})
        text = json.dumps(line, ensure_ascii=False, allow_nan=False, default=str)
        self._file.write(text.encode("utf-8", "replace") + b"\n")
        return line

    def close(self) -> None:
        self._file.close()


def progress_facts(progress: Progress) -> dict[str, Any]:
    """What a progress says, without what it leaves open."""
    facts = {"type": "progress", "stage": progress.stage, "step": progress.step}
    if progress.steps:
        facts["steps"] = progress.steps
    for name in ("loss", "score", "note"):
        if (value := getattr(progress, name)) not in (None, ""):
            facts[name] = value
    return facts


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN and Inf become words."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def read_events(path: Path, after: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Whole events from that byte on, and the byte to go on from."""
    try:
        with path.open("rb") as file:
            file.seek(after)
            data = file.read()
    except OSError:
        return [], after
    whole = data[: data.rfind(b"\n") + 1]
    found = []
    for line in whole.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    events = [each for each in found if isinstance(each, dict) and "type" in each]
    return events, after + len(whole)
