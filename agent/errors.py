"""What can stop a run before or while it works, and who acts next.

AgentError
├── UsageError        the person: the command line is wrong (exit code 2)
│   └── GoalError     the person: the goal file is wrong, with every place (exit code 2)
├── SettingsError     the person: a setting or a model is not available (exit code 3)
├── LimitReached      nobody: the run ends with `status`; the record is saved
└── Interrupted       nobody: SIGINT, SIGTERM or SIGHUP; the run can be resumed
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.safe_text import safe_text
from agent.status import USAGE_EXIT, Status, exit_code

MAX_SHOWN = 50
"""Mistakes in one file that are listed; the rest is counted."""


class AgentError(Exception):
    """A failure with a message for a person; `exit_code` is what the command ends with."""

    exit_code = 5


class UsageError(AgentError):
    """The command line asks for something that does not exist."""

    exit_code = USAGE_EXIT


@dataclass(frozen=True, order=True)
class GoalProblem:
    """One mistake in a goal file, at its place (line and column count from 1)."""

    line: int
    column: int
    message: str
    """What is wrong, then the way out."""
    file: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        return safe_text(f"{where}: {self.message}", one_line=True)


class GoalError(UsageError):
    """The goal cannot be used; `problems` holds every mistake found, in the order of the file."""

    def __init__(self, problems: Iterable[GoalProblem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda each: (each.file, each)))
        lines = [str(problem) for problem in self.problems[:MAX_SHOWN]]
        if len(self.problems) > MAX_SHOWN:
            lines.append(f"... and {len(self.problems) - MAX_SHOWN} more mistakes")
        super().__init__("\n".join(lines))


class SettingsError(AgentError):
    """A setting or a model is not available; the message names the setting and the remedy."""

    exit_code = 3


class LimitReached(AgentError):
    """A budget or stop rule ends the run with `status`."""

    def __init__(self, status: Status, message: str = "") -> None:
        super().__init__(message or status)
        self.message = message
        """What led to it, where the status alone does not say so."""
        self.status: Status = status
        self.exit_code = exit_code(status)


class Interrupted(AgentError):
    """A signal asked the run to stop; everything up to the last step is saved."""

    exit_code = 130
