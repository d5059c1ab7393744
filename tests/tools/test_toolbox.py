"""Tests of the toolbox: what may be called now."""

from pathlib import Path

from tools.base import tool
from tools.context import ToolContext
from tools.pages import pages_of
from tools.results import RunResults
from tools.toolbox import Toolbox
from tools.workspace import Workspace
from tools.world import WorkspaceWorld


@tool(effect="train", polls=True)
def train(rounds: int = 1) -> str:
    """Train.

    Args:
        rounds: how often.
    """
    return ""


@tool(effect="read")
def look() -> str:
    """Look."""
    return ""


def test_a_tool_that_has_used_up_its_budget_leaves_until_it_has_some_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    context = ToolContext(workspace)
    world = WorkspaceWorld(workspace, context.tables, pages_of(workspace).count, RunResults())
    spent: list[str] = []
    toolbox = Toolbox([train, look], world, spent=lambda: spent)
    assert set(toolbox.allowed(lambda name: True)) == {"train", "look"}
    spent.append("train")
    assert set(toolbox.allowed(lambda name: True)) == {"look"}
    spent.clear()
    assert "train" in toolbox.allowed(lambda name: True)


def test_a_poll_may_be_repeated_and_another_call_not(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    context = ToolContext(workspace)
    world = WorkspaceWorld(workspace, context.tables, pages_of(workspace).count, RunResults())
    toolbox = Toolbox([train, look], world)
    done = [("train", {"rounds": 1}), ("look", {})]
    assert set(toolbox.allowed(lambda name: True, done)) == {"train"}
