"""Tests of a run's jobs: waiting on, the time for tuning, and what is left of them afterwards."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.tools.tuning.plain_job import COMMAND
from tests.tools.tuning.plain_methods import reviews
from tests.tools.tuning.test_tuning import write_csv
from tools.tuning.errors import BudgetSpent
from tools.tuning.job_folder import ENDED
from tools.tuning.job_runner import JobRunner
from tools.tuning.job_spec import DataFile, JobSpec
from tools.tuning.job_store import JobStore
from tools.tuning.run_tuning import RunTuning


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The run's folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def tuning(home: Path, run: Path, seconds: float = 60, scope: str = "goal") -> RunTuning:
    return RunTuning(home, run, seconds, scope=scope, runner=JobRunner(home, command=COMMAND))


def spec(tmp_path: Path, **facts: Any) -> JobSpec:
    path = tmp_path / "train.csv"
    if not path.exists():
        write_csv(path, reviews(60))
    defaults = {"kind": "classification", "skill": "mood", "method": "linear_head"}
    return JobSpec(train=DataFile.at(path), **{**defaults, **facts})


def test_a_job_is_waited_for_and_asking_again_starts_nothing(
    home: Path, run: Path, tmp_path: Path
) -> None:
    job, state, _ = tuning(home, run).tune(spec(tmp_path))
    assert state.status == "done"
    assert state.result["method"] == "linear_head"
    assert job.spec().budget_seconds == 30  # half of what the run has
    with (run / "tuning.jsonl").open("ab") as file:  # torn by a kill
        file.write(b'{"scope": "x", "key": "to')
    again, state, _ = tuning(home, run).tune(spec(tmp_path))  # as after a resume
    assert again.id == job.id
    assert state.status == "done"
    assert JobStore(home).ids() == [job.id]


def test_a_long_job_is_left_at_work_and_waited_on(home: Path, run: Path, tmp_path: Path) -> None:
    jobs = tuning(home, run)
    job, state, _ = jobs.tune(spec(tmp_path, method="lora"), wait=0)
    assert state.status not in ENDED
    same, state, _ = jobs.tune(
        spec(tmp_path, method="lora"), stopped=lambda: job.stored_state().status == "running"
    )
    assert same.id == job.id
    assert state.status == "running"
    jobs.close()
    assert jobs.runner.poll(job).status == "interrupted"


def test_an_interrupted_job_goes_on_when_it_is_asked_for_again(
    home: Path, run: Path, tmp_path: Path
) -> None:
    jobs = tuning(home, run)
    job, _, _ = jobs.tune(spec(tmp_path), wait=0)
    jobs.close()
    same, state, _ = jobs.tune(spec(tmp_path))
    assert same.id == job.id
    assert state.status == "done"


def test_the_time_of_all_jobs_counts_and_their_progress_is_passed_on(
    home: Path, run: Path, tmp_path: Path
) -> None:
    jobs = tuning(home, run, seconds=7)
    started = time.monotonic()
    _, state, _ = jobs.tune(spec(tmp_path, method="lora"), seconds=100)
    assert state.exit_code == 124
    assert jobs.seconds_left < 5
    assert jobs.is_spent
    with pytest.raises(BudgetSpent, match="7 s"):
        jobs.tune(spec(tmp_path))
    assert not tuning(home, run, scope="another goal").is_spent
    told = jobs.progress()
    assert told
    assert len(told) <= 2 + (time.monotonic() - started) / 5
    assert {"job", "what"} <= set(told[0])
    assert jobs.progress() == []


def test_another_seed_is_another_job(home: Path, run: Path, tmp_path: Path) -> None:
    jobs = tuning(home, run)
    first, _, _ = jobs.tune(spec(tmp_path), wait=0)
    other, _, _ = jobs.tune(spec(tmp_path, seed=1), wait=0)
    assert other.id != first.id
    jobs.close()
