"""Where runs are kept: one folder each under TUNEWARD_HOME/runs, named by time."""

import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import SettingsError
from agent.events import Event
from agent.journal import read_journal

JOURNAL = "journal.db"


@dataclass(frozen=True)
class RunSummary:
    """One line of `runs list`."""

    run: str
    started: str
    goal: str
    status: str
    """`running` where the run has not ended, or its process died."""
    steps: int


class RunStore:
    """The runs of one home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "runs"

    def new(self) -> str:
        """A fresh run's id; its folder exists from then on."""
        run = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        self.folder(run).mkdir(parents=True)
        return run

    def discard_if_empty(self, run: str) -> None:
        """Remove a run that could not begin; one whose journal holds anything stays."""
        try:
            begun = bool(self.events(run))
        except SettingsError:
            begun = (self.folder(run) / JOURNAL).exists()
        if not begun:
            shutil.rmtree(self.folder(run), ignore_errors=True)

    def folder(self, run: str) -> Path:
        return self._folder / run

    def journal(self, run: str) -> Path:
        """The journal of a run; SettingsError where there is no such run."""
        path = self.folder(run) / JOURNAL
        if Path(run).name != run or not path.exists():
            raise SettingsError(f"there is no run {run!r}; `tuneward runs list` names them")
        return path

    def events(self, run: str) -> list[Event]:
        return read_journal(self.journal(run), run)

    def ids(self) -> list[str]:
        """All runs, newest first."""
        if not self._folder.is_dir():
            return []
        return sorted(
            (p.name for p in self._folder.iterdir() if (p / JOURNAL).exists()), reverse=True
        )

    def summary(self, run: str) -> RunSummary:
        events = self.events(run)
        started = [e for e in events if e.type == "run_started" and not e.data.get("resumed")]
        steps = sum(e.type == "tool_called" for e in events)
        last = events[-1] if events else None
        ended = last is not None and last.type == "run_finished"
        return RunSummary(
            run,
            started[0].time if started else "",
            started[-1].data["goal"] if started else "",
            last.data["status"] if last is not None and ended else "running",
            steps,
        )
