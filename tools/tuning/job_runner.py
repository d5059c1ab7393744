"""Starts tuning jobs as processes of their own, watches, stops and resumes them.

    runner = JobRunner(home)
    job = runner.start(spec)
    state = runner.follow(job, show_event)         # or `runner.poll(job)` now and then

A job's process is no part of ours: it is in a session of its own, writes to files only, and goes on
when we are killed. When it is killed, its checkpoints stay. If it was killed for want of memory, it
is started again with its batches halved, at most three times.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.tuning.errors import JobError
from tools.tuning.heartbeat import stood_at_limit
from tools.tuning.job_events import EventWriter, read_events
from tools.tuning.job_folder import ENDED, LATER_MAY_DO, Job, JobState, StopReason
from tools.tuning.job_spec import JobSpec
from tools.tuning.job_store import JobStore
from tools.tuning.preflight import check_room

CHILD: tuple[str, ...] = (sys.executable, "-P", "-m", "agent.job")
MOST_HALVINGS = 3
POLL_SECONDS = 0.1
GRACE_SECONDS = 4.0
"""A process that was asked to stop gets so long to end its step and keep its state."""
KILL_SECONDS = 10.0
"""So long the system may take to end a process that was killed."""

Listener = Callable[[dict[str, Any]], object]


class JobRunner:
    """The jobs of one home, and the processes of those that were started here."""

    def __init__(
        self, home: Path, *, command: Sequence[str] | None = None, memory_limit: int | None = None
    ) -> None:
        """Args:
        command: starts a job's process; the job's folder is put behind it. `CHILD` by itself.
        memory_limit: bytes that a job may have, where that is less than the machine has.
        """
        self.home = home
        self.store = JobStore(home)
        self._command = tuple(command or CHILD)
        self._memory_limit = memory_limit
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, spec: JobSpec) -> Job:
        """A new job, at work.

        Raises:
            DiskFull: it may need more room than there is; nothing was started.
        """
        check_room(spec, self.home)
        job = self.store.new(spec)
        self._spawn(job)
        return job

    def resume(self, job: Job, *, budget_seconds: float | None = None) -> JobState:
        """Let a job go on that was stopped, was killed, or lacked memory, room or time.

        Args:
            budget_seconds: for all attempts together; the job's own where left out.

        Raises:
            JobError: it runs, is done, or failed in a way that trying again does not mend.
            DiskFull: it may need more room than there is.
        """
        check_room(job.spec(), self.home)
        with job.held():
            state = job.stored_state()
            if state.status == "done":
                raise JobError(f"job {job.id} is done; `tuneward jobs show {job.id}` says what")
            if state.status == "failed" and state.exit_code not in LATER_MAY_DO:
                raise JobError(
                    f"job {job.id} failed for good ({state.message}); start a new one with "
                    "`tuneward tune`"
                )
            halvings = state.batch_halvings
            if state.status == "running" and self._lacked_memory(job, None):
                halvings = min(halvings + 1, MOST_HALVINGS)
            job.forget_stop()
            state = job.change(
                status="queued",
                exit_code=0,
                message="",
                ended="",
                batch_halvings=halvings,
                budget_seconds=budget_seconds or state.budget_seconds,
            )
        self._spawn(job)
        return state

    def poll(self, job: Job) -> JobState:
        """Where the job stands now; sees to a process that has died."""
        process = self._processes.get(job.id)
        code = process.poll() if process is not None else None
        state = job.stored_state()
        if process is not None and code is None:
            return state
        if job.is_held():  # by a process that somebody else has started
            return job.stored_state()
        self._processes.pop(job.id, None)
        state = job.stored_state()
        never_began = state.status == "queued" and (code is not None or job.stop_wanted())
        return self._see_to(job, code) if state.status == "running" or never_began else state

    def follow(self, job: Job, listener: Listener, *, after: int = 0) -> JobState:
        """Wait until the job has ended, passing on what happens.

        Args:
            listener: gets each event of `events.jsonl` from byte `after` on.

        An exception, Ctrl-C among them, leaves the job at work: `stop` ends it.
        """
        while True:
            state = self.poll(job)
            events, after = read_events(job.events_path, after)
            for event in events:
                listener(event)
            process = self._processes.get(job.id)
            if state.status in ENDED and (process is None or process.poll() is not None):
                return state
            time.sleep(POLL_SECONDS)

    def stop(self, job: Job, reason: StopReason, *, grace: float = GRACE_SECONDS) -> JobState:
        """Let a job end: after its step where that is soon, else at once.

        Raises:
            JobError: it has ended already.
        """
        state = self.poll(job)
        if state.status in ENDED:
            self._ends_within(job, grace)  # its process may still be on its way out
            raise JobError(f"job {job.id} has ended: {state.status}")
        job.ask_to_stop(reason)
        if not self._ends_within(job, grace):
            self.kill(job)
        return self.poll(job)

    def kill(self, job: Job) -> None:
        """End the job's process and its children now; its checkpoints stay."""
        process, holder = self._processes.get(job.id), job.holder()
        pid = holder or (process.pid if process is not None and process.poll() is None else None)
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:  # it leads no group: somebody started it by hand
                os.kill(pid, signal.SIGKILL)
        self._ends_within(job, KILL_SECONDS)

    def let_go(self, job: Job) -> None:
        """Wait no more for the job's process, which goes on by itself."""
        process = self._processes.pop(job.id, None)
        if process is not None:
            process.returncode = 0  # else Popen warns, when we end, that it still runs

    def _spawn(self, job: Job) -> None:
        with job.log_path.open("ab") as log:
            self._processes[job.id] = subprocess.Popen(
                [*self._command, str(job.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=job.folder,
                start_new_session=True,
                # The order of sets must not differ from attempt to attempt.
                env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"},
            )

    def _see_to(self, job: Job, code: int | None) -> JobState:
        """A process died without a word: start another one, or say how it ended."""
        try:
            with job.held():
                if job.stored_state().status in ENDED:
                    return job.stored_state()
                state = self._account_for(job, code)
        except JobError:  # somebody was faster
            return job.stored_state()
        if state.status == "queued":
            self._spawn(job)
        return state

    def _account_for(self, job: Job, code: int | None) -> JobState:
        state, id = job.stored_state(), job.id
        goes_on = f"`tuneward jobs resume {id}` goes on"
        if (reason := job.stop_reason()) is not None:
            status = "cancelled" if reason == "cancel" else "interrupted"
            return _end(job, status, 130, f"{status}; {goes_on}")
        if self._lacked_memory(job, code):
            if state.batch_halvings >= MOST_HALVINGS:
                return _end(
                    job,
                    "failed",
                    3,
                    f"oom: the job's process was killed at the limit of the memory, even with "
                    f"batches of an eighth; take a smaller --base or free memory, then {goes_on}",
                )
            return self._halve(job, state.batch_halvings + 1)
        if code is None or code == -signal.SIGKILL:
            return _end(job, "interrupted", 130, f"the job's process was killed; {goes_on}")
        said = _last_line(job.log_path)
        if code < 0:
            said = f"the job's process died of {signal.Signals(-code).name}"
            code = 5
        return _end(job, "failed", code, f"{said}; see `tuneward jobs log {id}`")

    def _lacked_memory(self, job: Job, code: int | None) -> bool:
        was_killed = code is None or code == -signal.SIGKILL
        last = job.heartbeat()
        is_of_this = last is not None and last.attempt == job.stored_state().attempts
        return was_killed and is_of_this and stood_at_limit(last, self._memory_limit)

    def _halve(self, job: Job, halvings: int) -> JobState:
        writer = EventWriter(job.events_path, job.stored_state().attempts)
        note = f"killed at the limit of the memory: batches go in {2**halvings} pieces from now on"
        writer({"type": "out_of_memory", "batch_halvings": halvings, "note": note})
        writer.close()
        return job.change(status="queued", batch_halvings=halvings)

    def _ends_within(self, job: Job, seconds: float) -> bool:
        give_up = time.monotonic() + seconds
        process = self._processes.get(job.id)
        while job.is_held() or (process is not None and process.poll() is None):
            if time.monotonic() > give_up:
                return False
            time.sleep(POLL_SECONDS / 4)
        return True


def _end(job: Job, status: str, code: int, message: str) -> JobState:
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    return job.change(
        status=status,
        exit_code=code,
        message=message,
        ended=ended,
        seconds_used=job.seconds_used(),
    )


def _last_line(path: Path) -> str:
    """What a process said last, for where it could not write its state."""
    with contextlib.suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4_000))
            lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line]
        if lines:
            return lines[-1]
    return "the job's process ended without a word"
