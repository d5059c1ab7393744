"""The page about goal files says everything that a goal file may say, and its example is one."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from agent.check_specs import CHECKS, AnswerSpec, FileSpec, JsonSpec, TableSpec, TextSpec
from agent.goal import HOST_KEYS, Budget, DemoCall, Goal, Permissions, Practice
from agent.goal_file import load_goal
from agent.inputs import Input, InputType

PAGE = (Path(__file__).parents[2] / "docs" / "goal-file.md").read_text("utf-8")


@pytest.mark.parametrize(
    "model",
    [Goal, Budget, Permissions, Practice, DemoCall, Input]
    + [FileSpec, TableSpec, TextSpec, JsonSpec, AnswerSpec],
)
def test_the_page_names_every_key(model: Any) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()} - set(HOST_KEYS)
    assert {key for key in keys if f"`{key}`" not in PAGE} == set()


def test_the_page_names_every_kind_and_type() -> None:
    for word in [*CHECKS, *get_args(InputType)]:
        assert f"`{word}`" in PAGE


def test_the_pages_example_is_a_goal_file(tmp_path: Path) -> None:
    example = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    (tmp_path / "sales.csv").write_text("city,amount\n")
    (tmp_path / "goal.yaml").write_text(example, encoding="utf-8")
    goal = load_goal(tmp_path / "goal.yaml", sets={"cities": "3"})
    assert goal.goal.startswith("Sum the amounts of sales.csv by city")
    assert goal.success[0].model_dump(exclude_unset=True)["table"]["rows"] == 3


def test_the_defaults_are_those_of_the_page() -> None:
    budget = Budget()
    row = next(line for line in PAGE.splitlines() if line.startswith("| `budget`"))
    numbers = f"{budget.steps}, {budget.seconds:g}, {budget.tokens}, {budget.tuning_seconds:g}"
    assert numbers in row


def test_a_goal_cannot_be_changed_after_it_was_made() -> None:
    goal = Goal(goal="Count")
    with pytest.raises(ValidationError):
        goal.goal = "Delete everything"


def test_reserved_checks_cannot_be_made_in_a_script_either() -> None:
    with pytest.raises(ValidationError, match="reserved for a later version"):
        Goal.model_validate({"goal": "x", "success": [{"python": "a.py:b"}]})
