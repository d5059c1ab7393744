"""`tuneward run`: goal files one after another or side by side, and one table of how they ended."""

import copy
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.app import Agent
from agent.commands.failures import explained
from agent.commands.output import INTERNAL_ERROR, last_line, note, result, table
from agent.errors import GoalError, UsageError
from agent.events import Event, Listener
from agent.goal import Goal
from agent.goal_file import load_goal
from agent.keys import Keys
from agent.progress import ProgressBar
from agent.settings import load_settings, make_home
from agent.status import STATUSES, Status, exit_code, worst
from agent.stdout import only_results
from agent.terminal import JsonLines, TerminalView, WhileRead

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Outcome:
    """How one goal ended."""

    name: str
    status: Status
    run: str = ""
    seconds: float = 0.0
    answer: str | None = None
    next: str = ""


class OneAtATime:
    """A `Listener` for several threads: whole lines, never two at once."""

    def __init__(self, inner: Listener) -> None:
        self._inner = inner
        self._lock = threading.Lock()

    def event(self, event: Event) -> None:
        with self._lock:
            self._inner.event(event)

    def text(self, piece: str) -> None:
        """Streams of several runs would mix, so none is shown."""


def run_goals(
    named: Sequence[str],
    sets: Mapping[str, str],
    options: Mapping[str, Any],
    *,
    parallel: int,
    json: bool,
) -> int:
    """Carry out every goal and return the exit code of them all.

    Raises:
        GoalError: a goal file is wrong; nothing was started then.
    """
    goals = _loaded(_files(named), sets)
    keys = Keys()
    view = WhileRead(JsonLines() if json else TerminalView(live=parallel == 1))
    listener: Listener = view if parallel == 1 else OneAtATime(view)
    with ProgressBar() as bar:

        def loading(what: str, done: int, total: int | None = None) -> None:
            if keys.requested:
                raise KeyboardInterrupt
            bar(what, done, total)
            if total and done >= total:
                bar.close()

        first = load_settings(workspace=goals[0].workspace, options=options)
        make_home(first.home)
        agent = Agent(
            settings=first, listener=listener, interrupt=keys, on_progress=loading, on_note=note
        )

        def work(goal: Goal) -> Outcome:
            return _carry_out(agent, goal, options, keys)

        with only_results(), keys.on_signals(), ThreadPoolExecutor(parallel) as pool:
            # One goal at a time stays in this thread, where signals arrive.
            outcomes = list(map(work, goals) if parallel == 1 else pool.map(work, goals))
    view.close()
    return _reported(outcomes, json=json)


def _files(named: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in named:
        path = Path(name)
        if name != "-" and path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
            if not inside:
                raise UsageError(f"{name}: there are no goal files (*.yaml) in this folder")
            found += map(str, inside)
        else:
            found.append(name)
    if found.count("-") > 1:
        raise UsageError("standard input (-) can be read only once")
    return found


def _loaded(files: Sequence[str], sets: Mapping[str, str]) -> list[Goal]:
    """All goals, or every mistake in any of them at once."""
    goals: list[Goal] = []
    mistakes: list[GoalError] = []
    for file in files:
        try:
            goals.append(load_goal(file, sets=sets))
        except GoalError as error:
            mistakes.append(error)
    if mistakes:
        raise GoalError(problem for error in mistakes for problem in error.problems)
    return goals


def _carry_out(agent: Agent, goal: Goal, options: Mapping[str, Any], keys: Keys) -> Outcome:
    if keys.requested:
        return Outcome(goal.name, "interrupted", next="not started")
    try:
        # Each workspace may narrow in its own way; the loaded model is shared.
        own = copy.copy(agent)
        own.settings = load_settings(workspace=goal.workspace, options=options)
        for line in own.settings.ignored:
            note(line)
        found = own.run(goal)
    except KeyboardInterrupt:
        return Outcome(goal.name, "interrupted", next="stopped before it began")
    except Exception as error:
        return _not_run(goal, error)
    return Outcome(
        goal.name, found.status, found.run, found.usage["seconds"], found.answer, found.next
    )


def _not_run(goal: Goal, error: Exception) -> Outcome:
    """A goal that could not be run to its end; the others go on."""
    expected = explained(error)
    if expected is None:
        traceback.print_exception(error)
        return Outcome(goal.name, "internal_error", next="this is a bug; the lines above report it")
    message, code = expected
    word = message.partition(":")[0]
    named = [status for status in STATUSES if status == word and exit_code(status) == code]
    status = named[0] if named else "unavailable"
    return Outcome(goal.name, status, next=message)


def _reported(outcomes: Sequence[Outcome], *, json: bool) -> int:
    status = worst([outcome.status for outcome in outcomes])
    if len(outcomes) == 1:
        only = outcomes[0]
        if not json and only.answer is not None:
            result(only.answer)
        last_line(_with_status(only))
        return exit_code(only.status)
    if not json:
        rows = ((o.name, o.status, f"{o.seconds:.1f}", o.run) for o in outcomes)
        table(("GOAL", "STATUS", "SECONDS", "RUN"), rows)
    good = sum(exit_code(outcome.status) == 0 for outcome in outcomes)
    told = next(outcome for outcome in outcomes if outcome.status == status)
    summary = f"{good} of {len(outcomes)} goals reached"
    last_line(
        f"{status}: {summary}" if good == len(outcomes) else f"{_with_status(told)} ({summary})"
    )
    return exit_code(status) if status != "internal_error" else INTERNAL_ERROR


def _with_status(outcome: Outcome) -> str:
    prefix = f"{outcome.status}: "
    return outcome.next if outcome.next.startswith(prefix) else prefix + outcome.next
