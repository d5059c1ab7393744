"""The skill examples: their demonstrations train, measure and use skills with the real methods."""

import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from jsonschema import Draft202012Validator

from agent.app import Agent, RunResult
from agent.check_specs import MetricCheck
from agent.goal import Goal
from agent.goal_file import load_goal
from agent.goal_schema import goal_schema
from models.chat import ScriptedModel
from tests.long_list import in_full
from tools.tuning.reading import read_dataset
from tools.tuning.skill_store import SkillStore

FOLDER = Path(__file__).parents[2] / "examples" / "skills"
WAIT_ON = "Call tune_skill again with the same arguments."
GOALS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The examples, where a run may write."""
    shutil.copytree(FOLDER, tmp_path / "skills", ignore=shutil.ignore_patterns("out"))
    return tmp_path / "skills"


def carry_out(goal: Goal, home: Path, calls: list[dict[str, Any]] | None = None) -> RunResult:
    script = calls or [{"name": c.name, "arguments": dict(c.arguments)} for c in goal.demo]
    left = iter(script)
    last: list[dict[str, Any]] = []

    def reply(request: Any) -> dict[str, Any]:
        # On a busy machine the job takes longer than one call waits.
        if WAIT_ON not in request.note.messages[-1].text:
            last[:] = [next(left)]
        return last[0]

    agent = Agent(ScriptedModel(reply), home=home, plan="off", thought_chars=0)
    return agent.invoke(goal)


@pytest.mark.stress("skill-examples")
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", GOALS if in_full() else [])
def test_the_demonstration_reaches_the_goal(name: str, copy: Path, weights: Path) -> None:
    goal = load_goal(copy / f"{name}.yaml")
    # The last call is `finish`; with a metric check and a file the run ends before it.
    result = carry_out(goal, weights)
    assert result.status == "done", result.checks
    assert {check["passed"] for check in result.checks} == {True}
    (skill,) = {c.metric.skill for c in goal.success if isinstance(c, MetricCheck)}
    card = SkillStore(weights).get(skill).card
    assert card.test is not None
    assert card.test.value > card.test.controls["majority"]


def test_a_goal_whose_figure_is_not_reached_fails_with_what_was_found(
    copy: Path, home: Path
) -> None:
    goal = load_goal(copy / "label-messages.yaml")
    result = carry_out(goal, home, [{"name": "cannot", "arguments": {"reason": "no time"}}])
    assert result.status == "failed"


@pytest.mark.parametrize("name", GOALS)
def test_the_training_calls_are_among_those_that_can_be_made(
    name: str, copy: Path, home: Path
) -> None:
    """A model is offered only what exists; a file of tags has no columns to choose."""
    goal = load_goal(copy / f"{name}.yaml")
    allowed = Agent(ScriptedModel([]), home=home).tools(goal).allowed(lambda tool: True)
    calls = [call for call in goal.demo if call.name in ("profile_dataset", "tune_skill")]
    assert calls
    for call in calls:
        jsonschema.validate(dict(call.arguments), allowed[call.name])


def test_the_goal_files_are_valid_and_each_asks_for_a_figure() -> None:
    assert len(GOALS) == 3
    schema = Draft202012Validator(goal_schema())
    for name in GOALS:
        path = FOLDER / f"{name}.yaml"
        assert not list(schema.iter_errors(yaml.safe_load(path.read_text("utf-8")))), name
        assert any(isinstance(check, MetricCheck) for check in load_goal(path).success)


def test_no_example_is_both_learned_from_and_measured_on() -> None:
    space = FOLDER / "workspace"
    columns: dict[str, Any] = {"text_column": "message", "label_column": "topic"}
    train = read_dataset(space / "messages.csv", "classification", **columns)
    later = read_dataset(
        space / "later.csv",
        "classification",
        task=train.task,
        **columns,
    )
    assert len(train) == 88
    assert not {e.input for e in train.examples} & {e.input for e in later.examples}
