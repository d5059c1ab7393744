"""The process of one tuning job: `python -P -m agent.job FOLDER`, started by the job runner.

It holds the job's lock, shows a heartbeat, does the work, and writes how that ended. SIGINT,
SIGTERM and SIGHUP ask it to stop before the next step; its state is then in the checkpoints. They
are removed where the job is done, or failed so that a resume would not help.
"""

import json
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from agent.commands.failures import explained
from agent.commands.output import INTERNAL_ERROR
from agent.interrupt import SIGNALS
from memory.errors import StoreError
from tools.tuning.errors import JobError, Stopped
from tools.tuning.heartbeat import Pulse
from tools.tuning.job_events import EventWriter, plain, read_events
from tools.tuning.job_folder import CHECKPOINTS, LATER_MAY_DO, Job, JobStatus
from tools.tuning.job_spec import JobSpec
from tools.tuning.methods.base import Progress
from tools.tuning.tracking import open_tracker

OnEvent = Callable[[dict[str, Any] | Progress], None]
Work = Callable[[JobSpec, Path, Path, OnEvent], object]
"""Does the job of a spec: gets the job's folder, TUNEWARD_HOME and whom to tell; gives a result
that is a dataclass, a mapping, or has `as_dict()`."""


def main(arguments: Sequence[str] | None = None, work: Work | None = None) -> int:
    """Work on the job of that folder; the exit code is that of the command that made it."""
    words = sys.argv[1:] if arguments is None else arguments
    job = Job(Path(words[0]))
    for number in SIGNALS:
        signal.signal(number, _asking(job))
    try:
        with job.held():
            return _attempt(job, work or _tune)
    except JobError as error:
        print(error, file=sys.stderr)
        return 2


def _tune(spec: JobSpec, folder: Path, home: Path, on_event: OnEvent) -> object:
    from tools.tuning.tuning import run

    return run(spec, folder, home, on_event)


def _attempt(job: Job, work: Work) -> int:
    attempt = job.stored_state().attempts + 1
    with Pulse(job, attempt, job.seconds_used()) as pulse:
        status: JobStatus = "failed"
        result: dict[str, Any] = {}
        try:
            job.change(status="running", attempts=attempt)
            result = _result(_work(job, work, attempt))
            status, message, code = "done", "done", 0
        except Stopped as error:
            reason = job.stop_reason() or "interrupt"
            status = "cancelled" if reason == "cancel" else "interrupted"
            message, code = f"{status}: {error}", 130
        except Exception as error:  # the last door: the state says how it ended
            message, code = _said(job, error)
        with suppress(StoreError):  # a full disk: the exit code still says it
            job.change(
                status=status,
                exit_code=code,
                message=message,
                ended=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds_used=pulse.seconds_used(),
                result=result,
            )
    print(message, file=sys.stderr, flush=True)
    if status == "done" or (status == "failed" and code not in LATER_MAY_DO):
        shutil.rmtree(job.folder / CHECKPOINTS, ignore_errors=True)
    return code


def _work(job: Job, work: Work, attempt: int) -> object:
    spec = job.spec()
    for file in spec.files.values():
        file.check()
    before = len(read_events(job.events_path)[0]) if spec.track is not None else 0
    writer = EventWriter(job.events_path, attempt)
    track, untrack = (
        open_tracker(spec.track, job.folder, job.id, after=before)
        if spec.track is not None
        else (lambda _: None, lambda: None)
    )

    def on_event(event: dict[str, Any] | Progress) -> None:
        track(writer(event))

    try:
        return work(spec, job.folder, job.home, on_event)
    finally:
        untrack()
        writer.close()


def _said(job: Job, error: Exception) -> tuple[str, int]:
    """How it ended in one line, and the exit code; the traceback of a bug goes to the log."""
    if (expected := explained(error)) is not None:
        return expected
    traceback.print_exception(error)
    return (
        f"internal_error: this is a bug in Tuneward; `tuneward jobs log {job.id}` has the report",
        INTERNAL_ERROR,
    )


def _result(outcome: object) -> dict[str, Any]:
    """The outcome as plain JSON."""
    if hasattr(outcome, "as_dict"):
        facts = outcome.as_dict()
    elif is_dataclass(outcome) and not isinstance(outcome, type):
        facts = asdict(outcome)
    else:
        facts = outcome or {}
    found: dict[str, Any] = json.loads(json.dumps(plain(facts), default=str))
    return found


def _asking(job: Job) -> Callable[[int, FrameType | None], None]:
    def ask(number: int, frame: FrameType | None) -> None:
        job.ask_to_stop("interrupt")

    return ask


if __name__ == "__main__":
    sys.exit(main())
