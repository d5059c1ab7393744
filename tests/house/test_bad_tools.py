"""Tools that misbehave, and tool files that do not load: observations, and the run goes on."""

import json
from typing import Any

import pytest

from agent.safe_text import safe_text
from tests.house.commands import Commands, call, finish
from tests.house.refusals import GOAL

TOOLS = '''
import os, subprocess, sys, time
from tuneward import tool

@tool(effect="read")
def raises() -> str:
    """Raise."""
    raise RuntimeError("boom \\x1b[31m")

@tool(effect="read")
def ends() -> str:
    """End the process."""
    sys.exit(7)

@tool(effect="read")
def hangs() -> str:
    """Hang."""
    time.sleep(60)
    return "late"

@tool(effect="read")
def huge() -> str:
    """Return 100 MB."""
    return "x" * 100_000_000

@tool(effect="read")
def binary() -> bytes:
    """Return bytes."""
    return bytes(range(256))

@tool(effect="read")
def hostile() -> str:
    """Return what moves a cursor, sets a title, reads backwards, is no text."""
    return "\\x1b[2J\\x1b]0;title\\x07\\x9b31m\\u202egnp.exe\\udcff\\x00\\r end"

@tool(effect="read")
def recurses() -> str:
    """Call itself."""
    return recurses.func()

@tool(effect="read")
def prints() -> str:
    """Print where results go."""
    print("NO RESULT")
    os.write(1, b"NO RESULT\\n")
    subprocess.run(["echo", "NO RESULT"])
    return "printed"
'''
MISBEHAVE = {
    "raises": (False, "raises failed: RuntimeError: boom"),
    "ends": (False, "ends failed: SystemExit: 7"),
    "hangs": (False, "hangs did not answer within 1 s"),
    "huge": (True, "read_more with handle r1"),
    "binary": (True, "256 bytes of binary data"),
    "hostile": (True, "end"),
    "recurses": (False, "recurses failed: RecursionError"),
    "prints": (True, "printed"),
}


@pytest.mark.parametrize("tool", MISBEHAVE)
def test_a_tool_that_misbehaves_is_an_observation(command: Commands, tool: str) -> None:
    (command.folder / "tools.py").write_text(TOOLS)
    (command.folder / "g.yaml").write_text(
        f"goal: Try it\nworkspace: work\ntools: [{tool}]\nbudget: {{seconds: 30}}\n"
    )
    replies = [call(tool), finish()]
    environ: dict[str, Any] = {"TUNEWARD_BUDGET_SECONDS": "1"} if tool == "hangs" else {}
    ended = command("run", "g.yaml", "--json", "--tools", "tools.py", replies=replies, **environ)
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    ok, said = MISBEHAVE[tool]
    returned = next(event for event in events if event["type"] == "tool_returned")
    assert returned["ok"] is ok
    assert said in returned["result"]
    assert len(returned["result"]) < 100_000
    assert not set("\x1b\x07\x00\r") & set(returned["result"])
    assert ended.code == (124 if tool == "hangs" else 0)
    assert ended.last.startswith("budget_seconds: " if tool == "hangs" else "finished_unchecked: ")
    assert "Traceback" not in ended.stderr
    if tool == "hostile":
        shown = command("runs", "show", "last")
        assert shown.stdout == safe_text(shown.stdout)


def test_a_tool_file_that_does_not_load_is_named_and_the_run_goes_on(command: Commands) -> None:
    (command.folder / "broken.py").write_text("import nosuchmodule\n")
    ended = command(*GOAL, "--tools", "nosuch.py", "--tools", "broken.py", replies=[finish()])
    assert (ended.code, ended.stdout) == (0, "all done\n")
    assert "nosuch.py: no such file" in ended.stderr
    assert "broken.py: ModuleNotFoundError: No module named 'nosuchmodule'" in ended.stderr
