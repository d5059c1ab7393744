"""The folder of one tuning job: everything that is known about it, readable while it runs.

    spec.json         what is to be done; written once
    state.json        where it stands; replaced whole
    heartbeat.json    that its process lives, and how much memory it has; twice a second
    events.jsonl      what happened: one JSON object a line, the job's figures among them
    log.txt           what its process printed
    checkpoints/      where an unfinished fit goes on from
    lock              held by the process that works on it, and by nobody once that is dead
    stop              there while somebody wants it to stop; says why

Nobody but the holder of the lock changes the state while it is held.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from memory import durable
from tools.tuning.errors import JobError
from tools.tuning.job_spec import JobSpec, Part
from tools.tuning.methods.base import Bench

JobStatus = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
StopReason = Literal["cancel", "interrupt"]
ENDED: tuple[JobStatus, ...] = ("done", "failed", "cancelled", "interrupted")
CHECKPOINTS = "checkpoints"
LOOK_SECONDS = 1.0
"""So long one waits for the lock: others hold it for an instant to look who has it."""
LATER_MAY_DO = (3, 5, 124)
"""Exit codes of a failed job that may succeed when it is resumed: no memory, no room on the disk,
no model, a bug, or more time with `--budget`."""


class JobState(Part):
    """Where a job stands."""

    status: JobStatus = "queued"
    created: str = ""
    """UTC, ISO 8601."""
    ended: str = ""
    attempts: int = 0
    """Processes that have worked on it."""
    batch_halvings: int = 0
    """How often an attempt was killed for want of memory."""
    seconds_used: float = 0.0
    """Over all attempts, as of the last change; the heartbeat knows better."""
    budget_seconds: float = 0.0
    """The spec's, or what `jobs resume --budget` gave."""
    exit_code: int = 0
    """Of the command, once it has ended; see the README."""
    message: str = ""
    """How it ended, in a line."""
    result: dict[str, Any] = {}
    """What came of it: skill, version, method, figures."""


class Heartbeat(Part):
    """What the working process last said of itself."""

    pid: int
    attempt: int
    time: float
    """Seconds since 1970."""
    seconds_used: float
    """By this attempt and those before it."""
    memory: int
    """Bytes of main memory that the process holds."""
    free: int
    """Bytes that the machine, or the group that the process is limited to, still has."""
    limit: int
    """Bytes that there are in all."""


class Job:
    """One job, by its folder `home/jobs/ID`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.id = folder.name
        self.home = folder.parents[1]

    # what it is and where it stands

    def spec(self) -> JobSpec:
        """What it is to do.

        Raises:
            JobError: the file is broken.
        """
        try:
            return JobSpec.model_validate_json((self.folder / "spec.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise JobError(
                f"the spec of job {self.id} is broken ({_first_line(error)}); start a new job"
            ) from error

    def stored_state(self) -> JobState:
        """What `state.json` says; the process may have died since."""
        try:
            return JobState.model_validate_json((self.folder / "state.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise JobError(
                f"the state of job {self.id} is broken ({_first_line(error)}); start a new job"
            ) from error

    def state(self) -> JobState:
        """Where it stands: a job whose process died is `interrupted`."""
        state = self.stored_state()
        if state.status != "running" or self.is_held():
            return state
        state = self.stored_state()  # it may have ended between the two looks
        if state.status != "running":
            return state
        message = f"the job's process was killed; `tuneward jobs resume {self.id}` goes on"
        return state.model_copy(
            update={"status": "interrupted", "exit_code": 130, "message": message}
        )

    def change(self, **values: Any) -> JobState:
        """Store a changed state, durably."""
        state = self.stored_state().model_copy(update=values)
        durable.replace(self.folder / "state.json", state.model_dump_json(indent=2).encode())
        return state

    def heartbeat(self) -> Heartbeat | None:
        """The last one; None where no process has begun."""
        try:
            return Heartbeat.model_validate_json((self.folder / "heartbeat.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def seconds_used(self) -> float:
        """Over all attempts, those that were killed included."""
        last = self.heartbeat()
        return max(self.stored_state().seconds_used, last.seconds_used if last else 0.0)

    def beat(self, heartbeat: Heartbeat) -> None:
        """Replace the heartbeat; it need not survive a power loss, so nobody waits for the disk."""
        temp = self.folder / f".heartbeat-{os.getpid()}"
        with contextlib.suppress(OSError):
            temp.write_text(heartbeat.model_dump_json())
            temp.replace(self.folder / "heartbeat.json")

    # who works on it

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that works on the job.

        Raises:
            JobError: another one does.
        """
        file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(file)
            os.ftruncate(file, 0)
            os.write(file, str(os.getpid()).encode())
            yield
            os.ftruncate(file, 0)
        finally:
            os.close(file)

    def is_held(self) -> bool:
        """A process works on it."""
        return self.holder() is not None

    def holder(self) -> int | None:
        """The process that works on it; None where there is none."""
        try:
            file = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.read(file, 20) or b"0")
        finally:
            os.close(file)
        return None

    def _take(self, file: int) -> None:
        give_up = time.monotonic() + LOOK_SECONDS
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:  # nobody who only looks takes so long
                    raise JobError(
                        f"job {self.id} is running; `tuneward jobs show {self.id}` says how far "
                        "it is"
                    ) from None
                time.sleep(0.01)

    # the wish to stop

    def ask_to_stop(self, reason: StopReason) -> None:
        """Let the working process stop before its next step."""
        with contextlib.suppress(FileExistsError), (self.folder / "stop").open("x") as file:
            file.write(reason)

    def stop_reason(self) -> StopReason | None:
        """Why it is to stop; None where nobody wants it to."""
        try:
            text = (self.folder / "stop").read_text()
        except OSError:
            return None
        return "cancel" if text == "cancel" else "interrupt"

    def forget_stop(self) -> None:
        """Before a new attempt."""
        (self.folder / "stop").unlink(missing_ok=True)

    def stop_wanted(self) -> bool:
        """For `Bench.cancelled`: one look at the file system, a few microseconds."""
        return (self.folder / "stop").exists()

    # what happens

    def bench(self, spec: JobSpec) -> Bench:
        """What the job's methods work with: its base, device, seed, deadline and checkpoints.

        The deadline counts what earlier attempts used. Where several methods are fitted, each needs
        a checkpoint folder of its own, and `on_progress` is the caller's to set. It begins from no
        skill: `start.py` says which fit may.
        """
        state = self.stored_state()
        left = state.budget_seconds - self.seconds_used()
        return Bench(
            home=self.home,
            base=spec.base,
            device=spec.device,
            seed=spec.seed,
            deadline=time.monotonic() + left,
            checkpoints=self.folder / CHECKPOINTS,
            batch_halvings=state.batch_halvings,
            cancelled=self.stop_wanted,
        )

    @property
    def events_path(self) -> Path:
        """See `job_events.py`."""
        return self.folder / "events.jsonl"

    @property
    def log_path(self) -> Path:
        """What its processes printed."""
        return self.folder / "log.txt"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
