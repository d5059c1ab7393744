"""Puts a question to a person before a call that the permissions do not settle.

The person sees facts that the host computed, escaped, and never the model's reasons. Nothing is
approved by default: Enter, end of input, an unknown word and keys pressed before the question
was shown all mean no.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from agent.errors import LimitReached
from agent.safe_text import safe_text

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
    """Answers approval questions, or says that nobody can."""

    def ask(self, question: ApprovalQuestion) -> Answer:
        """Raises NeedsReview where nobody is there to answer."""


class NeedsReview(LimitReached):
    """Nobody is there to allow the call; `grant` is the line that would."""

    def __init__(self, question: ApprovalQuestion) -> None:
        self.grant = question.grant
        what = safe_text(question.says or question.tool, one_line=True)
        line = safe_text(f'allow: ["{question.grant}"]', one_line=True)
        super().__init__(
            "needs_review",
            f"nobody is here to allow `{what}` ({question.effect}); to allow it without asking,"
            f" put {line} into grants.yaml",
        )


class Headless:
    """The approver of runs without a terminal: every question ends the run for review."""

    def ask(self, question: ApprovalQuestion) -> Answer:
        raise NeedsReview(question)


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
        edited = False
        while True:
            self._describe(question)
            choices = "[o]nce, [e]dit, [v]iew whole, [N]o"
            choices = choices if edited else f"[o]nce, [a]lways, {choices[8:]}"
            word = self._word(f"allow? {choices}: ")
            if word in ("o", "once"):
                return Answer("edit", question.arguments) if edited else Answer("once")
            if word in ("a", "always") and not edited:
                remember_grant(self._grants, question.grant)
                return Answer("always")
            if word in ("v", "view"):
                self._show(safe_text(json.dumps(question.arguments, ensure_ascii=False, indent=2)))
            elif word in ("e", "edit"):
                changed = self._edit(question)
                edited = edited or changed != question
                question = changed
            else:
                return Answer("no")

    def _describe(self, question: ApprovalQuestion) -> None:
        self._show(f"The agent wants to {safe_text(question.says or question.tool, one_line=True)}")
        self._show(f"  effect    {question.effect}")
        self._show(f"  tool      {safe_text(question.tool, one_line=True)}")
        for name, value in question.arguments.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            more = f" ... {len(text) - SHOWN} more characters" if len(text) > SHOWN else ""
            self._show(f"  argument  {safe_text(f'{name}: {text[:SHOWN]}', one_line=True)}{more}")
        if question.rule:
            self._show(f"  asked by  {safe_text(question.rule, one_line=True)}")
        self._show(f"  grant     {safe_text(question.grant, one_line=True)}  (what always keeps)")

    def _edit(self, question: ApprovalQuestion) -> ApprovalQuestion:
        before = json.dumps(question.arguments, ensure_ascii=False)
        try:
            text = self._read_line("arguments: ", before)
            arguments = json.loads(text)
            if not isinstance(arguments, dict):
                raise ValueError("not a {name: value} object")
        except EOFError:
            return question
        except ValueError as error:
            self._show(f"not changed: {safe_text(str(error), one_line=True)}")
            return question
        return replace(question, arguments=arguments, says="")

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
    part = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        yaml.safe_dump(found, file, allow_unicode=True, sort_keys=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


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
    return session.prompt(prompt, default=start)
