"""Where tuning jobs are kept: one folder each under `home/jobs`, named by time."""

import contextlib
import secrets
from datetime import UTC, datetime
from pathlib import Path

from memory import durable
from tools.tuning.errors import JobError
from tools.tuning.job_folder import Job, JobState
from tools.tuning.job_spec import JobSpec

LAST = "last"
"""Stands for the newest job."""


class JobStore:
    """The jobs of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "jobs"

    def new(self, spec: JobSpec) -> Job:
        """A job that is queued.

        Raises:
            DiskFull, WriteFailed: there is no such job.
        """
        id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        job = Job(self.folder / id)
        durable.replace(job.folder / "spec.json", spec.model_dump_json(indent=2).encode())
        created = datetime.now(UTC).isoformat(timespec="seconds")
        state = JobState(created=created, budget_seconds=spec.budget_seconds)
        # Written last: a folder without a state is no job.
        durable.replace(job.folder / "state.json", state.model_dump_json(indent=2).encode())
        return job

    def get(self, id: str) -> Job:
        """The job of that id, of the id that begins so, or the newest for `last`.

        Raises:
            JobError: there is none, or several begin so.
        """
        ids = self.ids()
        found = ids[:1] if id == LAST else [each for each in ids if each == id]
        found = found or [each for each in ids if id and each.startswith(id)]
        if len(found) > 1:
            raise JobError(f"{len(found)} jobs begin with {id!r}; give more of the id")
        if not found:
            raise JobError(f"there is no job {id[:80]!r}; `tuneward jobs list` names them")
        return Job(self.folder / found[0])

    def ids(self) -> list[str]:
        """All jobs, the newest first."""
        if not self.folder.is_dir():
            return []
        found = [path.name for path in self.folder.iterdir() if (path / "state.json").exists()]
        return sorted(found, reverse=True)

    def running(self) -> list[Job]:
        """Jobs that a process works on now."""
        jobs = [Job(self.folder / id) for id in self.ids()]
        found = []
        for job in jobs:
            with contextlib.suppress(JobError):
                if job.state().status == "running":
                    found.append(job)
        return found
