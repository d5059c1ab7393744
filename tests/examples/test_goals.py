"""The example goals: each can be reached by its demonstration, and not by less.

A demonstration is run with the real tools in a copy of the workspace. Then all checks hold; on the
untouched workspace, and after each plausible wrong attempt below, the audit fails.
"""

import operator
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.check_specs import Check
from agent.checks import Evidence, evaluate
from agent.goal import DemoCall, Goal
from agent.goal_file import load_goal
from agent.mentions import mentioned_files
from tools.base import facts_of
from tools.catalogue import built_in
from tools.context import NoResults, ToolContext
from tools.control import FINISH
from tools.pages import pages_of
from tools.toolbox import Toolbox
from tools.workspace import Workspace
from tools.world import WorkspaceWorld

FOLDER = Path(__file__).parents[2] / "examples" / "goals"
GOALS = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}

A_JOIN = {
    "left": "orders.csv",
    "column": "customer_id",
    "right": "customers.csv",
    "keep": "matching",
    "save_as": "out/joined.csv",
}


def call(name: str, **arguments: Any) -> DemoCall:
    return DemoCall(name=name, arguments=arguments)


def write(path: str, text: str) -> list[DemoCall]:
    return [call("write_file", path=path, text=text)]


def answer(text: str) -> DemoCall:
    return call(FINISH, answer=text)


def group(group_by: str, column: str, operation: str, path: str, save_as: str) -> DemoCall:
    arguments = {"group_by": group_by, "column": column, "operation": operation}
    return call("aggregate", path=path, **arguments, save_as=save_as)


def keep_march(path: str, column: str, save_as: str) -> DemoCall:
    march = {"comparison": "contains", "value": "2024-03"}
    return call("filter_rows", path=path, column=column, **march, save_as=save_as)


WRONG: dict[str, list[list[DemoCall]]] = {
    "returned-orders": [
        write("out/returned.txt", "10"),  # rows with the word anywhere
        write("out/returned.txt", "48"),  # all rows
        write("out/returned.txt", "7 orders"),  # more than the number
    ],
    "march-orders": [
        [keep_march("orders.csv", "date", "out/march-orders.csv")],  # not sorted
        [
            call(
                "sort_rows",
                path="orders.csv",
                column="amount",
                order="largest_first",
                save_as="out/march-orders.csv",
            )
        ],
        [
            keep_march("orders.csv", "date", "out/m.csv"),
            call(
                "sort_rows",
                path="out/m.csv",
                column="amount",
                order="smallest_first",
                save_as="out/march-orders.csv",
            ),
        ],
    ],
    "revenue-by-country": [
        [
            call("join_tables", **A_JOIN),
            group("country", "amount", "average", "out/joined.csv", "out/revenue-by-country.csv"),
        ],
        [group("country", "customer_id", "count", "customers.csv", "out/revenue-by-country.csv")],
    ],
    "returns-by-city": [
        [  # every order counted
            call("join_tables", **A_JOIN),
            group("city", "order_id", "count", "out/joined.csv", "out/returns-by-city.csv"),
        ],
        [group("city", "customer_id", "count", "customers.csv", "out/returns-by-city.csv")],
    ],
    "never-ordered": [
        [  # everybody
            call(
                "select_columns",
                path="customers.csv",
                columns=["name", "city"],
                save_as="out/never-ordered.csv",
            )
        ],
        [  # right rows, not sorted
            call(
                "filter_rows_not_in",
                path="customers.csv",
                column="customer_id",
                other="orders.csv",
                save_as="out/w.csv",
            ),
            call(
                "select_columns",
                path="out/w.csv",
                columns=["name", "city"],
                save_as="out/never-ordered.csv",
            ),
        ],
    ],
    "invoice-total": [
        write("out/invoice-total.txt", "1180.00"),
        write("out/invoice-total.txt", "Net 1180.00, VAT 259.60, total 1439.60"),
    ],
    "changed-price": [
        write("out/changed-price.txt", "Pannier Duo 89.00"),
        write("out/changed-price.txt", "Tool kit 18 48.00"),
        write("out/changed-price.txt", "Pannier Duo 94.50, Pump Alto 26.40"),
    ],
    "trade-fair": [
        write("out/trade-fair.txt", "2024-02-19"),  # the date of the note
        write("out/trade-fair.txt", "2024-04-22"),
        write("out/trade-fair.txt", "18 April 2024"),
    ],
    "largest-stock": [
        [answer("Lock Forte")],  # the second
        [answer("Light set Luma or Lock Forte")],
        [
            call("edit_file", path="products.csv", old="Pump Alto", new="Pump"),
            answer("Light set Luma"),
        ],
    ],
    "march-sales-zh": [
        [  # all months
            group("门店", "金额", "sum", "门店销售.csv", "out/s.csv"),
            call(
                "sort_rows",
                path="out/s.csv",
                column="sum_金额",
                order="largest_first",
                save_as="out/三月销售.csv",
            ),
        ],
        [  # not sorted
            keep_march("门店销售.csv", "日期", "out/m.csv"),
            group("门店", "金额", "sum", "out/m.csv", "out/三月销售.csv"),
        ],
    ],
}


@dataclass
class Attempt:
    """A copy of the workspace and what the calls made of it."""

    goal: Goal
    workspace: Workspace
    answer: str | None = None

    def misses(self, checks: Sequence[Check]) -> list[str]:
        evidence = Evidence(self.workspace, frozenset(self.workspace.written), self.answer, FOLDER)
        results = [evaluate(check, evidence) for check in checks]
        return [f"{r.check}: {r.found}" for r in results if not r.passed]


def attempt(name: str, copy: Path, calls: Sequence[DemoCall]) -> Attempt:
    goal = load_goal(GOALS[name])
    shutil.copytree(goal.workspace, copy, ignore=shutil.ignore_patterns("out"))
    made = Attempt(goal, Workspace(copy))
    tools = {tool.name: tool for tool in built_in(ToolContext(made.workspace))}
    for step in calls:
        if step.name == FINISH:
            made.answer = str(step.arguments["answer"])
        else:
            tools[step.name].invoke(dict(step.arguments))
    return made


def test_there_are_ten_goals_and_a_wrong_attempt_at_each() -> None:
    assert len(GOALS) == 10
    assert set(WRONG) == set(GOALS)


@pytest.mark.parametrize("name", GOALS)
def test_the_demonstration_reaches_the_goal(name: str, tmp_path: Path) -> None:
    made = attempt(name, tmp_path / "copy", load_goal(GOALS[name]).demo)
    assert made.goal.success
    assert made.misses(made.goal.success) == []
    assert made.misses(made.goal.audit) == []


@pytest.mark.parametrize("name", GOALS)
def test_the_demonstration_is_among_the_calls_that_can_be_made(name: str, tmp_path: Path) -> None:
    """A model is offered only what exists; each call of the demonstration must be among that."""
    goal = load_goal(GOALS[name])
    shutil.copytree(goal.workspace, tmp_path / "copy", ignore=shutil.ignore_patterns("out"))
    context = ToolContext(Workspace(tmp_path / "copy"))
    pages = pages_of(context.workspace)
    named = mentioned_files(goal.goal)
    world = WorkspaceWorld(context.workspace, context.tables, pages.count, NoResults(), named)
    toolbox = Toolbox(built_in(context), world)
    for step in [step for step in goal.demo if step.name != FINISH]:
        schema = toolbox.allowed(partial(operator.eq, step.name))[step.name]
        jsonschema.validate(step.arguments, schema)
        toolbox.call(step.name, step.arguments, seconds=60)


@pytest.mark.parametrize("name", GOALS)
def test_the_untouched_workspace_fails_the_audit(name: str, tmp_path: Path) -> None:
    made = attempt(name, tmp_path / "copy", [])
    assert made.misses(made.goal.audit)
    assert made.misses(made.goal.success)


@pytest.mark.parametrize(
    ("name", "number"), [(name, i) for name, wrong in WRONG.items() for i in range(len(wrong))]
)
def test_a_plausible_wrong_attempt_fails_the_audit(name: str, number: int, tmp_path: Path) -> None:
    made = attempt(name, tmp_path / "copy", WRONG[name][number])
    assert made.misses(made.goal.audit)


@pytest.mark.parametrize("name", GOALS)
def test_the_success_checks_do_not_tell_the_answer(name: str, tmp_path: Path) -> None:
    """Some wrong attempt passes them: they say what shape the outcome has, not what it is."""
    attempts = (
        attempt(name, tmp_path / str(number), calls) for number, calls in enumerate(WRONG[name])
    )
    assert any(not made.misses(made.goal.success) for made in attempts)


def test_the_goals_are_of_the_kinds_that_are_promised(tmp_path: Path) -> None:
    demos = {name: load_goal(path).demo for name, path in GOALS.items()}
    effects = {
        tool.name: facts_of(tool).effect for tool in built_in(ToolContext(Workspace(tmp_path)))
    }
    calls = {name: [c.name for c in demo if c.name != FINISH] for name, demo in demos.items()}
    assert sum(len(names) >= 3 for names in calls.values()) >= 4
    assert all(1 <= len(demo) <= 6 for demo in demos.values())
    assert all(demo[-1].name == FINISH for demo in demos.values())
    assert sum(bool({"join_tables", "aggregate"} & set(names)) for names in calls.values()) >= 3
    assert sum("document_text" in names for names in calls.values()) >= 2
    only_read = [n for n, names in calls.items() if {effects[name] for name in names} == {"read"}]
    assert only_read == ["largest-stock"]
    chinese = [n for n, p in GOALS.items() if "请" in load_goal(p).goal]
    assert chinese == ["march-sales-zh"]
