"""Ctrl-C and the signals that mean it, in every phase of a command.

Each time the command ends within seconds with exit code 130 and one clear last line, the journal
can be resumed, and no effect happens twice or by halves.
"""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect  # type: ignore[import-untyped]  # has no stubs
import pytest

from agent.interrupt import Terminated, stop_at_once, waiting_for_a_person
from agent.journal import Journal
from tests.agent.scripted_cli import command as scripted
from tests.house.commands import Commands, Ended, call, contents, finish
from tests.models.openai_server import Behaviour, serving

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOON = 10.0
"""Seconds in which a stopped command has ended; alone it takes one, this machine may be busy."""
TOOLS = '''
import os, signal, time
from pathlib import Path
from tuneward import tool

@tool(effect="read")
def watch() -> str:
    """Look for long."""
    Path("STARTED").touch()
    time.sleep(60)
    return "seen"

@tool(effect="write")
def append() -> str:
    """Add a line, slowly."""
    Path("STARTED").touch()
    time.sleep(1.5)
    with Path("work/log.txt").open("a") as file:
        file.write("line\\n")
    time.sleep(60)
    return "added"

@tool(effect="read")
def press(times: int) -> str:
    """Press Ctrl-C so often, just before the step is over."""
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
    return "pressed"
'''
EARLIER = call("write_file", path="kept.txt", text="kept")


@pytest.fixture
def command(shared: Commands, tmp_path: Path, home: Path) -> Commands:
    """A folder with a workspace and the slow tools, and a home of this test."""
    shared.folder, shared.home = tmp_path, home
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "old.txt").write_text("old")
    (tmp_path / "slow.py").write_text(TOOLS)
    return shared


def _send(command: Commands, number: int, *, when: Any) -> Any:
    def meanwhile(process: int) -> None:
        command.until(when)
        os.kill(process, number)

    return meanwhile


def _started(command: Commands) -> Any:
    return (command.folder / "STARTED").exists


def _is_interrupted(ended: Ended) -> None:
    assert ended.code == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.last.startswith("interrupted: ")
    assert ended.seconds < SOON


def _run_named_in(ended: Ended) -> str:
    """The run that the last line says how to resume."""
    return ended.last.split("`tuneward resume ")[1].partition("`")[0]


# while a model is fetched and loaded


@pytest.fixture
def silent_index() -> Iterator[str]:
    """A package index that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


@pytest.mark.parametrize("words", [("Do it", "-w", "work"), ("model", "pull", "default")])
def test_while_a_model_is_fetched(
    command: Commands, silent_index: str, words: tuple[str, ...]
) -> None:
    ended = command(
        *words,
        PIP_INDEX_URL=silent_index,
        meanwhile=_send(command, signal.SIGINT, when=lambda: "downloading" in command.said),
    )
    _is_interrupted(ended)
    assert command.run_ids() == []
    assert contents(command.folder / "work") == {"old.txt": b"old"}
    pulled = command.home / "models" / "smollm2-135m"
    assert not pulled.exists()
    assert not _processes_that_name(str(command.home))


def _processes_that_name(word: str) -> list[str]:
    """Whoever still runs with this word on its command line."""
    if not Path("/proc").is_dir():
        return []
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and int(each.parent.name) != os.getpid():
            found.append(line)
    return found


def test_while_an_endpoint_is_asked_that_never_answers(command: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def asked() -> bool:
            return bool(select.select([server], [], [], 0)[0])

        model = f"openai:m@http://127.0.0.1:{server.getsockname()[1]}/v1"
        ended = command(
            *("Do it", "-w", "work", "--model", model),
            meanwhile=_send(command, signal.SIGINT, when=asked),
        )
    _is_interrupted(ended)
    assert command.run_ids() == []


# while it generates


@pytest.mark.parametrize("number", SIGNALS[:2], ids=lambda n: signal.Signals(n).name)
def test_while_the_model_generates(command: Commands, number: int) -> None:
    long = call("write_file", path="late.txt", text="x" * 1000)
    ended = command(
        *("Write it", "-w", "work", "--json", "--check", "{file: late.txt}"),
        replies=[EARLIER, long],
        pace=0.05,
        meanwhile=_send(
            command, number, when=lambda: (command.folder / "work" / "kept.txt").exists()
        ),
    )
    _is_interrupted(ended)
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (events[-1]["type"], events[-1]["status"]) == ("run_finished", "interrupted")
    assert contents(command.folder / "work") == {"kept.txt": b"kept", "old.txt": b"old"}
    resumed = command(
        "resume", _run_named_in(ended), replies=[call("write_file", path="late.txt", text="y")]
    )
    assert resumed.code == 0, resumed.stderr
    assert (command.folder / "work" / "late.txt").read_text() == "y"


def test_while_a_server_plans(command: Commands) -> None:
    """A large model writes a plan first, and the reply may never come."""
    behaviour = Behaviour()
    with serving(behaviour) as server:

        def interrupt(process: int) -> None:
            command.until(lambda: "goal: " in command.said)
            asked = len(server.requests)
            behaviour.hangs = threading.Event()
            command.until(lambda: len(server.requests) > asked)
            os.kill(process, signal.SIGINT)

        ended = command("Do it", "-w", "work", "--model", server.name, meanwhile=interrupt)
        _is_interrupted(ended)
        behaviour.hangs = None
    plan, thought = '{"steps": ["Say so."]}', f"I will say so.\n{json.dumps(finish())}"
    resumed = command("resume", _run_named_in(ended), replies=[plan, thought])
    assert (resumed.code, resumed.stdout) == (0, "all done\n")


# while a tool runs


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: signal.Signals(n).name)
def test_while_a_tool_hangs(command: Commands, number: int) -> None:
    ended = command(
        *("Watch", "-w", "work", "--tools", "slow.py"),
        replies=[call("watch")],
        meanwhile=_send(command, number, when=_started(command)),
    )
    _is_interrupted(ended)
    resumed = command("resume", _run_named_in(ended), "--json", replies=[finish()])
    assert resumed.code == 0
    assert "watch was stopped by the user" not in resumed.stderr
    assert json.loads(resumed.stdout.splitlines()[-1])["answer"] == "all done"


def test_an_effect_that_was_broken_off_is_never_done_twice_unseen(command: Commands) -> None:
    words = ("Append", "-w", "work", "--tools", "slow.py")
    ended = command(
        *words,
        replies=[call("append")],
        meanwhile=_send(command, signal.SIGINT, when=_started(command)),
    )
    _is_interrupted(ended)
    assert "log.txt" not in contents(command.folder / "work")
    run = _run_named_in(ended)
    asks = command("resume", run, replies=[])
    assert asks.code == 4
    assert "append() was interrupted and may or may not have happened" in asks.last
    assert command("resume", run, replies=[finish()]).code == 0
    assert "log.txt" not in contents(command.folder / "work")


def test_a_write_that_can_be_repeated_is_repeated(command: Commands) -> None:
    """The signal arrives with the write; whatever came first, one resume ends with the file."""
    words = ("Write", "-w", "work", "--tools", "slow.py", "--check", "{file: out.txt}")
    ended = command(
        *words,
        replies=[call("press", times=1), call("write_file", path="out.txt", text="x")],
    )
    _is_interrupted(ended)
    resumed = command(
        "resume", _run_named_in(ended), replies=[call("write_file", path="out.txt", text="x")]
    )
    assert resumed.code == 0
    assert contents(command.folder / "work")["out.txt"] == b"x"


# between steps, and more than once


@pytest.mark.parametrize("times", [1, 2, 5])
def test_at_the_end_of_a_step(command: Commands, times: int) -> None:
    ended = command(
        *("Press", "-w", "work", "--tools", "slow.py"),
        replies=[EARLIER, call("press", times=times), finish()],
    )
    _is_interrupted(ended)
    (run,) = command.run_ids()
    resumed = command("resume", run, replies=[finish()])
    assert (resumed.code, resumed.stdout) == (0, "all done\n")


def test_a_second_signal_while_the_first_ends_the_run(command: Commands) -> None:
    def twice(process: int) -> None:
        command.until(_started(command))
        os.kill(process, signal.SIGINT)
        os.kill(process, signal.SIGTERM)

    ended = command(
        *("Watch", "-w", "work", "--tools", "slow.py"), replies=[call("watch")], meanwhile=twice
    )
    assert ended.code == 130
    assert "Traceback" not in ended.stderr
    (run,) = command.run_ids()
    (command.folder / "slow.py").write_text(TOOLS.replace("time.sleep(60)", "pass"))
    assert command("resume", run, replies=[finish()]).code == 0


def test_a_key_at_any_moment_of_a_commit_leaves_a_journal_that_goes_on(tmp_path: Path) -> None:
    """Raises in the middle of commits, each time a little later; what follows is whole."""

    def press(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, press)
    pressed = 0
    try:
        with Journal(tmp_path / "journal.db", "run", durable=False) as journal:
            for moment in range(1, 120):
                try:
                    # Again and again: one that falls into a finalizer is lost there.
                    signal.setitimer(signal.ITIMER_REAL, moment * 10e-6, 0.05)
                    while True:
                        journal.add("planned", {"moment": moment})
                        journal.commit()
                except KeyboardInterrupt:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    pressed += 1
                journal.add("planned", {"after": moment})
                journal.commit()
            found = list(journal.events())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert pressed == 119
    assert [event.data["after"] for event in found if "after" in event.data] == [*range(1, 120)]
    assert [event.seq for event in found] == sorted({event.seq for event in found})


@pytest.mark.parametrize("earlier", [signal.SIG_DFL, stop_at_once])
def test_a_signal_that_falls_into_a_finalizer_still_ends_the_wait(
    earlier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised in there is lost; the wait for a person must end all the same."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: lost.append(found.exc_type))

    class Last:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def wait() -> None:
        with waiting_for_a_person():
            Last()
            threading.Event().wait(SOON)

    before = signal.signal(signal.SIGTERM, earlier)
    try:
        with pytest.raises(Terminated):
            wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert lost == [Terminated]


# several goals


@pytest.mark.parametrize("parallel", ["1", "2"])
def test_while_several_goals_run(command: Commands, parallel: str) -> None:
    goals = command.folder / "goals"
    goals.mkdir()
    for name in ("a", "b", "c"):
        (goals / f"{name}.yaml").write_text("goal: Watch\nworkspace: ../work\ntools: [watch]\n")
    ended = command(
        *("run", "goals", "--parallel", parallel, "--tools", "slow.py"),
        replies=[call("watch")] * 3,
        meanwhile=_send(command, signal.SIGTERM, when=_started(command)),
    )
    assert ended.code == 130
    assert "Traceback" not in ended.stderr
    rows = [line.split()[:2] for line in ended.stdout.splitlines()[1:]]
    assert rows == [["a", "interrupted"], ["b", "interrupted"], ["c", "interrupted"]]
    assert ended.seconds < SOON
    assert len(command.run_ids()) == int(parallel)


def test_a_run_that_a_hang_up_must_not_stop(command: Commands) -> None:
    """`nohup tuneward ...`: who ignores SIGHUP goes on ignoring it."""
    words = scripted(command.folder, [call("watch")], "Watch", "-w", "work", "--tools", "slow.py")
    child = pexpect.spawn(
        words[0], words[1:], ignore_sighup=True, timeout=60, cwd=str(command.folder)
    )
    try:
        command.until(_started(command))
        child.kill(signal.SIGHUP)
        time.sleep(0.3)
        assert child.isalive()
        child.kill(signal.SIGINT)
        child.expect("interrupted: go on with")
        assert _exit_code(child) == 130
    finally:
        child.close(force=True)


def test_while_a_goal_is_read_from_standard_input(command: Commands) -> None:
    words = [sys.executable, "-P", "-m", "agent", "run", "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        pipe = process.stdin.fileno()
        os.write(pipe, b"goal: unfinished")
        command.until(lambda: not _unread(pipe))
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read().decode()
        assert process.wait(timeout=SOON) == 130
    assert said.startswith("interrupted: nothing is left half-done")
    assert len(said.splitlines()) == 1


def _unread(pipe: int) -> int:
    """Bytes that nobody has taken out of the pipe yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


# at the terminal


class Terminal:
    """The command in a pseudo-terminal, with a scripted model."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: list[Any] = []

    def start(self, replies: list[Any], *words: str) -> Any:
        line = scripted(self._folder, replies, *words, "-w", "work", "--tools", "slow.py")
        environ = {**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
        child = pexpect.spawn(
            *(line[0], line[1:]),
            encoding="utf-8",
            timeout=60,
            dimensions=(24, 100),
            cwd=str(self._folder),
            env=environ,
        )
        self._open.append(child)
        return child

    def close(self) -> None:
        for child in self._open:
            child.close(force=True)


@pytest.fixture
def terminal(command: Commands) -> Iterator[Terminal]:
    opened = Terminal(command.folder)
    yield opened
    opened.close()


def _exit_code(child: Any) -> int:
    child.expect(pexpect.EOF)
    child.wait()
    return int(child.exitstatus)


DELETE = call("delete_file", path="old.txt")


@pytest.mark.parametrize("how", ["key", signal.SIGTERM], ids=str)
def test_while_an_approval_is_asked(
    command: Commands, terminal: Terminal, home: Path, how: str | signal.Signals
) -> None:
    (home / "settings.yaml").write_text("tools: [delete_file]\n")
    child = terminal.start([DELETE], "Delete the old file")
    child.expect("allow\\?")
    if isinstance(how, str):
        child.sendintr()
    else:
        child.kill(how)
    child.expect("interrupted: go on with")
    assert _exit_code(child) == 130
    assert contents(command.folder / "work") == {"old.txt": b"old"}
    (run,) = command.run_ids()
    again = command("resume", run, replies=[])
    assert again.code == 4
    assert "delete_file(old.txt)" in again.last


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_that_is_no_key_leaves_the_empty_prompt(terminal: Terminal, number: int) -> None:
    child = terminal.start([])
    child.expect("Type a goal")
    child.expect(">")
    child.kill(number)
    child.expect("interrupted: left")
    assert _exit_code(child) == 130


def test_a_signal_that_is_no_key_leaves_in_the_middle_of_a_step(terminal: Terminal) -> None:
    child = terminal.start([call("watch")])
    child.expect("Type a goal")
    child.sendline("Watch")
    child.expect(r"watch\(\)")
    child.kill(signal.SIGTERM)
    child.expect("interrupted: left")
    assert _exit_code(child) == 130


def test_a_key_at_an_approval_is_the_first_of_the_two_that_leave(
    terminal: Terminal, home: Path
) -> None:
    (home / "settings.yaml").write_text("tools: [delete_file]\n")
    child = terminal.start([DELETE])
    child.expect("Type a goal")
    child.sendline("Delete the old file")
    child.expect("allow\\?")
    child.sendintr()
    child.expect("interrupted: go on with")
    child.expect(">")
    child.sendintr()
    child.expect("interrupted: left")
    assert _exit_code(child) == 130


def test_a_terminal_that_is_closed_ends_the_run_as_interrupted(
    command: Commands, terminal: Terminal
) -> None:
    child = terminal.start([call("watch")], "Watch")
    child.expect(r"watch\(\)")
    child.ptyproc.fileobj.close()  # as a closed window does
    child.closed = child.ptyproc.closed = True
    assert child.wait() == 130
    (run,) = command.run_ids()
    assert command("resume", run, replies=[finish()]).code == 0
