"""Tests at a real terminal: keys, approvals, colour and escapes, through a pseudo-terminal."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]  # has no stubs
import pytest

from tests.agent.scripted_cli import command

SLOW = """
import time
from pathlib import Path
from tuneward import tool

@tool(effect="read")
def wait() -> str:
    '''Wait for long.'''
    Path("WAITING").touch()
    time.sleep(60)
    return "x"
"""
WAIT = {"name": "wait", "arguments": {}}


def finish(answer: str) -> dict[str, Any]:
    return {"name": "finish", "arguments": {"answer": answer}}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "old.txt").write_text("x")
    (tmp_path / "slow.py").write_text(SLOW)
    return folder


class Terminal:
    """Starts the command in a pseudo-terminal of 24 by 100."""

    def __init__(self, folder: Path, workspace: Path) -> None:
        self._folder = folder
        self._workspace = workspace
        self._open: list[Any] = []

    def start(self, replies: list[Any], *words: str, **environ: str) -> Any:
        line = command(self._folder, replies, *words, "-w", str(self._workspace))
        child = pexpect.spawn(
            line[0],
            line[1:],
            encoding="utf-8",
            timeout=60,
            dimensions=(24, 100),
            cwd=str(self._folder),
            env={**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", **environ},
        )
        self._open.append(child)
        return child

    def close(self) -> None:
        for child in self._open:
            child.close(force=True)


@pytest.fixture
def terminal(tmp_path: Path, workspace: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path, workspace)
    yield opened
    opened.close()


def _ended(child: Any) -> int | None:
    child.expect(pexpect.EOF)
    child.wait()
    return int(child.exitstatus)


def test_a_goal_a_follow_up_and_quit(terminal: Terminal) -> None:
    child = terminal.start([finish("hello"), finish("hello again")])
    child.expect("Type a goal, or /help")
    child.sendline("Greet me")
    child.expect("hello\r\n")
    child.expect("finished_unchecked")
    child.sendline("And again")
    child.expect("hello again\r\n")
    child.sendline("/quit")
    assert _ended(child) == 0


def test_ctrl_c_stops_the_step_and_the_prompt_comes_back(
    terminal: Terminal, tmp_path: Path
) -> None:
    child = terminal.start([WAIT, finish("after all")], "--tools", "slow.py")
    child.expect("Type a goal")
    child.sendline("Wait")
    child.expect(r"wait\(\)")
    child.sendintr()
    child.expect("interrupted: go on with")
    child.sendline("/resume")
    child.expect("after all")
    child.sendline("/quit")
    assert _ended(child) == 0


def test_ctrl_c_twice_leaves(terminal: Terminal) -> None:
    child = terminal.start([WAIT], "--tools", "slow.py")
    child.expect("Type a goal")
    child.sendline("Wait")
    child.expect(r"wait\(\)")
    child.sendintr()
    child.expect("interrupted: go on with")
    child.expect(">")
    child.sendintr()
    child.expect("interrupted: left")
    assert _ended(child) == 130


def test_ctrl_c_during_one_goal_ends_the_command(terminal: Terminal) -> None:
    child = terminal.start([WAIT], "Wait", "--tools", "slow.py")
    child.expect(r"wait\(\)")
    child.sendintr()
    child.expect("interrupted: go on with `tuneward resume")
    assert _ended(child) == 130


DELETE = {"name": "delete_file", "arguments": {"path": "old.txt"}}


@pytest.mark.parametrize(
    ("keys", "stays"), [("o", False), ("", True), ("n", True), ("yes please", True)]
)
def test_a_person_approves_or_not(
    terminal: Terminal, workspace: Path, home: Path, keys: str, stays: bool
) -> None:
    (home / "settings.yaml").write_text("tools: [delete_file]\n")
    child = terminal.start([DELETE, finish("over")], "Delete the old file")
    child.expect("effect    delete")
    child.expect("path: old.txt")
    child.expect("allow\\?")
    child.sendline(keys)
    child.expect("over")
    assert _ended(child) == 0
    assert (workspace / "old.txt").exists() is stays


def test_ctrl_c_at_an_approval_stops_the_run_without_the_effect(
    terminal: Terminal, workspace: Path, home: Path
) -> None:
    (home / "settings.yaml").write_text("tools: [delete_file]\n")
    child = terminal.start([DELETE], "Delete the old file")
    child.expect("allow\\?")
    child.sendintr()
    child.expect("interrupted: ")
    assert _ended(child) == 130
    assert (workspace / "old.txt").exists()


def test_keys_typed_before_an_approval_do_not_count(
    terminal: Terminal, workspace: Path, home: Path
) -> None:
    (home / "settings.yaml").write_text("tools: [delete_file]\n")
    child = terminal.start([DELETE, finish("over")], "Delete the old file")
    child.sendline("o")  # long before anything was asked
    child.expect("allow\\?")
    child.sendline("")
    child.expect("over")
    assert _ended(child) == 0
    assert (workspace / "old.txt").exists()


def test_no_color_is_honoured(terminal: Terminal) -> None:
    def colours(**environ: str) -> bool:
        child = terminal.start([finish("hello")], "Greet me", **environ)
        child.expect(pexpect.EOF)
        assert child.before is not None
        # Bold and dim are no colours.
        return any(f"\x1b[{number}m" in child.before for number in range(30, 38))

    assert colours()
    assert not colours(NO_COLOR="1")


@pytest.mark.system
def test_a_hostile_file_name_and_answer_leave_the_screen_alone(
    tmp_path: Path, workspace: Path
) -> None:
    """What a terminal makes of it, asked of tmux: no escape, title or bell but ours."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    hostile = "\x1b[2J\x1b[31mred\x1b]0;title\x07\u202eabc"
    words = command(tmp_path, [finish(hostile)], "Greet me", "-w", str(workspace))
    done = tmp_path / "done"
    line = f"{shlex.join(words)}; touch {shlex.quote(str(done))}; read wait"
    tmux = ["tmux", "-L", tmp_path.name, "-f", "/dev/null"]
    environ = {**os.environ, "NO_COLOR": "1"}
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", "120", "-y", "40", line], check=True, env=environ
    )
    try:
        child = pexpect.spawn(sys.executable, ["-c", _WAIT_FOR_FILE, str(done)], timeout=60)
        child.expect(pexpect.EOF)
        seen = subprocess.run(
            [*tmux, "capture-pane", "-p", "-e"], check=True, capture_output=True, text=True
        ).stdout
        title = subprocess.run(
            [*tmux, "display-message", "-p", "#{pane_title}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    assert "\\x1b[2J\\x1b[31mred" in seen
    assert "goal: Greet me" in seen
    assert "\x1b[31m" not in seen
    assert "\u202e" not in seen
    assert "title" not in title


_WAIT_FOR_FILE = (
    "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(.05)"
)
