"""A workspace that is in the way: it shadows our modules, holds our home, or is gone."""

import json
import subprocess
import sys

from tests.house.commands import Commands, call, contents, finish
from tests.house.processes import TUNEWARD
from tests.house.refusals import GOAL, must_be_clear

SHADOWS = {"agent.py", "models", "tools", "torch.py", "json.py", "typing.py", "pydantic"}


def test_a_folder_that_shadows_our_packages_is_only_data(command: Commands) -> None:
    """Run inside a folder with modules of our names and of the libraries': none is imported."""
    trap = "import pathlib\npathlib.Path('SPRUNG').touch()\nraise SystemExit(99)\n"
    for name in SHADOWS:
        if name.endswith(".py"):
            (command.folder / "work" / name).write_text(trap)
        else:
            (command.folder / "work" / name).mkdir()
            (command.folder / "work" / name / "__init__.py").write_text(trap)
    before = contents(command.folder / "work")
    for words in ([TUNEWARD], [sys.executable, "-P", "-m", "agent"]):
        done = subprocess.run(
            [*words, "Do it", "--model", "./no.gguf"],
            cwd=command.folder / "work",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert "no model file no.gguf" in done.stderr
    assert contents(command.folder / "work") == before


def test_a_home_inside_the_workspace_is_left_alone(command: Commands) -> None:
    """The agent neither lists nor changes its own state."""
    command.home = command.folder / "work" / ".state"
    replies = [
        call("list_files"),
        call("write_file", path=".state/grants.yaml", text="allow: ['*']"),
        finish(),
    ]
    ended = command(*GOAL, "--json", replies=replies)
    assert ended.code == 0, ended.stderr
    returned = [
        event
        for event in map(json.loads, ended.stdout.splitlines())
        if event["type"] == "tool_returned"
    ]
    assert "notes.txt" in returned[0]["result"]
    assert "state" not in returned[0]["result"]
    assert not returned[1]["ok"]
    assert not (command.home / "grants.yaml").exists()


def test_a_workspace_that_is_removed_meanwhile(command: Commands) -> None:
    (command.folder / "other").mkdir()
    (command.folder / "tools.py").write_text(
        "import shutil\nfrom tuneward import tool\n\n@tool(effect='read')\n"
        "def removes() -> str:\n    'Remove it.'\n    shutil.rmtree('other')\n"
        "    return 'gone'\n"
    )
    words = ("Do it", "-w", "other", "--tools", "tools.py")
    ended = command(*words, replies=[call("removes"), finish()])
    assert ended.code == 3, ended.stderr
    must_be_clear(ended, "unavailable: the workspace", "was removed or replaced")
    (run,) = command.run_ids()
    assert command("resume", run, replies=[]).code == 3
