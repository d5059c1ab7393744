"""Jobs that are killed, starved, stopped and resumed; the process is real, its work a stand-in.

The work is a random walk whose last number tells whether any step was lost, done twice or begun
from another state (tests/tools/tuning/stand_in.py).
"""

import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memory.errors import DiskFull
from models import catalogue
from tests.long_list import sample
from tests.tools.tuning import stand_in
from tools.tuning import preflight
from tools.tuning.errors import JobError
from tools.tuning.heartbeat import memory_now, stood_at_limit
from tools.tuning.job_events import read_events
from tools.tuning.job_folder import ENDED, Heartbeat, Job, JobState
from tools.tuning.job_runner import JobRunner
from tools.tuning.job_spec import DataFile, JobSpec
from tools.tuning.job_store import JobStore

ROOT = Path(__file__).parents[3]
STEPS = 20
PATIENCE = 60.0


class Jobs:
    """Jobs of one home, whose work is the stand-in."""

    def __init__(self, home: Path, train: Path) -> None:
        self.home = home
        self.train = train
        self.runner = self.another_runner()

    def another_runner(self, memory_limit: int | None = None) -> JobRunner:
        """As a later command has it: it knows only the folders."""
        return JobRunner(self.home, command=stand_in.COMMAND, memory_limit=memory_limit)

    def spec(self, **how: Any) -> JobSpec:
        settings = {"steps": STEPS, **how}
        return JobSpec(
            kind="classification", skill="walk", train=DataFile.at(self.train), settings=settings
        )

    def start(self, **how: Any) -> Job:
        return self.runner.start(self.spec(**how))

    def ended(self, job: Job) -> JobState:
        return self.runner.follow(job, lambda _: None)

    def run(self, **how: Any) -> JobState:
        return self.ended(self.start(**how))

    def uninterrupted(self, **how: Any) -> dict[str, Any]:
        """What the same work gives in one go, done here."""
        job = JobStore(self.home).new(self.spec(**how))
        found = stand_in.walk(job.spec(), job.folder, self.home, lambda _: None)
        assert isinstance(found, dict)
        return found

    def resumed(self, job: Job) -> JobState:
        self.runner.resume(job)
        return self.ended(job)


@pytest.fixture
def jobs(home: Path, tmp_path: Path) -> Iterator[Jobs]:
    train = tmp_path / "train.csv"
    train.write_text("text,label\nfine,good\npoor,bad\n")
    all = Jobs(home, train)
    yield all
    for id in all.runner.store.ids():
        job = Job(all.runner.store.folder / id)
        all.runner.kill(job)
        with suppress(JobError):
            all.runner.poll(job)


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def events(job: Job) -> list[dict[str, Any]]:
    return read_events(job.events_path)[0]


def steps(job: Job) -> list[tuple[int, int]]:
    """Attempt and step of each progress."""
    return [(each["attempt"], each["step"]) for each in events(job) if each["type"] == "progress"]


# a job


def test_a_job_works_in_a_process_of_its_own_and_leaves_its_figures(jobs: Jobs) -> None:
    job = jobs.start()
    seen: list[dict[str, Any]] = []
    state = jobs.runner.follow(job, seen.append)
    assert (state.status, state.exit_code, state.attempts) == ("done", 0, 1)
    assert seen == events(job)
    assert [each["step"] for each in seen] == list(range(1, STEPS + 1))
    assert all(each["loss"] >= 0 and each["stage"] == "tune" for each in seen)
    assert not (job.folder / "checkpoints").exists()
    last = job.heartbeat()
    assert last is not None
    assert last.pid != os.getpid()
    assert 0 < last.memory < last.limit
    assert 0 < state.seconds_used < PATIENCE


def test_two_runs_of_the_same_spec_are_equal_and_another_seed_differs(jobs: Jobs) -> None:
    other = jobs.ended(jobs.runner.start(jobs.spec().model_copy(update={"seed": 1})))
    assert jobs.run().result == jobs.uninterrupted() != other.result


def test_the_spec_says_what_was_read_and_with_which_seed(jobs: Jobs) -> None:
    stored = json.loads((jobs.start().folder / "spec.json").read_text())
    assert stored["train"] == DataFile.at(jobs.train).model_dump()
    assert stored["seed"] == 0


def test_a_job_whose_data_changed_is_not_resumed_with_them(jobs: Jobs) -> None:
    job = jobs.start(die_at=5)
    assert jobs.ended(job).status == "interrupted"
    jobs.train.write_text("text,label\nfine,bad\npoor,good\n")
    state = jobs.resumed(job)
    assert (state.status, state.exit_code) == ("failed", 2)
    assert "train.csv: has changed since the job was made" in state.message


# killed


@pytest.mark.stress("job-kills")
@pytest.mark.parametrize("step", sample(range(1, STEPS + 1), 3))
def test_a_job_killed_at_a_step_and_resumed_equals_an_uninterrupted_one(
    jobs: Jobs, step: int
) -> None:
    job = jobs.start(die_at=step)
    state = jobs.ended(job)
    assert (state.status, state.exit_code) == ("interrupted", 130)
    assert state.message.endswith(f"`tuneward jobs resume {job.id}` goes on")
    assert jobs.resumed(job).result == jobs.uninterrupted()
    second = [number for attempt, number in steps(job) if attempt == 2]
    assert second == list(range(step // 4 * 4 + 1, STEPS + 1))  # from the last state, not from 1


@pytest.mark.stress("job-kills")
@pytest.mark.parametrize("kills", sample([1, 3, 8], 1))
def test_a_job_killed_again_and_again_at_any_moment_comes_to_the_same_end(
    jobs: Jobs, kills: int
) -> None:
    job = jobs.start(steps=150, save_every=3)
    for _ in range(kills):
        before = len(steps(job))
        until(lambda before=before: len(steps(job)) > before + 5 or not job.is_held())  # type: ignore[misc]
        jobs.runner.kill(job)
        if jobs.runner.poll(job).status == "done":
            break
        jobs.runner.resume(job)
    assert jobs.ended(job).result == jobs.uninterrupted(steps=150, save_every=3)


def test_a_job_goes_on_when_its_parent_is_killed(jobs: Jobs, tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(jobs.spec(hang_at=6).model_dump_json())
    code = """if True:
        import sys
        from pathlib import Path
        from tests.tools.tuning import stand_in
        from tools.tuning.job_runner import JobRunner
        from tools.tuning.job_spec import JobSpec
        runner = JobRunner(Path(sys.argv[1]), command=stand_in.COMMAND)
        job = runner.start(JobSpec.model_validate_json(Path(sys.argv[2]).read_bytes()))
        print(job.id, flush=True)
        runner.follow(job, lambda _: None)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(jobs.home), str(spec)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout is not None
    job = Job(jobs.home / "jobs" / parent.stdout.readline().strip())
    until(lambda: (job.folder / "hung").exists())
    parent.kill()
    parent.communicate()
    assert job.state().status == "running"
    (job.folder / "go").touch()
    state = jobs.ended(job)
    assert (state.status, state.attempts) == ("done", 1)
    assert state.result == jobs.uninterrupted()


def test_a_job_that_died_unseen_is_interrupted_and_can_be_resumed(jobs: Jobs) -> None:
    job = jobs.start(hang_at=6)
    until(lambda: (job.folder / "hung").exists())
    pid = job.holder()
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    later = jobs.another_runner()
    until(lambda: not job.is_held())
    assert job.state().status == "interrupted"
    later.resume(job)
    assert later.follow(job, lambda _: None).result == jobs.uninterrupted()


def test_only_one_process_works_on_a_job(jobs: Jobs) -> None:
    job = jobs.start(hang_at=2)
    until(lambda: (job.folder / "hung").exists())
    with pytest.raises(JobError, match="is running"):
        jobs.another_runner().resume(job)
    second = subprocess.run(
        [*stand_in.COMMAND, str(job.folder)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 2
    assert f"job {job.id} is running" in second.stderr
    (job.folder / "go").touch()
    assert jobs.ended(job).attempts == 1


def test_a_process_that_crashes_is_a_failure_that_names_the_signal(jobs: Jobs) -> None:
    state = jobs.run(die_at=3, signal="SIGSEGV")
    assert (state.status, state.exit_code) == ("failed", 5)
    assert "SIGSEGV" in state.message


def test_a_bug_leaves_its_traceback_in_the_log_and_can_be_tried_again(jobs: Jobs) -> None:
    job = jobs.start(fail_at=3, error="bug")
    state = jobs.ended(job)
    assert (state.status, state.exit_code) == ("failed", 5)
    assert "ZeroDivisionError" in job.log_path.read_text()
    assert "Traceback" not in state.message
    assert jobs.resumed(job).status == "done"


# without memory, room or numbers


def test_memory_that_ran_out_halves_the_batches_and_the_job_goes_on(jobs: Jobs) -> None:
    size = 300_000_000
    jobs.runner = jobs.another_runner(memory_limit=size)
    job = jobs.start(fill_at=6, memory=size, fits_after=2)
    state = jobs.ended(job)
    assert (state.status, state.attempts, state.batch_halvings) == ("done", 3, 2)
    assert state.result["pieces"] == 4
    halved = [each for each in events(job) if each["type"] == "out_of_memory"]
    assert [each["batch_halvings"] for each in halved] == [1, 2]
    assert state.result["place"] == jobs.uninterrupted()["place"]


def test_memory_that_runs_out_a_fourth_time_ends_the_job(jobs: Jobs) -> None:
    size = 200_000_000
    jobs.runner = jobs.another_runner(memory_limit=size)
    job = jobs.start(fill_at=1, memory=size, fits_after=9)
    state = jobs.ended(job)
    assert (state.status, state.exit_code, state.attempts) == ("failed", 3, 4)
    assert state.message.startswith("oom: ")


def test_a_resume_by_another_command_counts_a_kill_at_the_limit_too(jobs: Jobs) -> None:
    size = 200_000_000
    job = jobs.start(fill_at=6, memory=size)
    until(lambda: job.stored_state().status == "running" and not job.is_held())
    later = jobs.another_runner(memory_limit=size)
    later.resume(job)
    state = later.follow(job, lambda _: None)
    assert (state.status, state.batch_halvings) == ("done", 1)


def test_only_a_heartbeat_at_the_limit_counts_as_want_of_memory() -> None:
    def last(memory: int, free: int) -> Heartbeat:
        return Heartbeat(
            pid=1, attempt=1, time=0, seconds_used=1, memory=memory, free=free, limit=1_000
        )

    assert stood_at_limit(last(950, 50))
    assert stood_at_limit(last(400, 10))  # others had the rest
    assert not stood_at_limit(last(800, 200))
    assert stood_at_limit(last(480, 500), limit=500)
    assert not stood_at_limit(last(300, 500), limit=500)
    assert not stood_at_limit(None)


def test_the_memory_of_this_process_is_within_that_of_the_machine() -> None:
    held, free, limit = memory_now()
    assert 10_000_000 < held < limit
    assert 0 <= free < limit
    with mmap.mmap(-1, 50_000_000) as block:  # from the system, not from what was freed before
        block.write(bytes(len(block)))
        assert memory_now()[0] > held + len(block) // 2


@pytest.mark.parametrize(
    ("error", "code", "said", "goes_on"),
    [
        ("nan", 1, "failed: the loss became NaN at step 6", False),
        ("data", 2, "train.csv:7: one class only", False),
        ("not_better", 1, "failed: nothing beat `nearest`", False),
        ("oom", 3, "oom: does not fit", True),
        ("device", 3, "device_lost: the GPU stopped answering", True),
    ],
)
def test_a_failure_is_one_line_and_an_exit_code(
    jobs: Jobs, error: str, code: int, said: str, goes_on: bool
) -> None:
    job = jobs.start(fail_at=6, error=error)
    state = jobs.ended(job)
    assert (state.status, state.exit_code) == ("failed", code)
    assert state.message.startswith(said)
    assert steps(job)[-1] == (1, 6)
    # Of step 4, the last good one; what no resume can use is not kept.
    assert (job.folder / "checkpoints" / "walk.json").exists() == goes_on
    if goes_on:
        assert jobs.resumed(job).status == "done"
        return
    with pytest.raises(JobError, match="failed for good"):
        jobs.runner.resume(job)


def test_a_disk_that_fills_up_ends_the_job_and_a_resume_goes_on(jobs: Jobs) -> None:
    job = jobs.start(disk_full_at=9)
    state = jobs.ended(job)
    assert (state.status, state.exit_code) == ("failed", 3)
    assert state.message.startswith("disk_full: ")
    assert jobs.resumed(job).result == jobs.uninterrupted()


def test_a_job_that_may_not_fit_the_disk_is_not_started(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = preflight.needed_bytes(jobs.spec())
    usage = shutil.disk_usage(jobs.home)._replace(free=wanted - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match=r"may need .* GB in .* only .* are free; make room"):
        jobs.start()
    assert jobs.runner.store.ids() == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=wanted))
    assert jobs.run().status == "done"


def test_what_a_job_may_write_depends_on_what_it_trains(jobs: Jobs, tmp_path: Path) -> None:
    def needed(**values: Any) -> int:
        return preflight.needed_bytes(jobs.spec().model_copy(update=values))

    assert needed(method="linear_head") == needed(method="lora") == preflight.SMALL_BYTES
    encoder = needed(method="encoder")
    assert encoder > 8 * 4 * catalogue.find(catalogue.EMBEDDER).parameters
    assert needed(method="full") > 3 * encoder
    assert needed(method="auto") == needed(method="full")  # it may take part
    assert needed(method="auto", kind="ner") == encoder  # language models do not
    assert needed(method="full", kind="ner") == preflight.SMALL_BYTES
    (tmp_path / "model.safetensors").write_bytes(b"x" * 4_000)
    assert needed(method="encoder", base=str(tmp_path)) == preflight.SMALL_BYTES + 9 * 4_000
    assert needed(method="encoder", base="someone/unknown") == preflight.SMALL_BYTES


# stopped


@pytest.mark.parametrize(
    ("reason", "status"), [("cancel", "cancelled"), ("interrupt", "interrupted")]
)
def test_a_stopped_job_ends_after_its_step_and_can_be_resumed(
    jobs: Jobs, reason: Any, status: str
) -> None:
    job = jobs.start(hang_at=7, polite=True)
    until(lambda: (job.folder / "hung").exists())
    state = jobs.another_runner().stop(job, reason)
    assert (state.status, state.exit_code) == (status, 130)
    assert jobs.ended(job).status == status
    assert steps(job)[-1] == (1, 7)
    assert jobs.resumed(job).result == jobs.uninterrupted()


def test_a_job_that_does_not_stop_is_killed_and_its_state_stays(jobs: Jobs) -> None:
    job = jobs.start(hang_at=7)
    until(lambda: (job.folder / "hung").exists())
    state = jobs.runner.stop(job, "cancel", grace=0.2)
    assert (state.status, state.exit_code) == ("cancelled", 130)
    assert not job.is_held()
    assert jobs.resumed(job).result == jobs.uninterrupted()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_jobs_process_stops_it_in_order(jobs: Jobs, number: int) -> None:
    job = jobs.start(hang_at=7, polite=True)
    until(lambda: (job.folder / "hung").exists())
    pid = job.holder()
    assert pid is not None
    os.kill(pid, number)
    assert jobs.ended(job).status == "interrupted"
    assert jobs.resumed(job).status == "done"


def test_what_has_ended_cannot_be_stopped_or_resumed(jobs: Jobs) -> None:
    job = jobs.start()
    jobs.ended(job)
    with pytest.raises(JobError, match="has ended: done"):
        jobs.runner.stop(job, "cancel")
    with pytest.raises(JobError, match="is done"):
        jobs.runner.resume(job)


def test_a_job_that_never_began_can_be_cancelled_and_resumed(jobs: Jobs) -> None:
    job = JobStore(jobs.home).new(jobs.spec())
    assert jobs.runner.stop(job, "cancel").status == "cancelled"
    assert jobs.resumed(job).status == "done"


# time


def test_the_time_of_killed_attempts_counts_and_a_resume_can_give_more(jobs: Jobs) -> None:
    spec = jobs.spec(die_at=5).model_copy(update={"budget_seconds": 50.0})
    job = jobs.runner.start(spec)
    jobs.ended(job)
    last = job.heartbeat()
    assert last is not None
    job.beat(last.model_copy(update={"seconds_used": 60.0}))
    state = jobs.resumed(job)
    assert (state.status, state.exit_code) == ("failed", 124)
    assert state.message.startswith("budget_tuning: ")
    assert state.seconds_used >= 60
    jobs.runner.resume(job, budget_seconds=100.0)
    assert jobs.ended(job).result == jobs.uninterrupted()


# what lies in the folder


def test_an_event_that_a_kill_has_torn_costs_no_other(jobs: Jobs) -> None:
    job = jobs.start(die_at=5)
    jobs.ended(job)
    with job.events_path.open("ab") as file:
        file.write(b'\xff\xfe\n{"a": 1}\n[]\n{"type": "prog')
    jobs.resumed(job)
    assert steps(job)[-1] == (2, STEPS)
    assert len(steps(job)) == 5 + STEPS - 4


@pytest.mark.parametrize("name", ["spec.json", "state.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "dancing"}', "\0"])
def test_a_broken_file_of_a_job_is_one_line(jobs: Jobs, name: str, text: str) -> None:
    job = JobStore(jobs.home).new(jobs.spec())
    (job.folder / name).write_text(text)
    with pytest.raises(JobError, match="is broken") as refused:
        jobs.runner.resume(job)
    assert "\n" not in str(refused.value)


def test_jobs_are_found_by_id_by_its_beginning_and_as_the_last(jobs: Jobs) -> None:
    store = JobStore(jobs.home)
    first = store.new(jobs.spec())
    assert store.get(first.id).id == store.get(first.id[:-2]).id == store.get("last").id == first.id
    second = store.new(jobs.spec())
    assert store.ids() == sorted([first.id, second.id], reverse=True)
    for wrong in ("nothing", "", "../runs", "2"):
        with pytest.raises(JobError):
            store.get(wrong)
    assert store.running() == []
    assert {Job(store.folder / id).state().status for id in store.ids()} == {"queued"}
    assert "queued" not in ENDED
