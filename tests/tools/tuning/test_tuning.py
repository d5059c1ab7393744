"""Tests of one job's work, from files to a registered skill, with methods that need no model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tools.tuning.plain_methods import (
    Backwards,
    DearWords,
    Words,
    known,
    reviews,
)
from tools.tuning import tuning
from tools.tuning.errors import DataError, Diverged, NotBetter, Stopped
from tools.tuning.examples import TextExample
from tools.tuning.job_folder import Job
from tools.tuning.job_report import PAGE_FILE, JobReport
from tools.tuning.job_spec import DataFile, JobSpec
from tools.tuning.job_store import JobStore
from tools.tuning.kept_examples import FILE as EXAMPLES
from tools.tuning.methods.base import Method
from tools.tuning.outcome import Outcome
from tools.tuning.skill_store import SkillStore


def write_csv(path: Path, rows: Sequence[TextExample]) -> Path:
    lines = [f"{row.input.text},{row.labels[0]}" for row in rows]
    path.write_text("text,label\n" + "\n".join(lines) + "\n")
    return path


class Bureau:
    """A home, and jobs in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.events: list[dict[str, Any]] = []

    def job(self, train: Path, **facts: Any) -> Job:
        for role in ("dev", "test"):
            if role in facts:
                facts[role] = DataFile.at(facts[role])
        defaults = {"kind": "classification", "skill": "mood", "budget_seconds": 60.0}
        spec = JobSpec(train=DataFile.at(train), **{**defaults, **facts})
        return JobStore(self.home).new(spec)

    def run(self, job: Job, *methods: type[Method]) -> Outcome:
        return tuning.run(
            job.spec(), job.folder, self.home, self.events.append, classes=known(*methods)
        )

    def of(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == type]


@pytest.fixture
def bureau(home: Path) -> Bureau:
    return Bureau(home)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "train.csv", reviews(120))


def test_a_job_registers_the_best_method_with_its_evidence(bureau: Bureau, train: Path) -> None:
    job = bureau.job(train)
    outcome = bureau.run(job, Words, Backwards)
    skill = SkillStore(bureau.home).get("mood")
    assert (outcome.skill, outcome.version, outcome.method) == ("mood", 1, "linear_head")
    card = skill.card
    assert card.test is not None
    assert card.test.value == outcome.test
    assert card.test.value > 0.9
    assert set(card.test.controls) == {"majority", "nearest"}
    assert card.test.low is not None
    assert card.test.low <= card.test.value
    assert card.dev is not None
    assert [row.label for row in card.test.classes] == ["bad", "good"]
    assert len(card.seeds) >= 3
    assert card.job == job.id
    assert card.data[0].sha256 == DataFile.at(train).sha256
    assert card.description == "Says which of bad, good a text is."
    assert (skill.folder / EXAMPLES).exists()


def test_the_sealed_rows_are_never_learned_from_nor_chosen_on(bureau: Bureau, train: Path) -> None:
    outcome = bureau.run(bureau.job(train), Words)
    report = JobReport.read(JobStore(bureau.home).get("last").folder)
    assert report.rows["test"] == 24
    assert report.rows["train"] == 96
    learned = (SkillStore(bureau.home).get("mood").folder / "learned.json").read_text()
    in_skill = {word for word in json.loads(learned) if word.startswith("n")}
    assert len(in_skill & {f"n{number}" for number in range(120)}) == 96
    assert outcome.dev is not None


def test_the_same_rows_are_sealed_whatever_the_seed(bureau: Bureau, train: Path) -> None:
    words = []
    for seed in (0, 1):
        bureau.run(bureau.job(train, seed=seed), Words)
        learned = SkillStore(bureau.home).get("mood").folder / "learned.json"
        words.append(set(json.loads(learned.read_text())))
    assert words[0] == words[1]


def test_a_test_file_is_what_is_measured_on(bureau: Bureau, train: Path, tmp_path: Path) -> None:
    test = write_csv(tmp_path / "test.csv", reviews(160)[120:])
    bureau.run(bureau.job(train, test=test), Words)
    card = SkillStore(bureau.home).get("mood").card
    assert card.test is not None
    assert card.test.rows == 40
    assert [(fact.role, fact.rows) for fact in card.data] == [("train", 120), ("test", 40)]


def test_training_rows_that_leak_into_the_test_file_are_left_out(
    bureau: Bureau, train: Path, tmp_path: Path
) -> None:
    test = write_csv(tmp_path / "test.csv", reviews(160)[100:])
    job = bureau.job(train, test=test)
    bureau.run(job, Words)
    report = JobReport.read(job.folder)
    assert report.rows == {"train": 100, "dev": 0, "test": 60}
    assert report.notes == ("20 training rows were left out, since they are also held-out rows",)


def test_a_test_file_that_holds_all_training_rows_is_refused(bureau: Bureau, train: Path) -> None:
    with pytest.raises(DataError, match="every training row"):
        bureau.run(bureau.job(train, test=train), Words)


def test_nothing_is_registered_that_does_not_beat_the_controls(bureau: Bureau, train: Path) -> None:
    job = bureau.job(train)
    with pytest.raises(NotBetter, match="nothing was registered"):
        bureau.run(job, Backwards)
    assert SkillStore(bureau.home).names() == []
    assert "nothing was registered" in JobReport.read(job.folder).status


def test_labels_by_chance_give_no_skill(bureau: Bureau, tmp_path: Path) -> None:
    rows = [
        TextExample(row.input, ("good" if (number * 7919) % 13 % 2 else "bad",), row.line)
        for number, row in enumerate(reviews(100))
    ]
    with pytest.raises(NotBetter):
        bureau.run(bureau.job(write_csv(tmp_path / "noise.csv", rows)), Words)
    assert SkillStore(bureau.home).names() == []


def test_forty_percent_of_wrong_labels_are_borne_or_refused(bureau: Bureau, tmp_path: Path) -> None:
    noisy = [
        TextExample(row.input, ("good" if row.labels == ("bad",) else "bad",), row.line)
        if number * 7919 % 101 < 40
        else row
        for number, row in enumerate(reviews(200))
    ]
    job = bureau.job(write_csv(tmp_path / "noisy.csv", noisy))
    try:
        outcome = bureau.run(job, Words)
    except NotBetter:
        assert SkillStore(bureau.home).names() == []
    else:
        assert outcome.test is not None
        assert outcome.test < 0.8


def test_every_event_is_plain_json_and_says_where_the_job_is(bureau: Bureau, train: Path) -> None:
    bureau.run(bureau.job(train), Words)
    json.dumps(bureau.events, allow_nan=False)
    phases = [event["phase"] for event in bureau.of("phase")]
    assert phases == ["read", "choose", "fit", "measure", "register"]
    assert {"tune", "infer"} <= {event["stage"] for event in bureau.of("progress")}
    assert bureau.of("registered") == [{"type": "registered", "skill": "mood", "version": 1}]


def test_a_job_that_is_run_again_registers_no_second_version(bureau: Bureau, train: Path) -> None:
    job = bureau.job(train)
    first = bureau.run(job, Words)
    again = bureau.run(job, Words)
    assert (again.version, again.test) == (first.version, first.test)
    assert SkillStore(bureau.home).versions("mood") == [1]


def test_a_stopped_job_goes_on_where_it_was(bureau: Bureau, train: Path) -> None:
    job = bureau.job(train)
    whole = bureau.job(train, skill="whole")

    def stop_soon(event: dict[str, Any]) -> None:
        bureau.events.append(event)
        if len(bureau.of("scored")) == 7:
            job.ask_to_stop("interrupt")

    with pytest.raises(Stopped):
        tuning.run(job.spec(), job.folder, bureau.home, stop_soon, classes=known(Words))
    assert len(bureau.of("scored")) == 7
    job.forget_stop()
    outcome = bureau.run(job, Words)
    other = bureau.run(whole, Words)
    assert (outcome.test, outcome.dev, outcome.why) == (other.test, other.dev, other.why)


def test_the_next_best_takes_over_where_the_last_fit_of_the_winner_fails(
    bureau: Bureau, train: Path
) -> None:
    class Fragile(Words):
        """Breaks on all rows, never on a part of them."""

        name = "encoder"
        rung = 5

        def fit(self, train: Any, dev: Any, bench: Any) -> None:
            if len(train) >= 96:
                raise Diverged("the loss became NaN", step=1)
            super().fit(train, dev, bench)

    job = bureau.job(write_csv(train, reviews(120, noise=9)))
    assert bureau.run(job, Fragile, Words).method == "linear_head"
    assert "its last fit failed" in JobReport.read(job.folder).notes[0]


def test_a_second_job_makes_the_next_version(bureau: Bureau, train: Path) -> None:
    assert bureau.run(bureau.job(train), Words).version == 1
    assert bureau.run(bureau.job(train), Words, DearWords).version == 2


def test_tags_are_learned_too(bureau: Bureau, tmp_path: Path) -> None:
    names = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Tony", "John"]
    rows = [f"{names[i % 8]} B-PER\nsaw O\nit{i} O\n" for i in range(60)]
    path = tmp_path / "train.conll"
    path.write_text("\n".join(rows))
    job = bureau.job(path, kind="ner", skill="people")
    outcome = bureau.run(job, Words)
    assert outcome.metric == "entity_f1"
    assert outcome.test == 1.0
    card = SkillStore(bureau.home).get("people").card
    assert card.description == "Finds PER in a text."
    assert (job.folder / PAGE_FILE).exists()
