"""Tests of `--from SKILL`: only the last fit begins from it, and nothing is won by memory."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.tools.tuning.cards import card
from tests.tools.tuning.plain_methods import FILE, TASK, Backwards, Words, reviews
from tests.tools.tuning.test_tuning import Bureau, write_csv
from tools.tuning.errors import NotBetter, SkillError
from tools.tuning.examples import ClassPrediction, Example, Input, Prediction, TextExample
from tools.tuning.job_report import JobReport
from tools.tuning.job_store import JobStore
from tools.tuning.kept_examples import FILE as EXAMPLES
from tools.tuning.kept_examples import text_of
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.skill_store import Skill, SkillStore

ROWS = reviews(120)


class Warm(Words):
    """Notes down what each of its fits begins from."""

    starts: ClassVar[list[tuple[int, Path | None]]] = []
    """Rows of the fit, and the folder."""

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        self.starts.append((len(train), bench.start))
        if bench.start is not None:
            bench.on_progress(Progress("encode", note=f"begins as {bench.start.name}"))
        super().fit(train, dev, bench)


class ByHeart(Words):
    """Knows the texts that it or the skill before it has seen, and nothing else."""

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        bench.check()
        before = json.loads((bench.start / FILE).read_text()) if bench.start else {}
        mine = {text_of(e.input): e.labels[0] for e in train if isinstance(e, TextExample)}
        self.learned = {**before, **mine}

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        said = [self.learned.get(text_of(each), self.task.labels[0]) for each in inputs]
        return [ClassPrediction((label,), ()) for label in said]


@pytest.fixture
def bureau(home: Path) -> Bureau:
    Warm.starts.clear()
    return Bureau(home)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "train.csv", ROWS)


def foreign_skill(home: Path, method: type[Words]) -> Skill:
    """One that came without its examples, and has learned every row."""
    made = method(TASK)
    made.fit(ROWS, (), Bench(home))
    return SkillStore(home).register("old", card(method=method.name), made.save)


def notes_of(home: Path) -> tuple[str, ...]:
    return SkillStore(home).get("mood").card.notes


def test_only_the_last_fit_begins_from_the_skill(bureau: Bureau, train: Path) -> None:
    bureau.run(bureau.job(train, skill="old"), Words)
    old = SkillStore(bureau.home).get("old")
    job = bureau.job(train, from_skill="old")
    bureau.run(job, Warm)
    *race, last = Warm.starts
    assert last == (96, old.folder)
    assert len(race) >= 15
    assert {start for _, start in race} == {None}
    told = "--from `old` version 1: linear_head begins as 1"
    assert told in notes_of(bureau.home)
    assert told in JobReport.read(job.folder).notes
    assert told in [event["note"] for event in bureau.of("note")]


def test_nothing_wins_by_rows_that_the_skill_knows_by_heart(bureau: Bureau, train: Path) -> None:
    foreign_skill(bureau.home, ByHeart)
    with pytest.raises(NotBetter):
        bureau.run(bureau.job(train, from_skill="old"), ByHeart)
    assert SkillStore(bureau.home).names() == ["old"]


def test_a_skill_that_has_learned_sealed_rows_is_not_begun_from(
    bureau: Bureau, train: Path, tmp_path: Path
) -> None:
    test = write_csv(tmp_path / "test.csv", reviews(160)[120:])
    bureau.run(bureau.job(train, skill="old", test=test), Words)  # so all rows are learned
    bureau.run(bureau.job(train, from_skill="old"), Warm)
    assert Warm.starts[-1] == (96, None)
    (note,) = notes_of(bureau.home)
    assert note.startswith("24 of 24 sealed rows are among the examples of `old` version 1")


def test_of_a_skill_without_examples_the_card_says_what_is_not_known(
    bureau: Bureau, train: Path
) -> None:
    old = foreign_skill(bureau.home, Words)
    assert not (old.folder / EXAMPLES).exists()
    bureau.run(bureau.job(train, from_skill="old"), Warm)
    assert Warm.starts[-1] == (96, old.folder)
    first, second = notes_of(bureau.home)
    assert "may have learned sealed rows before" in first
    assert "begins as 1" in second


def test_a_method_that_says_nothing_of_a_skill_of_another_begins_anew(
    bureau: Bureau, train: Path
) -> None:
    bureau.run(bureau.job(train, skill="old"), Words)

    class Other(Words):
        name: ClassVar[str] = "encoder"

    bureau.run(bureau.job(train, from_skill="old"), Other)
    (note,) = notes_of(bureau.home)
    assert note.endswith("encoder begins anew: the skill was made by linear_head")


@pytest.mark.parametrize("name", ["missing", "broken"])
def test_a_start_that_is_not_there_or_broken_is_said_before_anything_is_done(
    bureau: Bureau, train: Path, name: str
) -> None:
    old = foreign_skill(bureau.home, Backwards)
    (old.folder / FILE).write_text("{}")
    facts: dict[str, Any] = {"from_skill": "old" if name == "broken" else name}
    with pytest.raises(SkillError):
        bureau.run(bureau.job(train, **facts), Warm)
    assert bureau.events == []
    assert not (JobStore(bureau.home).get("last").folder / "report.json").exists()
