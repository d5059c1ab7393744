"""Tuning jobs of one run: started, waited for a while at a time, within the run's time for tuning.

A job is known by what it is to do, so asking for the same again waits on, also after the run was
killed and resumed: which jobs a run has started stands in `tuning.jsonl` of its folder. The time
of all its jobs together is the goal's `budget.tuning_seconds`.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from memory import durable
from tools.tuning.errors import BudgetSpent, JobError
from tools.tuning.job_events import read_events
from tools.tuning.job_folder import ENDED, Job, JobState
from tools.tuning.job_runner import JobRunner
from tools.tuning.job_spec import JobSpec

FILE = "tuning.jsonl"
WAIT_SECONDS = 90.0
"""So long one call waits; the loop gives a tool 120 s."""
TELL_SECONDS = 5.0
"""Progress is passed on at most so often."""
FEWEST_SECONDS = 5.0
"""With less time left no job is started."""
SHARE = 2
"""A job gets one half of what is left unless it is told otherwise, so another one can follow."""
_POLL_SECONDS = 0.1


class RunTuning:
    """What a run may do with jobs."""

    def __init__(
        self,
        home: Path,
        folder: Path,
        budget_seconds: float,
        *,
        scope: str = "",
        device: str | None = None,
        runner: JobRunner | None = None,
    ) -> None:
        """Args:
        folder: the run's, where its jobs are noted down.
        budget_seconds: of all jobs of the run together.
        scope: the goal; a follow-up in the same run has a budget of its own.
        """
        self.device = device
        self.runner = runner or JobRunner(home)
        self._path = folder / FILE
        self._budget = budget_seconds
        self._scope = hashlib.sha256(scope.encode("utf-8", "replace")).hexdigest()[:16]
        self._told: SimpleQueue[dict[str, Any]] = SimpleQueue()

    @property
    def seconds_left(self) -> float:
        """Of the run's time for tuning."""
        return self._budget - sum(job.seconds_used() for job in self.jobs().values())

    @property
    def is_spent(self) -> bool:
        """No job can be started any more, and none is at work."""
        if self.seconds_left >= FEWEST_SECONDS:
            return False
        return all(self.runner.poll(job).status in ENDED for job in self.jobs().values())

    def jobs(self) -> dict[str, Job]:
        """Jobs of this run by what they are to do; those that are still there."""
        found: dict[str, Job] = {}
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return found
        for line in lines:
            with suppress(ValueError, KeyError, TypeError, JobError):
                entry = json.loads(line)
                if entry["scope"] != self._scope:
                    continue
                found[entry["key"]] = self.runner.store.get(entry["job"])
        return found

    def tune(
        self,
        spec: JobSpec,
        *,
        seconds: float = 0,
        wait: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> tuple[Job, JobState, dict[str, Any]]:
        """Start the job or go on with it, and wait for it for a while.

        Args:
            spec: its budget is replaced.
            seconds: the job's time; half of what is left where 0, never more than is left.
            wait: so long at most; WAIT_SECONDS where left out.

        Returns:
            The job, where it stands, and the last thing that it told.

        Raises:
            BudgetSpent: no time for tuning is left.
            DiskFull: there is no room for a job.
        """
        job = self._job(spec, seconds)
        give_up = time.monotonic() + (WAIT_SECONDS if wait is None else wait)
        after, told = read_events(job.events_path)[1], 0.0
        last: dict[str, Any] = {}
        while True:
            state = self.runner.poll(job)
            events, after = read_events(job.events_path, after)
            last = events[-1] if events else last
            if last and time.monotonic() - told >= TELL_SECONDS:
                self._told.put({"job": job.id, **_figures(last)})
                told = time.monotonic()
            if state.status in ENDED:
                # Its process may still be on its way out; `follow` sees it off.
                return job, self.runner.follow(job, lambda _: None, after=after), last or _last(job)
            if time.monotonic() >= give_up or stopped():
                return job, state, last or _last(job)
            time.sleep(_POLL_SECONDS)

    def progress(self) -> list[dict[str, Any]]:
        """What jobs told since this was last asked, in order."""
        found: list[dict[str, Any]] = []
        with suppress(Empty):
            while True:
                found.append(self._told.get_nowait())
        return found

    def close(self) -> None:
        """Stop what is still at work: nobody waits for it; `tuneward jobs resume` goes on."""
        for job in self.jobs().values():
            with suppress(JobError):
                self.runner.stop(job, "interrupt")

    def _job(self, spec: JobSpec, seconds: float) -> Job:
        key = _key(spec)
        job = self.jobs().get(key)
        if job is not None:
            state = self.runner.poll(job)
            if state.status not in ("interrupted", "cancelled"):
                return job
            self._budget_for(seconds)
            self.runner.resume(job)
            return job
        budget = self._budget_for(seconds)
        job = self.runner.start(spec.model_copy(update={"budget_seconds": budget}))
        line = json.dumps({"scope": self._scope, "key": key, "job": job.id}) + "\n"
        durable.append(self._path, line.encode())
        return job

    def _budget_for(self, seconds: float) -> float:
        left = self.seconds_left
        if left < FEWEST_SECONDS:
            raise BudgetSpent(
                f"the run's time for tuning is used up ({self._budget:.0f} s); raise "
                "budget.tuning_seconds"
            )
        return min(seconds or max(left / SHARE, FEWEST_SECONDS), left)


def _key(spec: JobSpec) -> str:
    """What makes two jobs the same: all but the time that they may take."""
    facts = spec.model_dump(mode="json", exclude={"budget_seconds"})
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _figures(event: Mapping[str, Any]) -> dict[str, Any]:
    names = ("type", "phase", "method", "block", "stage", "step", "steps", "loss", "score", "note")
    found = {name: event[name] for name in names if event.get(name) not in (None, "")}
    what = found.pop("type", "")
    return {**found, "what": what}


def _last(job: Job) -> dict[str, Any]:
    events = read_events(job.events_path)[0]
    return events[-1] if events else {}
