"""Writes down what happens in a run: journal, state and listener hear the same, in this order."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent.context import shorten
from agent.events import EventType, Listener
from agent.journal import Journal
from agent.state import RunState
from tools.workspace import Workspace


class Recorder:
    """Keeps one run's journal, its state and its clock in step."""

    def __init__(
        self,
        *,
        state: RunState,
        journal: Journal,
        listener: Listener,
        workspace: Workspace,
        count_text: Callable[[str], int],
        result_tokens: int,
        beside: Callable[[], str] = str,
    ) -> None:
        """Args:
        count_text: tokens of a text by the model's own tokenizer.
        result_tokens: a longer result is shown shortened, with a handle to read on.
        beside: what else counts as changed when it differs: the skills that there are.
        """
        self.state = state
        self.listener = listener
        self._journal = journal
        self._workspace = workspace
        self._count_text = count_text
        self._result_tokens = result_tokens
        self._beside = beside
        self._started = time.monotonic()
        self._seconds_before = state.usage.seconds

    def add(
        self, type: EventType, data: Mapping[str, Any], private: Mapping[str, Any] | None = None
    ) -> None:
        """Take an event into the state; it is on disk after the next `commit`."""
        elapsed = round(self.elapsed(), 3)
        event = self._journal.add(type, data, {**(private or {}), "elapsed": elapsed})
        self.state.apply(event)

    def commit(self) -> None:
        """Put on disk what was added, then tell the listener."""
        for event in self._journal.commit():
            self.listener.event(event)

    def at_once(self, type: EventType, data: Mapping[str, Any]) -> None:
        """Record an event of the coming step before anything else happens."""
        self.add(type, {"step": self.state.step + 1, **data})
        self.commit()

    def called(self, arguments: Mapping[str, Any], effect: str) -> None:
        """Record the intent of the pending call; once committed, its effect may have happened."""
        assert self.state.pending is not None
        self.add(
            "tool_called",
            {
                "step": self.state.step + 1,
                "call_id": self.state.pending["call_id"],
                "tool": self.state.pending["name"],
                "arguments": dict(arguments),
                "effect": effect,
            },
            {"before": self.world()},
        )

    def returned(self, ok: bool, text: str, *, note: str = "", seconds: float = 0.0) -> None:
        """Record the outcome; it is committed with whatever is found out about it next.

        Args:
            note: what the host adds for the model, below the result.
        """
        call = self.state.open_call
        assert call is not None
        handle = f"r{call['step']}"
        short = shorten(text, handle, self._result_tokens, self._count_text)
        self.add(
            "tool_returned",
            {
                "step": call["step"],
                "call_id": call["call_id"],
                "tool": call["tool"],
                "ok": ok,
                "result": short or text,
                "handle": handle if short else None,
                "seconds": round(seconds, 3),
            },
            {
                "shown": f"{short or text}\n{note}".strip(),
                **({"full": text} if short else {}),
                "written": sorted(self._workspace.written),
                "after": self.world(),
            },
        )

    def world(self) -> str:
        """Changes when the workspace does, or what lies beside it."""
        beside = self._beside()
        return f"{self._workspace.state()}{beside and ' '}{beside}"

    def forget(self) -> None:
        """Give up what was added since the last commit: the disk is full."""
        self._journal.forget()

    def elapsed(self) -> float:
        """Seconds of work on this run, those before a resume included."""
        return self._seconds_before + time.monotonic() - self._started

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time in which a person is asked does not count."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._started += time.monotonic() - began
