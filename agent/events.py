"""What happened in a run, one frozen record each: the journal keeps them, all else reads them.

The terminal view, `--json`, `runs replay` and resume are readers of the same events. `private`
holds what only resume needs (token ids, whole results); it never leaves the journal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

EventType = Literal[
    "run_started",
    "planned",
    "replied",
    "tool_called",
    "tool_returned",
    "approval_asked",
    "approval_given",
    "job_progress",
    "reflected",
    "checked",
    "run_finished",
]
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `seq` counts from 1 within the run."""

    seq: int
    time: str
    """UTC, ISO 8601 with milliseconds."""
    run: str
    type: EventType
    data: Mapping[str, Any]
    private: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One flat JSON object on one line, as `--json` prints it."""
        head = {"schema": SCHEMA, "seq": self.seq, "time": self.time, "run": self.run}
        return dump({**head, "type": self.type, **self.data})


def dump(value: object) -> str:
    """Canonical JSON: UTF-8, no NaN, lone surrogates replaced (SQLite and terminals refuse them).

    Raises:
        ValueError: `value` holds NaN or an infinity.
        TypeError: `value` holds something that JSON does not know.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


class Listener(Protocol):
    """Watches a run as it happens."""

    def event(self, event: Event) -> None:
        """Called after the event is safe in the journal."""

    def text(self, piece: str) -> None:
        """A piece of the model's reply as it is generated; not an event."""


class Silent:
    """A listener for whom nobody is there."""

    def event(self, event: Event) -> None:
        pass

    def text(self, piece: str) -> None:
        pass
