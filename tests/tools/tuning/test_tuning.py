"""Tests of one job's work, from files to a registered skill, with methods that need no model."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tools.tuning.plain_methods import (
    Backwards,
    Breaks,
    DearWords,
    Majority,
    Slow,
    Words,
    known,
    reviews,
)
from tools.tuning import tuning
from tools.tuning.errors import BudgetSpent, DataError, Diverged, NotBetter, Stopped
from tools.tuning.examples import ClassPrediction, TextExample, TextInput
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
    seen: dict[str, set[str]] = {}
    """The texts that the method was shown, by the phase of the job."""

    class Watched(Words):
        def fit(self, train: Any, dev: Any, bench: Any) -> None:
            self.note(example.input for example in (*train, *dev))
            super().fit(train, dev, bench)

        def predict(self, inputs: Any) -> Any:
            self.note(inputs)
            return super().predict(inputs)

        @staticmethod
        def note(inputs: Iterable[Any]) -> None:
            phase = bureau.of("phase")[-1]["phase"]
            seen.setdefault(phase, set()).update(given.text for given in inputs)

    outcome = bureau.run(bureau.job(train), Watched)
    report = JobReport.read(JobStore(bureau.home).get("last").folder)
    assert (report.rows["train"], report.rows["test"]) == (96, 24)
    assert report.cross_validated
    texts = {row.input.text for row in reviews(120)}
    sealed = seen["measure"]
    assert (len(sealed), sealed < texts) == (24, True)
    assert seen["choose"] == seen["fit"] == texts - sealed
    assert outcome.test is not None


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


def turned(rows: Sequence[TextExample]) -> list[TextExample]:
    """Two in five have the wrong label."""
    return [
        TextExample(row.input, ("good" if row.labels == ("bad",) else "bad",), row.line)
        if number * 7919 % 101 < 40
        else row
        for number, row in enumerate(rows)
    ]


def test_forty_percent_of_wrong_labels_are_borne(bureau: Bureau, tmp_path: Path) -> None:
    noisy = write_csv(tmp_path / "noisy.csv", turned(reviews(300)))
    clean = write_csv(tmp_path / "clean.csv", reviews(400)[300:])
    outcome = bureau.run(bureau.job(noisy, test=clean), Words)
    assert outcome.test is not None
    assert outcome.test > 0.85
    # Whoever is right each time agrees with three labels in five: no figure may promise more.
    assert outcome.dev is not None
    assert 0.5 < outcome.dev < 0.65


def test_of_few_rows_with_forty_percent_of_wrong_labels_nothing_is_learned(
    bureau: Bureau, tmp_path: Path
) -> None:
    noisy = write_csv(tmp_path / "noisy.csv", turned(reviews(60)))
    with pytest.raises(NotBetter):
        bureau.run(bureau.job(noisy), Words)
    assert SkillStore(bureau.home).names() == []


def test_without_sealed_rows_luck_on_one_row_registers_nothing(
    bureau: Bureau, tmp_path: Path
) -> None:
    class Lucky(Words):
        """Right on two texts of 17, where the majority is right on none."""

        def predict(self, inputs: Any) -> Any:
            said = ("c1" if each.text == "text 3" else "c8" for each in inputs)
            return [ClassPrediction((label,), ()) for label in said]

    rows = [TextExample(TextInput(f"text {i}"), (f"c{i // 2}",), i + 2) for i in range(16)]
    rows += [TextExample(TextInput("text 16"), ("c8",), 18)]
    job = bureau.job(write_csv(tmp_path / "few.csv", rows), method="linear_head")
    classes: dict[str, type[Method]] = {"majority": Majority, "linear_head": Lucky}
    with pytest.raises(NotBetter, match="from the control majority over all held-out rows"):
        tuning.run(job.spec(), job.folder, bureau.home, classes=classes)
    report = JobReport.read(job.folder)
    assert report.rows["test"] == 0
    assert report.race[0].label == "linear_head"
    assert report.race[0].score > report.race[-1].score
    assert SkillStore(bureau.home).names() == []


def test_a_job_that_fails_leaves_its_trials_and_the_reason(bureau: Bureau, train: Path) -> None:
    job = bureau.job(train, method="soft_prompt")
    with pytest.raises(Diverged):
        bureau.run(job, Breaks)
    report = JobReport.read(job.folder)
    assert report.status == "failed: the loss became NaN or infinite at step 3"
    assert sorted((row.label, row.verdict) for row in report.race) == [
        ("majority", "measured so far"),
        ("nearest", "measured so far"),
    ]
    assert any("120 rows" in line for line in report.data)
    assert "the loss became NaN" in (job.folder / PAGE_FILE).read_text()


@pytest.mark.parametrize(
    ("method", "why"),
    [("lora", "no result within"), ("linear_head", "the loss became NaN"), ("encoder", "a bug")],
)
def test_whatever_ends_a_job_stands_on_its_page(
    bureau: Bureau, train: Path, method: str, why: str
) -> None:
    class Fragile(Words):
        """Breaks on all rows, never on a part of them."""

        def fit(self, train: Any, dev: Any, bench: Any) -> None:
            if len(train) >= 96:
                raise Diverged("the loss became NaN", step=1)
            super().fit(train, dev, bench)

    class Broken(DearWords):
        def predict(self, inputs: Any) -> Any:
            raise ZeroDivisionError("a bug")

    job = bureau.job(train, method=method, budget_seconds=4.0)
    with pytest.raises((BudgetSpent, Diverged, ZeroDivisionError)):
        bureau.run(job, Fragile, Slow, Broken)
    report = JobReport.read(job.folder)
    assert report.status.startswith("failed: ")
    assert why in report.status
    assert len(report.race) >= 2
    assert (job.folder / PAGE_FILE).exists()


def test_the_page_of_a_failed_attempt_is_not_that_of_the_next(bureau: Bureau, train: Path) -> None:
    job = bureau.job(train, method="soft_prompt")
    with pytest.raises(Diverged):
        bureau.run(job, Breaks)

    class Stops(Words):
        name = "soft_prompt"

        def fit(self, train: Any, dev: Any, bench: Any) -> None:
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        bureau.run(job, Stops)
    assert not (job.folder / PAGE_FILE).exists()


def test_the_card_says_that_the_last_fit_was_cut(bureau: Bureau, train: Path) -> None:
    class Cut(Words):
        def fit(self, train: Any, dev: Any, bench: Any) -> None:
            super().fit(train, dev, bench)
            self.trained = SimpleNamespace(note="the time allowed 37 of 60 steps")

    job = bureau.job(train)
    bureau.run(job, Cut)
    said = "the last fit: the time allowed 37 of 60 steps"
    assert said in SkillStore(bureau.home).get("mood").card.notes
    assert said in JobReport.read(job.folder).notes


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
