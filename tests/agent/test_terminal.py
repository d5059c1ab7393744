"""Tests of agent/terminal.py and agent/progress.py: what a person and a program see of a run."""

import io
import json
from collections.abc import Mapping
from typing import Any, get_args

import pytest

from agent.events import Event, EventType
from agent.progress import ProgressBar
from agent.terminal import JsonLines, TerminalView

HOSTILE = "\x1b[2J\x1b]0;x\x07\u202e\u200b\x9b31m"

DATA: dict[str, dict[str, Any]] = {
    "run_started": {
        "goal": "Count",
        "model": "default",
        "mode": "ask",
        "workspace": "/w",
        "checks": ["file out.txt"],
    },
    "planned": {"plan": ["read it", "count it"], "revision": 1},
    "replied": {"step": 1, "thought": "I read it.", "call": {"name": "x"}, "text": "raw"},
    "tool_called": {"step": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
    "tool_returned": {"step": 1, "tool": "read_file", "ok": True, "result": "one\ntwo"},
    "approval_asked": {"tool": "delete_file", "effect": "delete"},
    "approval_given": {"tool": "delete_file", "answer": "no"},
    "job_progress": {"job": "j1", "done": 3},
    "reflected": {"step": 2, "text": "try another way"},
    "checked": {
        "when": "success",
        "results": [{"check": "file out.txt", "passed": False, "found": "no such file"}],
    },
    "run_finished": {
        "status": "done",
        "usage": {"prompt": 10, "cached": 4, "generated": 3, "seconds": 1.25},
    },
}


def _event(type: EventType, data: Mapping[str, Any]) -> Event:
    return Event(1, "2026-01-01T00:00:00.000Z", "r1", type, data)


def _shown(type: EventType, data: Mapping[str, Any] | None = None) -> str:
    out = io.StringIO()
    TerminalView(out, live=False).event(_event(type, DATA[type] if data is None else data))
    return out.getvalue()


@pytest.mark.parametrize(
    ("type", "words"),
    [
        ("run_started", "goal: Count"),
        ("run_started", "check: file out.txt"),
        ("planned", "2. count it"),
        ("replied", "step 1: I read it."),
        ("tool_called", "step 1: read_file(path='a.txt')"),
        ("tool_returned", "  two"),
        ("approval_asked", "approval needed: delete_file (delete)"),
        ("approval_given", "approval: no"),
        ("job_progress", "job j1, done 3"),
        ("reflected", "reflection: try another way"),
        ("checked", "check fails: file out.txt: no such file"),
        ("run_finished", "10 prompt tokens (4 cached), 3 generated, 1.2 s"),
    ],
)
def test_every_event_has_its_line(type: EventType, words: str) -> None:
    assert words in _shown(type)


def test_no_event_type_is_unknown_to_the_view() -> None:
    assert set(DATA) == set(get_args(EventType))
    for type in get_args(EventType):
        assert _shown(type)


def _poisoned(value: Any) -> Any:
    if isinstance(value, str):
        return value + HOSTILE
    if isinstance(value, list):
        return [_poisoned(item) for item in value]
    if isinstance(value, dict):
        return {_poisoned(k) if k == "path" else k: _poisoned(v) for k, v in value.items()}
    return value


@pytest.mark.parametrize("type", get_args(EventType))
def test_hostile_text_in_any_field_is_escaped(type: EventType) -> None:
    shown = _shown(type, _poisoned(DATA[type]))
    assert not set("\x1b\x07\u202e\u200b\x9b") & set(shown)


def test_a_long_result_is_shortened_and_counted() -> None:
    data = {**DATA["tool_returned"], "result": "\n".join(map(str, range(100)))}
    shown = _shown("tool_returned", data)
    assert "... 94 more lines" in shown
    assert len(shown.splitlines()) == 7


def test_the_raw_reply_is_only_shown_where_it_is_no_call() -> None:
    data = {"step": 1, "thought": "", "call": None, "text": "I cannot"}
    assert "I cannot" in _shown("replied", data)
    assert _shown("replied", {**data, "call": {"name": "x"}}) == ""


def test_streamed_text_is_escaped_and_ends_before_the_next_line() -> None:
    out = io.StringIO()
    view = TerminalView(out, live=True)
    for piece in ("Th", "is\x1b", "[2J"):
        view.text(piece)
    view.event(_event("reflected", {"step": 1, "text": "so"}))
    assert out.getvalue() == "This\\x1b[2J\nreflection: so\n"


def test_away_from_a_terminal_nothing_streams_and_nothing_is_coloured() -> None:
    out = io.StringIO()
    view = TerminalView(out)
    view.text("piece")
    view.event(_event("checked", DATA["checked"]))
    assert out.getvalue() == "check fails: file out.txt: no such file\n"


def test_json_lines_are_flat_objects(capsys: pytest.CaptureFixture[str]) -> None:
    JsonLines().event(_event("reflected", {"step": 1, "text": "so"}))
    assert json.loads(capsys.readouterr().out) == {
        "schema": 1,
        "seq": 1,
        "time": "2026-01-01T00:00:00.000Z",
        "run": "r1",
        "type": "reflected",
        "step": 1,
        "text": "so",
    }


def test_progress_away_from_a_terminal_is_a_few_lines() -> None:
    out = io.StringIO()
    with ProgressBar(out) as bar:
        for done in range(0, 1001, 10):
            bar("downloading x", done, 1000)
        bar("waiting\x1b[2J", 0, None)
    assert out.getvalue().splitlines() == [
        "downloading x 0 %",
        "downloading x 25 %",
        "downloading x 50 %",
        "downloading x 75 %",
        "downloading x 100 %",
        "waiting\\x1b[2J",
    ]
