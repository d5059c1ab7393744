"""The schema in docs/ is the model's, and it takes what the loader takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from agent.goal_schema import goal_schema, schema_text

DOCS = Path(__file__).parents[2] / "docs" / "goal.schema.json"


def test_the_file_in_docs_is_current() -> None:
    assert DOCS.read_text("utf-8") == schema_text(), (
        "run: python -m agent.goal_schema > docs/goal.schema.json"
    )


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(goal_schema())


def test_every_key_is_explained() -> None:
    schema = goal_schema()
    for part in [schema, *schema["$defs"].values()]:
        if part["title"].endswith("Check"):
            continue  # one key, explained by what it holds
        for key, value in part.get("properties", {}).items():
            assert value.get("description"), f"{part['title']}.{key} has no docstring"


def test_keys_that_only_the_loader_sets_are_not_in_it() -> None:
    assert not {"values", "source"} & set(goal_schema()["properties"])


def test_it_takes_the_example_goals() -> None:
    files = sorted((DOCS.parents[1] / "examples" / "goals").glob("*.yaml"))
    assert files
    for file in files:
        assert not errors(yaml.safe_load(file.read_text("utf-8"))), file


@pytest.mark.parametrize(
    "goal",
    [
        {"goal": "x"},
        {"goal": "x", "success": [{"file": "a"}, {"table": {"path": "a", "rows": "{{ n }}"}}]},
        {"goal": "x", "budget": {"steps": "{{ n }}", "seconds": 2.5}},
        {"goal": "x", "success": [{"answer": {"contains": "a"}}, {"json": {"path": "a"}}]},
        {"goal": "x", "output": {"schema": {"type": "object"}}},
    ],
)
def test_it_takes_good_goals(goal: dict[str, Any]) -> None:
    assert not errors(goal)


@pytest.mark.parametrize(
    "goal",
    [
        {},
        {"goal": "x", "gaol": "x"},
        {"goal": "x", "budget": {"steps": "many"}},
        {"goal": "x", "budget": {"steps": 0}},
        {"goal": "x", "success": [{"fiel": "a"}]},
        {"goal": "x", "success": [{"file": "a", "fresh": False}]},
        {"goal": "x", "memory": "of"},
        {"goal": "x", "version": 2},
        {"goal": "x", "source": "/etc/passwd"},
    ],
)
def test_it_refuses_bad_goals(goal: dict[str, Any]) -> None:
    assert errors(goal)


def errors(goal: object) -> list[str]:
    return [error.message for error in Draft202012Validator(goal_schema()).iter_errors(goal)]
