"""Shows a run while it works: plan, steps, the model's words, results, checks, all on stderr.

At a terminal the model's text streams in colour; elsewhere there is one plain line for each thing
that happened. Every word that came from a file or a model passes `safe_text`.
"""

import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

from rich.text import Text

from agent.console import Console
from agent.errors import Interrupted, LimitReached
from agent.events import Event
from agent.safe_text import safe_text
from agent.stdout import results

RESULT_LINES = 6
"""Lines of a tool's result that are shown; the journal has the rest."""
ARGUMENT_WIDTH = 60


class TerminalView:
    """A `Listener` that prints what happens."""

    def __init__(self, stream: TextIO | None = None, *, live: bool | None = None) -> None:
        """Args:
        stream: where to print; stderr where left out.
        live: stream the model's text as it comes; by default only at a terminal.
        """
        out = stream or sys.stderr
        self._console = Console(
            file=out,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
            no_color=bool(os.environ.get("NO_COLOR")) or None,
        )
        self._live = self._console.is_terminal if live is None else live
        self._streaming = False
        self._show: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "run_started": self._started,
            "planned": self._planned,
            "replied": self._replied,
            "tool_called": self._called,
            "tool_returned": self._returned,
            "approval_asked": self._asked,
            "approval_given": self._given,
            "job_progress": self._progress,
            "reflected": self._reflected,
            "checked": self._checked,
            "run_finished": self._finished,
        }

    def event(self, event: Event) -> None:
        self._end_stream()
        self._show[event.type](event.data)

    def text(self, piece: str) -> None:
        if self._live:
            self._streaming = True
            self._console.print(Text(safe_text(piece), style="dim"), end="")

    def close(self) -> None:
        """End a line that was still streaming."""
        self._end_stream()

    def _end_stream(self) -> None:
        if self._streaming:
            self._streaming = False
            self._console.print()

    def _line(self, text: str, *, style: str = "", indent: int = 0) -> None:
        width = self._console.width - indent if self._console.is_terminal else None
        body = safe_text(text, one_line=True, width=width)
        self._console.print(Text(" " * indent + body, style=style))

    def _started(self, data: Mapping[str, Any]) -> None:
        self._line(f"goal: {data['goal']}", style="bold")
        if data.get("resumed"):
            self._line("goes on where it stopped")
            return
        self._line(f"model {data['model']}, mode {data['mode']}, workspace {data['workspace']}")
        for check in data["checks"]:
            self._line(f"check: {_label(check)}", indent=2)

    def _planned(self, data: Mapping[str, Any]) -> None:
        self._line("plan:" if data.get("revision", 1) <= 1 else "new plan:", style="bold")
        for number, item in enumerate(data["plan"], 1):
            self._line(f"{number}. {item}", indent=2)

    def _replied(self, data: Mapping[str, Any]) -> None:
        said = data.get("thought") or ("" if data.get("call") else data.get("text"))
        if said and not self._live:
            self._line(f"step {data['step']}: {said}")

    def _called(self, data: Mapping[str, Any]) -> None:
        arguments = ", ".join(
            f"{name}={safe_text(repr(value), width=ARGUMENT_WIDTH, one_line=True)}"
            for name, value in data["arguments"].items()
        )
        self._line(f"step {data['step']}: {data['tool']}({arguments})", style="cyan")

    def _returned(self, data: Mapping[str, Any]) -> None:
        lines = str(data["result"]).splitlines() or ["(nothing)"]
        style = "" if data["ok"] else "yellow"
        for line in lines[:RESULT_LINES]:
            self._line(line, style=style, indent=2)
        if len(lines) > RESULT_LINES:
            self._line(f"... {len(lines) - RESULT_LINES} more lines", style="dim", indent=2)

    def _asked(self, data: Mapping[str, Any]) -> None:
        self._line(f"approval needed: {data['tool']} ({data['effect']})", style="yellow")

    def _given(self, data: Mapping[str, Any]) -> None:
        self._line(f"approval: {data['answer']}", style="yellow")

    def _progress(self, data: Mapping[str, Any]) -> None:
        self._line(", ".join(f"{name} {value}" for name, value in data.items()), style="dim")

    def _reflected(self, data: Mapping[str, Any]) -> None:
        self._line(f"reflection: {data['text']}", style="italic")

    def _checked(self, data: Mapping[str, Any]) -> None:
        for each in data["results"]:
            word, style = ("holds", "green") if each["passed"] else ("fails", "red")
            kind = "audit" if data["when"] == "audit" else "check"
            found = f": {each['found']}" if each.get("found") else ""
            self._line(f"{kind} {word}: {_label(each['check'])}{found}", style=style)

    def _finished(self, data: Mapping[str, Any]) -> None:
        usage = data.get("usage") or {}
        self._line(
            f"{usage.get('prompt', 0)} prompt tokens ({usage.get('cached', 0)} cached),"
            f" {usage.get('generated', 0)} generated, {usage.get('seconds', 0):.1f} s",
            style="dim",
        )


class WhileRead:
    """A `Listener` that stops the run once nobody reads what it shows; the run can be resumed."""

    def __init__(self, inner: "JsonLines | TerminalView") -> None:
        self._inner = inner
        self._gone: Interrupted | LimitReached | None = None

    def event(self, event: Event) -> None:
        """Raises Interrupted where the reader is gone, LimitReached where its disk is full."""
        if event.type == "run_finished" and self._gone is not None:
            return
        self._tell(lambda: self._inner.event(event))

    def text(self, piece: str) -> None:
        self._tell(lambda: self._inner.text(piece))

    def close(self) -> None:
        with suppress(OSError):
            self._inner.close()

    def _tell(self, show: Callable[[], None]) -> None:
        if self._gone is None:
            try:
                return show()
            except OSError as error:
                why = error.strerror or str(error)
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    self._gone = LimitReached("disk_full", f"the output was not written: {why}")
                else:
                    self._gone = Interrupted(f"nobody reads the output any more ({why})")
        raise self._gone


class JsonLines:
    """A `Listener` for programs: each event as one line on stdout."""

    def event(self, event: Event) -> None:
        print(event.to_json(), file=results(), flush=True)

    def text(self, piece: str) -> None:
        pass

    def close(self) -> None:
        pass


def _label(check: object) -> str:
    return check if isinstance(check, str) else str(check)
