"""The interactive prompt: type a goal, watch it work, approve, follow up; or a command with a `/`.

A goal after a finished one goes on in the same run, so the agent knows what it has done. Ctrl-C
stops the step and comes back here; Ctrl-C twice, or at the empty prompt twice, leaves.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, get_args

from agent.app import Agent, RunResult
from agent.check_line import check_line, parse_check
from agent.errors import AgentError, GoalError
from agent.goal import Goal
from agent.interrupt import Terminated, waiting_for_a_person
from agent.keys import Keys
from agent.runs import RunStore
from agent.safe_text import safe_text
from agent.settings import Mode, Settings
from agent.status import exit_code
from models.errors import ModelError

ReadLine = Callable[[str, str], str]
"""Gets a prompt and a text to start from, gives the line. EOFError: no more input."""

HELP = """Type what you want in a sentence. After a run, another sentence goes on in the same run.
  /help          this page
  /plan          the plan of the last run
  /tools         the tools that a goal is offered, with their effects
  /mode [MODE]   show or set what may happen without asking: read-only, ask, auto, deny
  /model [NAME]  show or set the model
  /resume [RUN]  go on with an interrupted run; the last one where no id is given
  /quit          leave (so does Ctrl-D)
Ctrl-C stops the step, twice leaves."""
COMMANDS = tuple(line.split()[0] for line in HELP.splitlines() if line.startswith("  /"))


class Talk(Protocol):
    """What the prompt needs of the session that opened it."""

    agent: Agent
    settings: Settings
    keys: Keys

    def goal(self, text: str, checks: Sequence[str] = ()) -> Goal: ...
    def carry_out(self, work: Callable[[Agent], RunResult]) -> RunResult: ...
    def set(self, **changes: Any) -> None: ...


class PromptLine:
    """Talks with one person until they leave."""

    def __init__(
        self, session: Talk, checks: Sequence[str] = (), *, read_line: ReadLine | None = None
    ) -> None:
        self._session = session
        self._checks = checks
        """From the command line; they hold for the first goal."""
        self._read_line = read_line or _terminal(session.settings.home)
        self._last: RunResult | None = None
        self._run: str | None = None
        """The run that the next goal goes on in."""
        self._stopped = False
        """The last line was stopped by a key or a signal."""

    def talk(self) -> int:
        """Take lines until the person leaves, and return the exit code."""
        settings = self._session.settings
        show(f"Tuneward in {settings.workspace}, mode {settings.mode}, model {settings.model}.")
        show("Type a goal, or /help.")
        pressed = 0
        while True:
            try:
                line = self._read_line("> ", "").strip()
            except EOFError:
                show("left; `tuneward runs list` shows the runs")
                return 0
            except Terminated:
                return self._interrupted()
            except KeyboardInterrupt:
                pressed += 1
                if pressed > 1:
                    return self._interrupted()
                show("Ctrl-C again leaves")
                continue
            pressed, self._stopped = 0, False
            if line in ("/quit", "/exit"):
                show("left; `tuneward runs list` shows the runs")
                return 0
            if line:
                self._take(line)
            if self._session.keys.leave:
                return self._interrupted()
            # A key that stopped a run counts as the first of the two that leave.
            pressed = int(self._stopped)
            self._session.keys.reset()

    def _interrupted(self) -> int:
        show("interrupted: left; `tuneward resume last` goes on with the last run")
        return exit_code("interrupted")

    def _take(self, line: str) -> None:
        try:
            if line.startswith("/"):
                self._command(*line.split(maxsplit=1))
            else:
                self._goal(line)
        except Terminated:
            raise
        except KeyboardInterrupt:
            self._stopped = True
            show("stopped")
        except (AgentError, ModelError) as error:
            show(f"{type(error).__name__}: {error}")

    def _goal(self, text: str) -> None:
        run = self._run
        if run is not None:
            self._done(self._session.carry_out(lambda agent: agent.follow_up(run, text)))
            return
        goal = self._session.goal(text, self._checks)
        if not self._checks and goal.success:
            reviewed = review_checks(goal, self._read_line)
            if reviewed is None:
                show("not started")
                return
            goal = reviewed
        self._checks = ()
        self._done(self._session.carry_out(lambda agent: agent.run(goal)))

    def _done(self, result: RunResult) -> None:
        self._last, self._run = result, result.run
        self._stopped = result.status == "interrupted"
        if result.answer is not None:
            sys.stdout.flush()
            print(safe_text(result.answer), flush=True)
        show(f"{result.status}: {result.next}")

    def _command(self, name: str, argument: str = "") -> None:
        match name:
            case "/help":
                show(HELP)
            case "/plan":
                plan = self._last.plan if self._last is not None else []
                lines = [f"{number}. {item}" for number, item in enumerate(plan, 1)]
                show("\n".join(lines) or "there is no plan yet")
            case "/tools":
                self._show_tools()
            case "/mode":
                self._mode(argument)
            case "/model":
                self._model(argument)
            case "/resume":
                self._resume(argument)
            case _:
                show(f"there is no command {name}; there are {' '.join(COMMANDS)}")

    def _show_tools(self) -> None:
        goal = Goal(goal="list tools", workspace=self._session.settings.workspace)
        toolbox = self._session.agent.tools(goal)
        for name in toolbox.names:
            show(f"{name}  ({toolbox.facts(name).effect})")

    def _mode(self, mode: str) -> None:
        if mode and mode not in get_args(Mode):
            show(f"there is no mode {mode!r}; there are {', '.join(get_args(Mode))}")
            return
        if mode:
            self._session.set(mode=mode)
        show(f"mode {self._session.settings.mode}")

    def _model(self, model: str) -> None:
        if model:
            self._session.set(model=model)
        settings = self._session.settings
        target = settings.target(settings.model)
        show(f"model {settings.model}" + (f" ({target})" if target != settings.model else ""))

    def _resume(self, run: str) -> None:
        ids = RunStore(self._session.settings.home).ids()
        wanted = run or (ids[0] if ids else "")
        if not wanted:
            show("there is no run to resume yet")
            return
        self._done(self._session.carry_out(lambda agent: agent.resume(wanted)))


def review_checks(goal: Goal, read_line: ReadLine | None = None) -> Goal | None:
    """Show the drafted checks to edit or drop; the goal to start, or None not to start it."""
    read = read_line or _terminal(None)
    checks = list(goal.success)
    while True:
        if not checks:
            show("No checks: the result will be unchecked.")
        else:
            show("Drafted checks; the host judges the result by them:")
            for number, check in enumerate(checks, 1):
                show(f"  {number}. {check_line(check)}")
        try:
            line = read("Enter starts, `e 1` edits, `d 1` drops, `q` does not start: ", "").strip()
        except Terminated:
            raise
        except (EOFError, KeyboardInterrupt):
            return None
        if not line:
            return goal.model_copy(update={"success": checks})
        word, _, which = line.partition(" ")
        if word == "q":
            return None
        if word not in ("e", "d") or which.strip() not in map(str, range(1, len(checks) + 1)):
            show(f"not understood: {line}")
            continue
        index = int(which) - 1
        if word == "d":
            del checks[index]
            continue
        try:
            edited = read("check: ", check_line(checks[index]))
            checks[index] = parse_check(edited, goal.workspace)
        except GoalError as error:
            show(str(error))
        except Terminated:
            raise
        except (EOFError, KeyboardInterrupt):
            show("not changed")


def show(text: str) -> None:
    """A line for the person, beside the results on stdout."""
    with suppress(OSError):  # a terminal that is gone cannot be told anything
        print(safe_text(text), file=sys.stderr, flush=True)


def _terminal(home: Path | None) -> ReadLine:
    """Lines from a terminal with editing, completion of commands and, in a home, history."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.output import create_output

    history: History = InMemoryHistory()
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        history = FileHistory(str(home / "history"))
    session: PromptSession[str] = PromptSession(
        history=history,
        completer=WordCompleter(list(COMMANDS), sentence=True),
        complete_while_typing=False,
        output=create_output(sys.stderr),
    )

    def read_line(prompt: str, start: str) -> str:
        with waiting_for_a_person():
            return session.prompt(prompt, default=start)

    return read_line
