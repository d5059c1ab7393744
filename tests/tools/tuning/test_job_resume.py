"""A real job, killed in the middle of its training and resumed, gives the same skill to the byte.

The work is the product's own: data read and split, methods raced, the winner trained, measured and
registered; with a method of one matrix, and (in the long list) on a tiny random encoder. A job that
is killed while it registers ends with the version in use and its page.
"""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.long_list import sample
from tests.models.tiny_encoder import write_encoder
from tests.tools.tuning import plain_job, real_work
from tests.tools.tuning.plain_methods import reviews
from tests.tools.tuning.test_tuning import write_csv
from tools.tuning.job_events import read_events
from tools.tuning.job_folder import Job, JobState
from tools.tuning.job_report import PAGE_FILE, JobReport
from tools.tuning.job_runner import JobRunner
from tools.tuning.job_spec import DataFile, JobSpec
from tools.tuning.job_store import JobStore
from tools.tuning.skill_files import names_in
from tools.tuning.skill_store import Skill, SkillStore

SETTINGS: dict[str, dict[str, Any]] = {
    "words": {},
    "encoder": {"epochs": 3, "batch": 16, "lr": 3e-3, "shapes": False},
    "encoder_lora": {"epochs": 6, "batch": 16, "lr": 1e-2, "shapes": False},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, and reviews whose class is one of their words."""
    folder = tmp_path_factory.mktemp("files")
    write_encoder(folder / "encoder")
    words = random.Random(0)
    for name, count in (("train", 96), ("dev", 30), ("test", 30)):
        rows = ["text,label"]
        for i in range(count):
            rest = " ".join(words.choices(["soup", "table", "the", "music", "waiter", "a"], k=5))
            word, label = ("aaaa", "good") if i % 2 else ("zzzz", "bad")
            rows.append(f"{word} {rest} {name} {i},{label}")
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return folder


def spec_of(method: str, files: Path, skill: str) -> JobSpec:
    return JobSpec(
        kind="classification",
        skill=skill,
        train=DataFile.at(files / "train.csv"),
        dev=DataFile.at(files / "dev.csv"),
        test=DataFile.at(files / "test.csv"),
        method=method,
        settings=SETTINGS[method],
        base=str(files / "encoder"),
        budget_seconds=900,
        device="cpu",
    )


def ended(runner: JobRunner, job: Job) -> JobState:
    return runner.follow(job, lambda _: None)


def in_one_go(home: Path, spec: JobSpec) -> float | None:
    """The same job done here without a break, by as many threads; its figure on the test rows."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        job = JobStore(home).new(spec)
        figure: float | None = real_work.work(spec, job.folder, home, lambda _: None).test
    finally:
        torch.set_num_threads(threads)
    return figure


def weights_of(skill: Skill) -> dict[str, bytes]:
    names = [name for name in names_in(skill.folder) if name.endswith(".safetensors")]
    assert names
    return {name: (skill.folder / name).read_bytes() for name in names}


@pytest.mark.stress("job-resume")
@pytest.mark.parametrize("method", sample(SETTINGS, 1))
def test_a_killed_training_that_is_resumed_gives_the_same_skill(
    home: Path, files: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads that wait for each other take most of the time where other tests run beside.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = in_one_go(home, spec_of(method, files, "whole"))
    runner = JobRunner(home, command=real_work.COMMAND)
    monkeypatch.setenv("DIE_AT", "8")
    job = runner.start(spec_of(method, files, "killed"))
    assert ended(runner, job).status == "interrupted"
    assert SkillStore(home).names() == ["whole"]
    after = read_events(job.events_path)[1]
    runner.resume(job)
    resumed = ended(runner, job)
    assert resumed.status == "done", job.log_path.read_text()
    store = SkillStore(home)
    assert weights_of(store.get("killed")) == weights_of(store.get("whole"))
    card, other = store.get("killed").card, store.get("whole").card
    assert (card.test, card.dev, card.seeds) == (other.test, other.dev, other.seeds)
    assert resumed.result["test"] == whole
    # It went on where it was: nothing was measured again, the training began behind step 6.
    events = read_events(job.events_path, after)[0]
    trained = [e for e in events if e["type"] == "progress" and e["stage"] == "tune"]
    assert trained[0]["note"] == "goes on after step 6"
    assert not [e for e in trained if e.get("candidate") != "final" and e["method"] == method]


@pytest.mark.parametrize("place", ["report", "pointer", "registered"])
def test_a_job_killed_while_it_registers_ends_with_one_version_in_use_and_its_page(
    home: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = write_csv(tmp_path / "train.csv", reviews(60))
    spec = JobSpec(
        kind="classification", skill="mood", train=DataFile.at(train), method="linear_head"
    )
    runner = JobRunner(home, command=plain_job.COMMAND)
    monkeypatch.setenv("DIE_BEFORE", place)
    job = runner.start(spec)
    assert ended(runner, job).status == "interrupted"
    store = SkillStore(home)
    assert store.names() == (["mood"] if place == "registered" else [])
    runner.resume(job)
    state = ended(runner, job)
    assert state.status == "done", job.log_path.read_text()
    assert store.versions("mood") == [1]
    assert store.get("mood").version == state.result["version"] == 1
    report = JobReport.read(job.folder)
    assert report.status == "registered as version 1 of `mood`"
    assert report.test is not None
    assert report.status in (job.folder / PAGE_FILE).read_text()
    assert state.result["test"] == report.test.read().score
