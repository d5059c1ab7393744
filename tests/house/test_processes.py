"""The processes that the tests of bad input start."""

from tests.house.commands import ROOT, Commands
from tests.house.processes import TUNEWARD, started


def test_what_these_tests_run_is_the_command_of_this_tree(command: Commands) -> None:
    """Otherwise the tests of bad input would test another installation."""
    ended = started(command, TUNEWARD, "tools", "check", str(ROOT / "examples/one_file_tool.py"))
    assert ended.code == 0
