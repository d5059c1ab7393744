"""A machine that does not let the command work: no right to enter or write, no room, no folder.

Each ends with the documented exit code and one clear last line; nothing is half-written.
"""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.house.commands import Commands, call, contents, finish
from tests.house.processes import TUNEWARD, powerless, scripted, started
from tests.house.refusals import GOAL, WORK, must_be_clear, must_be_refused


@pytest.mark.system
def test_a_home_that_cannot_be_written(command: Commands) -> None:
    locked = command.folder / "locked"
    locked.mkdir(mode=0o555)
    ended = started(command, *powerless(TUNEWARD, *GOAL), TUNEWARD_HOME=str(locked / "home"))
    must_be_refused(command, ended, 3, f"{locked}/home cannot be used", "set TUNEWARD_HOME")


@pytest.mark.system
def test_a_workspace_that_cannot_be_written(command: Commands) -> None:
    (command.folder / "work").chmod(0o555)
    replies = [call("write_file", path="out.txt", text="x"), finish()]
    words = scripted(command, replies, "Write", "-w", "work", "--json")
    ended = started(command, *powerless(*words))
    assert ended.code == 0
    results = [json.loads(line) for line in ended.stdout.splitlines()]
    (refused,) = [each for each in results if each["type"] == "tool_returned" and not each["ok"]]
    assert "out.txt" in refused["result"]
    assert contents(command.folder / "work") == WORK


@pytest.mark.system
def test_a_folder_that_may_not_be_entered(command: Commands) -> None:
    (command.folder / "secret").mkdir()
    (command.folder / "secret" / "inner").mkdir()
    (command.folder / "secret").chmod(0)
    ended = started(command, *powerless(TUNEWARD, "Do it", "-w", "secret/inner"))
    (command.folder / "secret").chmod(0o755)
    must_be_refused(command, ended, 3, "Permission denied", "check the path")


@pytest.mark.system
def test_a_disk_that_is_full(command: Commands) -> None:
    """No room for the old version of a file: the run ends, and no file is half-written."""
    mount = "mount -t tmpfs -o size=200k tmpfs home && exec "
    space = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    if subprocess.run([*space, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    (command.folder / "home").mkdir()
    names = [f"big{number}.txt" for number in range(5)]
    for name in names:
        (command.folder / "work" / name).write_text("o" * 60_000)
    writes = [call("write_file", path=name, text="new") for name in names]
    goal = f"Overwrite {', '.join(names)}"
    words = scripted(command, [*writes, finish()], goal, "-w", "work", "--json")
    quoted = " ".join(shlex.quote(word) for word in words)
    ended = started(command, mount + quoted, prefix=space, TUNEWARD_HOME="home")
    assert ended.code == 3, ended.stderr
    must_be_clear(ended, "disk_full: ", "free some disk space")
    left = contents(command.folder / "work")
    assert sorted(left) == sorted([*names, "notes.txt"])
    assert {left[name] for name in names} == {b"new", b"o" * 60_000}


def test_an_output_that_is_full_ends_the_run_as_disk_full(command: Commands) -> None:
    words = scripted(command, [finish()], *GOAL, "--json")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            words, stdout=full, stderr=subprocess.PIPE, text=True, cwd=command.folder, timeout=60
        )
    assert done.returncode == 3
    assert done.stderr.startswith("disk_full: the output was not written")
    (run,) = command.run_ids()
    assert command("resume", run, replies=[finish()]).code == 0


def test_a_current_folder_that_is_gone(command: Commands) -> None:
    gone = command.folder / "gone"
    gone.mkdir()
    script = 'cd gone && rmdir ../gone && exec "$0" "$@"'
    ended = started(command, TUNEWARD, "Do it", prefix=("sh", "-c", script))
    must_be_refused(
        command, ended, 3, "the current folder cannot be used", "change to one that exists"
    )
