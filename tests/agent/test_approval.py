"""Tests of agent/approval.py: only facts are shown, nothing is approved by accident."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from agent.approval import Answer, ApprovalQuestion, Headless, TerminalApprover
from agent.permissions import Permissions, load_grants
from tools.base import ToolFacts


class Person:
    """Types the given lines, then closes the terminal."""

    def __init__(self, home: Path, lines: Sequence[str]) -> None:
        self._lines = list(lines)
        self.seen: list[str] = []
        self.starts: list[str] = []
        self.grants = home / "grants.yaml"
        self.approver = TerminalApprover(self.grants, read_line=self._read, show=self.seen.append)

    def _read(self, prompt: str, start: str) -> str:
        self.starts.append(start)
        if not self._lines:
            raise EOFError
        return self._lines.pop(0)


def _question(**arguments: object) -> ApprovalQuestion:
    arguments = arguments or {"path": "old.csv"}
    return ApprovalQuestion("delete_file", "delete", arguments, "delete_file(old.csv)")


@pytest.mark.parametrize("typed", ["", "n", "no", "y", "yes", "ok", "O K", "1", "\x1b[A", " \t"])
def test_anything_but_a_clear_yes_is_no(home: Path, typed: str) -> None:
    assert Person(home, [typed]).approver.ask(_question()) == Answer("no")


def test_a_closed_terminal_is_no(home: Path) -> None:
    assert Person(home, []).approver.ask(_question()) == Answer("no")


def test_two_hundred_enter_keys_approve_nothing(home: Path) -> None:
    person = Person(home, [""] * 200)
    answers = [person.approver.ask(_question()) for _ in range(200)]
    assert set(answer.kind for answer in answers if answer) == {"no"}
    assert not person.grants.exists()


@pytest.mark.parametrize("typed", ["o", "once", " Once "])
def test_once_is_for_this_call_only(home: Path, typed: str) -> None:
    person = Person(home, [typed])
    assert person.approver.ask(_question()) == Answer("once")
    assert not person.grants.exists()


def test_always_is_kept_as_exactly_the_grant_that_was_shown(home: Path) -> None:
    person = Person(home, ["a"])
    person.grants.write_text('allow: ["write_file(out/**)"]\ndeny: [fetch]\n')
    assert person.approver.ask(_question()) == Answer("always")
    assert any("delete_file(old.csv)" in line for line in person.seen)
    assert yaml.safe_load(person.grants.read_text()) == {
        "allow": ["write_file(out/**)", "delete_file(old.csv)"],
        "deny": ["fetch"],
    }
    gate = Permissions(grants=load_grants(person.grants))
    facts = ToolFacts("delete")
    assert gate.decide("delete_file", facts, ["old.csv"], ["old.csv"]).verdict == "allow"
    assert gate.decide("delete_file", facts, ["new.csv"], ["new.csv"]).verdict == "ask"


def test_a_new_grants_file_is_the_persons_alone(home: Path) -> None:
    person = Person(home, ["a"])
    person.approver.ask(_question())
    assert person.grants.stat().st_mode & 0o077 == 0


def test_edited_arguments_go_back_to_be_judged_again(home: Path) -> None:
    person = Person(home, ["e", '{"path": "other.csv"}'])
    assert person.approver.ask(_question()) == Answer("edit", {"path": "other.csv"})
    assert person.starts == ["", '{"path": "old.csv"}']


@pytest.mark.parametrize("typed", ["{", "[]", "nonsense"])
def test_a_bad_edit_changes_nothing(home: Path, typed: str) -> None:
    person = Person(home, ["e", typed, "n"])
    assert person.approver.ask(_question()) == Answer("no")
    assert any(line.startswith("not changed") for line in person.seen)


def test_a_long_argument_is_cut_with_its_length_and_can_be_seen_whole(home: Path) -> None:
    person = Person(home, ["v", "n"])
    person.approver.ask(_question(text="x" * 5_000))
    assert any("3000 more characters" in line for line in person.seen)
    assert any("x" * 5_000 in line for line in person.seen)


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b[Hallow? yes",
        "a\r\neffect    read",
        "\u202egpj.exe",
        "a\u200bb",
        "\x9b31m",
        "\x07\x08\x7f",
        "\ud800",
        "\U000e0041",
    ],
)
def test_hostile_arguments_cannot_draw_on_the_prompt(home: Path, hostile: str) -> None:
    person = Person(home, ["v", "n"])
    person.approver.ask(
        ApprovalQuestion(hostile, "execute", {hostile: hostile}, hostile, says=hostile)
    )
    shown = "".join(person.seen)
    assert not set("\x1b\r\x07\x08\x7f\x9b\u202e\u200b\ud800\U000e0041") & set(shown)
    assert all("\n" not in line for line in person.seen if not line.startswith("{"))


def test_the_models_question_is_answered_by_the_person(home: Path) -> None:
    assert Person(home, [" the second "]).approver.reply("Which?") == "the second"
    assert Person(home, [""]).approver.reply("Which?") == "(no answer)"
    assert Person(home, []).approver.reply("Which?") is None


def test_headless_nobody_answers() -> None:
    assert Headless().ask(_question()) is None
    assert Headless().reply("Which?") is None


def test_a_delete_is_asked_for_by_default() -> None:
    # What makes this file matter: without a grant the gate really asks.
    facts = ToolFacts("delete")
    assert Permissions().decide("delete_file", facts, ["a.csv"], ["a.csv"]).verdict == "ask"
