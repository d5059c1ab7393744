"""What a call may contain, asked of a real workspace."""

from pathlib import Path

import jsonschema
import pytest

from tools.catalogue import built_in
from tools.context import NoResults, ToolContext
from tools.grounding import Schema
from tools.pages import pages_of
from tools.toolbox import Toolbox
from tools.workspace import Workspace
from tools.world import WorkspaceWorld

COUNT = {"path": "t.csv", "column": "city", "comparison": "equals", "value": "Rome"}


@pytest.fixture
def allowed(tmp_path: Path) -> dict[str, Schema]:
    (tmp_path / "t.csv").write_text("city,note,nothing\n" + "Rome,hello there,\nOslo,bye,\n")
    (tmp_path / "broken.csv").write_text("a,a\n1,2\n")
    context = ToolContext(Workspace(tmp_path))
    pages = pages_of(context.workspace)
    world = WorkspaceWorld(context.workspace, context.tables, pages.count, NoResults())
    return Toolbox(built_in(context), world).allowed(lambda name: True)


@pytest.mark.parametrize(
    ("changed", "possible"),
    [
        ({}, True),
        ({"value": "Ro"}, False),
        ({"comparison": "contains", "value": "Ro"}, True),
        ({"comparison": "is_empty", "column": "nothing", "value": "-"}, True),
        ({"column": "town"}, False),
        ({"path": "broken.csv", "column": "a"}, False),
    ],
)
def test_a_condition_is_about_what_the_table_holds(
    allowed: dict[str, Schema], changed: dict[str, str], possible: bool
) -> None:
    validator = jsonschema.Draft202012Validator(allowed["count_rows"])
    assert validator.is_valid({**COUNT, **changed}) == possible


def test_a_broken_table_can_still_be_looked_at_and_stops_no_other_tool(
    allowed: dict[str, Schema],
) -> None:
    assert allowed["preview_table"]["properties"]["path"]["enum"] == ["broken.csv", "t.csv"]
    assert {"filter_rows", "join_tables", "select_columns", "read_file"} <= set(allowed)
