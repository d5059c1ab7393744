"""A goal explained: everything resolved, nothing left to guess."""

from pathlib import Path

import pytest

from agent.explain import check_text, explain, explain_text
from agent.goal import Goal
from agent.goal_file import goal_from_text, load_goal


@pytest.fixture
def goal(tmp_path: Path) -> Goal:
    file = tmp_path / "count.yaml"
    file.write_text(
        "goal: |\n  Count the rows of {{ table }}.\n  Write the number to out.txt.\n"
        "inputs: {table: {type: string, default: a.csv}}\n"
        "tools: [files, data]\n"
        "permissions: {allow: ['write_file(out.txt)'], deny: ['delete_file']}\n"
        "success:\n  - text: {path: out.txt, matches: '^[0-9]+$'}\n"
        "  - file: {path: b.txt, fresh: false}\n"
        "audit:\n  - text: {path: out.txt, equals: '42'}\n"
        "output: {schema: {type: object}}\n"
        "practice: {vary: {table: [b.csv]}}\n"
    )
    return load_goal(file)


def test_the_text_says_everything(goal: Goal) -> None:
    text = explain_text(goal, may=["write_file(out.txt): allowed", "delete_file: denied"])
    for line in (
        "goal        Count the rows of a.csv.\n            Write the number to out.txt.",
        f"name        count  ({goal.source})",
        "inputs      table = a.csv",
        f"workspace   {goal.workspace}",
        "tools       files, data",
        "allow       only write_file(out.txt)",
        "deny        delete_file",
        "may         write_file(out.txt): allowed\n            delete_file: denied",
        "budget      25 steps, 1800 s, 200000 tokens, 1200 s of tuning; 1 more try",
        "success     text out.txt: matches ^[0-9]+$",
        "            file b.txt: is written, not empty, and parses",
        "audit       text out.txt: equals 42",
        "output      JSON",
        "practice    varies table; holds out 30%",
    ):
        assert line in text


def test_a_bare_goal_says_that_nothing_is_checked(tmp_path: Path) -> None:
    text = explain_text(goal_from_text("Count", tmp_path))
    assert "success     unchecked: no checks" in text
    assert "tools       all whose effect is read, remember or write" in text


def test_the_data_hold_the_resolved_goal(goal: Goal) -> None:
    data = explain(goal)
    assert data["goal"].startswith("Count the rows of a.csv.")
    assert data["inputs"] == {"table": "a.csv"}
    assert data["workspace"] == str(goal.workspace)
    assert data["budget"]["steps"] == 25
    assert data["success"][0] == {"text": {"path": "out.txt", "matches": "^[0-9]+$"}}


def test_hostile_text_is_shown_escaped(tmp_path: Path) -> None:
    goal = goal_from_text("Say \x1b[2J\u202e", tmp_path, ['{answer: {contains: "a\\u202eb"}}'])
    text = explain_text(goal)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"Say \x1b[2J\u202e" in text


def test_a_check_reads_as_a_sentence(tmp_path: Path) -> None:
    (check,) = goal_from_text(
        "x", tmp_path, ["{table: {path: a.csv, rows: 3, fresh: false}}"]
    ).success
    assert check_text(check) == "table a.csv: rows 3, an older file counts too"
