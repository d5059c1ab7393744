"""Makes tuning jobs from a command's words and follows them to their end, Ctrl-C included."""

import re
from contextlib import suppress
from typing import Any

from agent.errors import UsageError
from agent.job_view import JobView
from tools.tuning.errors import JobError
from tools.tuning.job_folder import Job, JobState
from tools.tuning.job_report import PAGE_FILE, JobReport
from tools.tuning.job_runner import JobRunner
from tools.tuning.report_tables import report_lines

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600}


def seconds_of(budget: str) -> float:
    """`90s`, `20m`, `1.5h`, or a number of seconds.

    Raises:
        UsageError: it is none of these.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smh]?)", budget.strip().lower())
    if not found or float(found[1]) == 0:
        raise UsageError(f"{budget!r} is no time; write it as 90s, 20m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def watch(runner: JobRunner, job: Job, *, after: int = 0) -> JobState:
    """Show a job until it has ended. Ctrl-C asks it to stop; a second one kills its process.

    Args:
        after: the byte of its events from which on they are shown.
    """
    with JobView() as view:
        try:
            return runner.follow(job, view, after=after)
        except KeyboardInterrupt:
            pass
    try:
        return runner.stop(job, "interrupt")
    except JobError:  # it ended by itself meanwhile
        return runner.poll(job)
    except KeyboardInterrupt:
        with suppress(KeyboardInterrupt):
            runner.kill(job)
        return runner.poll(job)


def report_of(job: Job) -> list[str]:
    """A job's report for a terminal, and where its page lies; nothing where it has none yet."""
    try:
        lines = report_lines(JobReport.read(job.folder))
    except JobError:
        return []
    page = job.folder / PAGE_FILE
    return [*lines, "", f"as a page: {page}"] if page.exists() else lines


def as_json(job: Job, state: JobState) -> dict[str, Any]:
    """A job as data for programs."""
    facts = {"job": job.id, **state.model_dump(mode="json")}
    with suppress(JobError):
        facts["spec"] = job.spec().model_dump(mode="json")
    page = job.folder / PAGE_FILE
    if page.exists():
        facts["report"] = str(page)
    return facts
