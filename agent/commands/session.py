"""One agent for one person: a typed goal, the interactive prompt, or a run to resume."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.app import Agent, RunResult
from agent.approval import Approver, Headless, TerminalApprover
from agent.check_line import check_line
from agent.commands.output import last_line, note, result
from agent.drafted_checks import draft_checks
from agent.errors import UsageError
from agent.goal import Goal
from agent.goal_file import goal_from_text
from agent.keys import Keys
from agent.progress import ProgressBar
from agent.runs import RunStore
from agent.settings import Settings, default_home, load_settings, make_home
from agent.stdout import only_results
from agent.terminal import JsonLines, TerminalView, WhileRead
from tools.workspace import Workspace


class Session:
    """Holds the settings, the agent and what the person sees of it."""

    def __init__(
        self, workspace: Path | None, options: Mapping[str, Any], *, json: bool = False
    ) -> None:
        """Raises SettingsError where a setting is wrong."""
        self._options = options
        self._json = json
        self.at_terminal = not json and sys.stdin.isatty() and sys.stderr.isatty()
        self.keys = Keys()
        self.view = WhileRead(JsonLines() if json else TerminalView())
        self.settings = load_settings(workspace=workspace, options=options)
        make_home(self.settings.home)
        self.agent = self._agent(self.settings)
        for line in self.settings.ignored:
            note(line)

    def run_typed(self, text: str, checks: Sequence[str]) -> int:
        """Carry out one goal from the command line."""
        goal = self.goal(text, checks)
        if not checks and goal.success:
            if self.at_terminal:
                from agent.prompt_line import review_checks

                reviewed = review_checks(goal)
                if reviewed is None:
                    last_line("interrupted: not started")
                    return 130
                goal = reviewed
            else:
                self._report_drafted(goal)
        return self._end(self.carry_out(lambda agent: agent.run(goal)))

    def resume(self, run: str) -> int:
        """Go on with a run in the workspace that it began in."""
        run = known_run(self.settings.home, run)
        started = next(
            (e for e in RunStore(self.settings.home).events(run) if "workspace" in e.data), None
        )
        if started is not None:
            folder = Path(started.data["workspace"])
            self.use(load_settings(workspace=folder, options=self._options))
        return self._end(self.carry_out(lambda agent: agent.resume(run)))

    def interactive(self, checks: Sequence[str]) -> int:
        """Take goals and commands until the person leaves."""
        from agent.prompt_line import PromptLine

        return PromptLine(self, checks).talk()

    def goal(self, text: str, checks: Sequence[str] = ()) -> Goal:
        """A typed goal with the checks given, or with drafted ones."""
        goal = goal_from_text(text, self.settings.workspace, checks)
        if checks:
            return goal
        drafted = draft_checks(goal.goal, Workspace(goal.workspace))
        return goal.model_copy(update={"success": drafted})

    def carry_out(self, work: Any) -> RunResult:
        """Let the agent work while signals are watched; `work` gets the agent."""
        self.keys.reset()
        try:
            with only_results(), self.keys.on_signals():
                found: RunResult = work(self.agent)
            return found
        finally:
            self.view.close()
            self._progress.close()

    def use(self, settings: Settings) -> None:
        """Go on with other settings; a loaded model stays loaded where it is still wanted."""
        if settings.model == self.settings.model and settings.home == self.settings.home:
            self.agent.settings = settings
        else:
            self.agent = self._agent(settings)
        self.settings = settings

    def set(self, **changes: Any) -> None:
        """Change single settings: `set(mode="auto")`."""
        self.use(replace(self.settings, **changes))

    def _agent(self, settings: Settings) -> Agent:
        self._progress = ProgressBar()
        asks = self.at_terminal and settings.mode in ("ask", "auto")
        grants = settings.home / "grants.yaml"
        approver: Approver = TerminalApprover(grants) if asks else Headless()
        return Agent(
            settings=settings,
            approver=approver,
            listener=self.view,
            interrupt=self.keys,
            on_progress=self._loading,
            on_note=note,
            memory="write" if self.at_terminal else "read",
        )

    def _loading(self, what: str, done: int, total: int | None = None) -> None:
        if self.keys.requested:
            raise KeyboardInterrupt
        self._progress(what, done, total)

    def _report_drafted(self, goal: Goal) -> None:
        for check in goal.success:
            note(f"drafted check: {check_line(check)}")

    def _end(self, outcome: RunResult) -> int:
        if not self._json and outcome.answer is not None:
            result(outcome.answer)
        last_line(f"{outcome.status}: {outcome.next}")
        return outcome.exit_code


def known_run(home: Path | None, run: str) -> str:
    """The id of a run; `last` is the newest.

    Raises:
        UsageError: there is no run at all.
    """
    if run != "last":
        return run
    ids = RunStore(home or default_home()).ids()
    if not ids:
        raise UsageError('there are no runs yet; start one: tuneward "GOAL"')
    return ids[0]
