"""Tests of agent/prompt_line.py: one person, one agent with a scripted model, many lines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.commands.session import Session
from agent.prompt_line import COMMANDS, PromptLine, review_checks
from models.chat import ScriptedModel


class Talk:
    """Lets a person type lines; a line may be an exception, raised in place of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
        self._monkeypatch = monkeypatch
        self.session = Session(workspace, {})

    def __call__(
        self, replies: Sequence[Any], *lines: str | type[BaseException], checks: Sequence[str] = ()
    ) -> int:
        model = ScriptedModel(replies)
        self._monkeypatch.setattr("models.load.load_chat", lambda *_, **__: model)
        return PromptLine(self.session, checks, read_line=_typed(*lines)).talk()


def _typed(*lines: str | type[BaseException]) -> Any:
    waiting = list(lines)

    def read(prompt: str, start: str) -> str:
        line = waiting.pop(0) if waiting else EOFError
        if isinstance(line, str):
            return line
        raise line

    return read


def finish(answer: str) -> dict[str, Any]:
    return {"name": "finish", "arguments": {"answer": answer}}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "notes.txt").write_text("one\n")
    return tmp_path


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Talk:
    return Talk(monkeypatch, workspace)


def test_a_goal_is_carried_out_and_its_answer_is_the_only_thing_on_stdout(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert talk([finish("hello")], "Greet me", "/quit") == 0
    printed = capsys.readouterr()
    assert printed.out == "hello\n"
    assert "finished_unchecked: " in printed.err


def test_a_second_goal_goes_on_in_the_same_run(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    talk([finish("first"), finish("second")], "Greet me", "And again")
    assert capsys.readouterr().out == "first\nsecond\n"
    (run,) = talk.session.agent.runs.ids()
    goals = [e.data["goal"] for e in talk.session.agent.runs.events(run) if e.type == "run_started"]
    assert goals == ["Greet me", "And again"]


def test_drafted_checks_are_shown_and_can_be_dropped_before_the_start(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    talk([finish("x")], "Write a haiku to out.txt", "d 1", "")
    printed = capsys.readouterr().err
    assert "1. {file: out.txt}" in printed
    assert "No checks: the result will be unchecked." in printed
    assert "finished_unchecked" in printed


def test_a_drafted_check_can_be_edited(workspace: Path, talk: Talk) -> None:
    goal = talk.session.goal("Write a haiku to out.txt")
    bad, good = "{text: {path: out.txt}}", "{text: {path: out.txt, contains: [frog]}}"
    reviewed = review_checks(
        goal, _typed("e 1", "{nonsense: 1}", "e 9", "e 1", bad, "e 1", good, "")
    )
    assert reviewed is not None
    (check,) = reviewed.success
    assert "frog" in str(check)


@pytest.mark.parametrize("key", ["q", EOFError, KeyboardInterrupt])
def test_a_goal_is_not_started_where_the_person_backs_out(
    talk: Talk, key: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    talk([], "Write a haiku to out.txt", key)
    assert "not started" in capsys.readouterr().err
    assert talk.session.agent.runs.ids() == []


def test_checks_from_the_command_line_hold_for_the_first_goal(
    talk: Talk, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = {"name": "write_file", "arguments": {"path": "a.txt", "text": "x"}}
    talk([call], "Write something", checks=["{file: a.txt}"])
    assert "done: every check holds" in capsys.readouterr().err


def test_help_names_every_command(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    talk([], "/help")
    printed = capsys.readouterr().err
    for command in ("/help", "/plan", "/tools", "/mode", "/model", "/resume", "/quit"):
        assert command in COMMANDS
        assert f"  {command} " in printed


def test_tools_are_listed_with_their_effects(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    talk([], "/tools")
    assert "write_file  (write)" in capsys.readouterr().err


def test_the_mode_can_be_seen_and_set(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    talk([], "/mode", "/mode read-only", "/mode yolo")
    assert talk.session.settings.mode == "read-only"
    assert talk.session.agent.settings.mode == "read-only"
    assert "there is no mode 'yolo'" in capsys.readouterr().err


def test_the_model_can_be_seen_and_set(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    talk([], "/model", "/model qwen3-8b")
    assert talk.session.agent.settings.model == "qwen3-8b"
    assert "model qwen3-8b" in capsys.readouterr().err


def test_an_unknown_command_names_the_known_ones(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    talk([], "/hlep")
    assert "there is no command /hlep; there are /help" in capsys.readouterr().err


def test_a_failure_is_one_line_and_the_prompt_goes_on(
    talk: Talk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert talk([finish("x")], "/resume", "/resume nosuch", "Greet me", "/resume") == 0
    printed = capsys.readouterr()
    assert "there is no run to resume yet" in printed.err
    assert "there is no run 'nosuch'" in printed.err
    assert "nothing to resume" in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == "x\n"


def test_ctrl_c_twice_at_the_prompt_leaves(talk: Talk, capsys: pytest.CaptureFixture[str]) -> None:
    assert talk([], KeyboardInterrupt, KeyboardInterrupt) == 130
    assert "Ctrl-C again leaves" in capsys.readouterr().err


def test_a_line_between_two_ctrl_c_makes_the_second_a_first(talk: Talk) -> None:
    assert talk([], KeyboardInterrupt, "/help", KeyboardInterrupt, "/quit") == 0


def test_the_end_of_input_leaves(talk: Talk) -> None:
    assert talk([]) == 0
