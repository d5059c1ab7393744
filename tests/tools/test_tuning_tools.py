"""Tests of the tuning tools without a run: what they take, what they say, what they refuse."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.tools import BaseTool

from tests.tools.tuning.plain_job import COMMAND, modules
from tests.tools.tuning.plain_methods import reviews
from tests.tools.tuning.test_tuning import write_csv
from tools import tuning_tools
from tools.base import facts_of
from tools.context import ToolContext
from tools.errors import ToolFailed, ToolRetry, TuningSpent
from tools.tuning.job_runner import JobRunner
from tools.tuning.run_tuning import RunTuning
from tools.tuning.skill_shelf import SkillShelf
from tools.workspace import Workspace


class Place:
    """A workspace with examples, and a run that may tune for so many seconds."""

    def __init__(self, home: Path, folder: Path, seconds: float = 60) -> None:
        self.folder = folder / "work"
        self.run = folder / "run"
        self.folder.mkdir(parents=True)
        self.run.mkdir()
        runner = JobRunner(home, command=COMMAND)
        self.tuning = RunTuning(home, self.run, seconds, runner=runner)
        self.context = ToolContext(
            Workspace(self.folder), skills=SkillShelf(home), tuning=self.tuning
        )
        self.tools: dict[str, BaseTool] = {
            tool.name: tool for tool in tuning_tools.get_tools(self.context)
        }

    def call(self, name: str, **arguments: object) -> str:
        return str(self.tools[name].invoke(arguments))


@pytest.fixture
def place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    made = Place(home, tmp_path / "place")
    yield made
    made.tuning.close()


TRAIN = {"path": "reviews.csv", "kind": "classification", "skill": "mood"}


def test_training_is_a_poll_that_may_be_asked_for_again(place: Place) -> None:
    facts = facts_of(place.tools["tune_skill"])
    assert (facts.effect, facts.polls, facts.idempotent) == ("train", True, True)
    assert facts_of(place.tools["profile_dataset"]).effect == "read"


def test_a_file_is_looked_over_by_the_name_that_the_run_knows(place: Place) -> None:
    write_csv(place.folder / "reviews.csv", [*reviews(40), *reviews(3)])
    said = place.call("profile_dataset", path="reviews.csv", kind="classification")
    assert said.startswith("reviews.csv: 43 examples, 2 labels, one label a text")
    assert "duplicate" in said
    assert "tuneward-" not in said  # our copy of it is nobody's business


def test_what_the_model_does_not_read_is_named_with_its_lines(place: Place) -> None:
    odd = "物流很快,good\n" + "long " * 300 + ",bad\n"
    write_csv(place.folder / "reviews.csv", reviews(40))
    with (place.folder / "reviews.csv").open("a") as file:
        file.write(odd)
    said = place.call("profile_dataset", path="reviews.csv", kind="classification")
    assert "1 language: mostly not in Latin letters" in said
    assert "(reviews.csv line 42)" in said
    assert "1 long: longer than the 256 tokens" in said
    assert "(reviews.csv line 43)" in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("text,label\na,x\nb,x\nc,x\nd,x\n", "reviews.csv"),
        ("text,label\na,x\nb\n", r"reviews\.csv:3: "),
        ("", "reviews.csv"),
    ],
)
def test_bad_examples_are_named_by_file_and_line_and_nothing_is_started(
    place: Place, text: str, why: str
) -> None:
    (place.folder / "reviews.csv").write_text(text)
    with pytest.raises(ToolRetry, match=why) as error:
        place.call("profile_dataset", path="reviews.csv", kind="classification")
    assert "\n" not in str(error.value)
    assert str(place.folder) not in str(error.value)


def test_what_is_no_file_of_examples_is_refused(place: Place) -> None:
    with pytest.raises(ToolRetry, match="there is no file 'reviews.csv'"):
        place.call("tune_skill", **TRAIN)
    (place.folder / "notes.md").write_text("x")
    with pytest.raises(ToolRetry, match="no file of examples"):
        place.call("tune_skill", **{**TRAIN, "path": "notes.md"})


def test_broken_data_fail_with_the_line(place: Place) -> None:
    (place.folder / "reviews.csv").write_text("text,label\na,x\nb\nc,y\n")
    with pytest.raises(ToolFailed, match=r"No skill: .*reviews\.csv:3: "):
        place.call("tune_skill", **TRAIN, method="linear_head", seconds=20)


def test_no_time_left_is_an_error_of_its_own(home: Path, tmp_path: Path) -> None:
    place = Place(home, tmp_path / "none", seconds=1)
    write_csv(place.folder / "reviews.csv", reviews(20))
    with pytest.raises(TuningSpent, match=r"used up \(1 s\)"):
        place.call("tune_skill", **TRAIN)


def test_a_skill_is_trained_and_measured_on_other_examples(place: Place) -> None:
    write_csv(place.folder / "reviews.csv", reviews(60))
    write_csv(place.folder / "later.csv", reviews(100)[60:])
    said = place.call("tune_skill", **TRAIN, method="linear_head", seconds=40)
    assert said.startswith("Skill mood is ready: linear_head")
    assert "weakest labels: " in said
    measured = place.call("evaluate_skill", skill="mood", path="later.csv")
    assert measured.startswith("mood on later.csv: accuracy 1.000 (95 % 1.000-1.000), 40 examples")
    assert "PRECISION" in measured
    write_csv(place.folder / "wrong.csv", [*reviews(100)[60:], *reviews(7, noise=1)])
    wrong = place.call("evaluate_skill", skill="mood", path="wrong.csv")
    assert "surest errors:" in wrong
    assert "right bad, said good" in wrong
    (place.folder / "other.csv").write_text("text,label\nfine,great\n")
    with pytest.raises(ToolRetry, match=r"other\.csv:2: the label 'great' is not in"):
        place.call("evaluate_skill", skill="mood", path="other.csv")


def test_a_run_that_must_not_tune_has_no_such_tools(tmp_path: Path) -> None:
    assert tuning_tools.get_tools(ToolContext(Workspace(tmp_path))) == []
