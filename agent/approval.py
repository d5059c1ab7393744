"""Puts a question to a person before a call that the permissions do not settle.

The person sees facts that the host computed, escaped, and never the model's reasons. Nothing is
approved by default: Enter, end of input, an unknown word and keys pressed before the question
was shown all mean no.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from agent.interrupt import waiting_for_a_person
from agent.safe_text import safe_text
from memory import durable

AnswerKind = Literal["once", "always", "edit", "no"]
SHOWN = 2_000
"""Characters of one argument that are shown at once; `v` shows it whole."""


@dataclass(frozen=True, slots=True)
class ApprovalQuestion:
    """One call that somebody must allow."""

    tool: str
    effect: str
    """One of the eight words; see `tools/base.py`."""
    arguments: Mapping[str, Any]
    grant: str
    """The line for grants.yaml that would allow it from now on: `delete_file(out/old.csv)`."""
    workspace: Path | None = None
    """The folder that relative paths start at."""
    says: str = ""
    """The effect as a sentence: `delete out/old.csv`."""
    rule: str = ""
    """Which rule asks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person said; `arguments` are theirs where the kind is `edit`."""

    kind: AnswerKind
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Approver(Protocol):
    """Answers questions about a run, or says that nobody is there."""

    def ask(self, question: ApprovalQuestion) -> Answer | None:
        """May this call happen? None where nobody can answer; the run then needs review."""

    def reply(self, question: str) -> str | None:
        """Answer the model's own question; None where nobody can."""


class Headless:
    """The approver of runs without a terminal: nobody is there."""

    def ask(self, question: ApprovalQuestion) -> Answer | None:
        return None

    def reply(self, question: str) -> str | None:
        return None


class TerminalApprover:
    """Asks the person at the terminal."""

    def __init__(
        self,
        grants: Path,
        *,
        read_line: Callable[[str, str], str] | None = None,
        show: Callable[[str], None] | None = None,
    ) -> None:
        """Args:
        grants: the file that an `always` is kept in.
        read_line: gets a prompt and a text to start from, gives the line; EOFError means no.
        show: prints one safe line; stderr where left out.
        """
        self._grants = grants
        self._read_line = read_line or _from_terminal
        self._show = show or (lambda line: print(line, file=sys.stderr))

    def ask(self, question: ApprovalQuestion) -> Answer:
        self._describe(question)
        while True:
            word = self._word("allow? [o]nce, [a]lways, [e]dit, [v]iew whole, [N]o: ")
            if word in ("o", "once"):
                return Answer("once")
            if word in ("a", "always"):
                remember_grant(self._grants, question.grant)
                return Answer("always")
            if word in ("e", "edit"):
                # The loop judges and asks again, with the new arguments and their own grant.
                if (arguments := self._edited(question)) is not None:
                    return Answer("edit", arguments)
            elif word in ("v", "view"):
                self._show(safe_text(json.dumps(question.arguments, ensure_ascii=False, indent=2)))
            else:
                return Answer("no")

    def reply(self, question: str) -> str | None:
        self._show(f"The agent asks: {safe_text(question)}")
        try:
            return self._read_line("your answer: ", "").strip() or "(no answer)"
        except EOFError:
            return None

    def _describe(self, question: ApprovalQuestion) -> None:
        self._show(f"The agent wants to {safe_text(question.says or question.tool, one_line=True)}")
        self._show(f"  effect    {question.effect}")
        self._show(f"  tool      {safe_text(question.tool, one_line=True)}")
        for name, value in question.arguments.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            more = f" ... {len(text) - SHOWN} more characters" if len(text) > SHOWN else ""
            self._show(f"  argument  {safe_text(f'{name}: {text[:SHOWN]}', one_line=True)}{more}")
        if question.workspace is not None:
            self._show(f"  in        {safe_text(str(question.workspace), one_line=True)}")
        if question.rule:
            self._show(f"  asked by  {safe_text(question.rule, one_line=True)}")
        self._show(f"  grant     {safe_text(question.grant, one_line=True)}  (what always keeps)")

    def _edited(self, question: ApprovalQuestion) -> dict[str, Any] | None:
        before = json.dumps(question.arguments, ensure_ascii=False)
        try:
            text = self._read_line("arguments: ", before)
            arguments = json.loads(text)
            if not isinstance(arguments, dict):
                raise ValueError("not a {name: value} object")
        except EOFError:
            return None
        except ValueError as error:
            self._show(f"not changed: {safe_text(str(error), one_line=True)}")
            return None
        return arguments

    def _word(self, prompt: str) -> str:
        try:
            return self._read_line(prompt, "").strip().lower()
        except EOFError:
            return "no"


def remember_grant(path: Path, line: str) -> None:
    """Add `line` to the allow list of grants.yaml; the file is replaced in one step."""
    found: dict[str, Any] = {}
    if path.exists():
        found = yaml.safe_load(path.read_text("utf-8")) or {}
    allow = list(found.get("allow") or [])
    if line in allow:
        return
    found["allow"] = [*allow, line]
    durable.replace(path, yaml.safe_dump(found, allow_unicode=True, sort_keys=False).encode())


def _from_terminal(prompt: str, start: str) -> str:
    """One line from the person; what was typed before the question does not count."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.output import create_output

    try:
        import termios

        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    except (ImportError, OSError, termios.error):
        pass
    session: PromptSession[str] = PromptSession(output=create_output(sys.stderr))
    with waiting_for_a_person():
        return session.prompt(prompt, default=start)
