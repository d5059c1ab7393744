"""How a run can end: every status, its exit code, and the one line that says what to do next."""

from collections.abc import Iterable
from typing import Literal, get_args

Status = Literal[
    "done",
    "finished_unchecked",
    "failed",
    "unavailable",
    "disk_full",
    "oom",
    "device_lost",
    "needs_review",
    "crash_loop",
    "internal_error",
    "repeat",
    "no_progress",
    "invalid_output",
    "budget_steps",
    "budget_seconds",
    "budget_tokens",
    "budget_tuning",
    "interrupted",
]
STATUSES: tuple[Status, ...] = get_args(Status)

RESUMABLE: tuple[Status, ...] = (
    "interrupted",
    "needs_review",
    "oom",
    "device_lost",
    "disk_full",
    "unavailable",
    "internal_error",
)
"""After these `tuneward resume` goes on; the outcome is not judged yet."""

USAGE_EXIT = 2
"""Exit code of a usage, goal file or data file error: no run started, so it is no status."""

_EXIT_CODES: dict[Status, int] = {
    "done": 0,
    "finished_unchecked": 0,
    "failed": 1,
    "unavailable": 3,
    "disk_full": 3,
    "oom": 3,
    "device_lost": 3,
    "needs_review": 4,
    "crash_loop": 4,
    "internal_error": 5,
    "repeat": 6,
    "no_progress": 6,
    "invalid_output": 6,
    "budget_steps": 124,
    "budget_seconds": 124,
    "budget_tokens": 124,
    "budget_tuning": 124,
    "interrupted": 130,
}

_WORST_FIRST = (5, 3, 130, 4, 124, 6, 1, 0)
"""For several goals the exit code is the first of these that occurs."""

_NEXT: dict[Status, str] = {
    "done": "every check holds; `tuneward runs show {run}` prints the steps",
    "finished_unchecked": (
        "unchecked: the goal has no checks, so nobody verified this; add one with --check"
    ),
    "failed": (
        "a check fails or the model gave up; see why with `tuneward runs show {run}`,"
        " then reword the goal or try a larger model"
    ),
    "unavailable": "the model or a setting is not available; `tuneward doctor` names the remedy",
    "disk_full": "free some disk space, then `tuneward resume {run}`",
    "oom": "take a smaller model (--model) or free memory, then `tuneward resume {run}`",
    "device_lost": "the GPU stopped answering; check it with `tuneward doctor`,"
    " then `tuneward resume {run}`",
    "needs_review": "a person must decide; go on at a terminal with `tuneward resume {run}`",
    "crash_loop": (
        "this run crashed each time it was resumed; look at `tuneward runs show {run}`"
        " and start the goal anew"
    ),
    "internal_error": (
        "this is a bug in Tuneward; please report it with the output of `tuneward runs show {run}`"
    ),
    "repeat": "the model repeated itself; `tuneward runs show {run}` shows the call,"
    " a larger model (--model) or a more precise goal helps",
    "no_progress": "nothing changed for several steps; split the goal or try a larger model"
    " (--model), then start it anew",
    "invalid_output": "the model gave no legal call; try another model (--model)",
    "budget_steps": "the step budget is used up; raise budget.steps, or look at what is missing"
    " with `tuneward runs show {run}`",
    "budget_seconds": "the time budget is used up; raise budget.seconds, or look at what is"
    " missing with `tuneward runs show {run}`",
    "budget_tokens": "the token budget is used up; raise budget.tokens, or look at what is"
    " missing with `tuneward runs show {run}`",
    "budget_tuning": "the tuning budget is used up; raise budget.tuning_seconds, or look at what"
    " is missing with `tuneward runs show {run}`",
    "interrupted": "go on with `tuneward resume {run}`",
}


def exit_code(status: Status) -> int:
    """The exit code that a run with this status ends with."""
    return _EXIT_CODES[status]


def worst(statuses: Iterable[Status]) -> Status:
    """The status that decides the exit code of several goals; `done` for none at all."""
    found = list(statuses)
    return min(found, key=lambda s: _WORST_FIRST.index(exit_code(s)), default="done")


def next_step(status: Status, run: str) -> str:
    """One line for a person: what this status means and the command that goes on from it."""
    return _NEXT[status].format(run=run)
