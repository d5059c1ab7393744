"""Tests of agent/cli.py and agent/commands/: words in, lines and exit codes out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.interrupt import SIGNALS
from models.chat import ScriptedModel
from tests.agent.scripted_cli import ROOT, command, run

COMMANDS = (
    (),
    ("run",),
    ("validate",),
    ("explain",),
    ("resume",),
    ("doctor",),
    ("runs",),
    ("runs", "list"),
    ("runs", "show"),
    ("runs", "replay"),
    ("tools",),
    ("tools", "list"),
    ("tools", "show"),
    ("tools", "check"),
    ("model",),
    ("model", "list"),
    ("model", "pull"),
    ("model", "show"),
    ("model", "use"),
    ("tune",),
    ("skills",),
    ("skills", "list"),
    ("skills", "show"),
    ("skills", "apply"),
    ("skills", "rollback"),
    ("skills", "export"),
    ("skills", "import"),
    ("skills", "remove"),
    ("jobs",),
    ("jobs", "list"),
    ("jobs", "show"),
    ("jobs", "log"),
    ("jobs", "cancel"),
    ("jobs", "resume"),
)
FINISH = {"name": "finish", "arguments": {"answer": "all done"}}


@dataclass(frozen=True)
class Done:
    """What a command printed and how it ended."""

    returncode: int
    stdout: str
    stderr: str


class Tuneward:
    """The command in this process, with a scripted model in place of a loaded one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, replies: Sequence[Any], *words: str) -> Done:
        model = ScriptedModel(replies)
        self._monkeypatch.setattr("models.load.load_chat", lambda *_, **__: model)
        code = main(words)
        return Done(code, *self._capsys.readouterr())


@pytest.fixture
def tuneward(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Tuneward]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    monkeypatch.chdir(tmp_path)
    yield Tuneward(monkeypatch, capsys)
    for number, handler in before.items():
        signal.signal(number, handler)


def write(path: str, text: str) -> dict[str, object]:
    return {"name": "write_file", "arguments": {"path": path, "text": text}}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "notes.txt").write_text("one\ntwo\n")
    return folder


def _last(text: str) -> str:
    return text.rstrip("\n").splitlines()[-1]


# help


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--help"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert f"Example: tuneward {' '.join(words)}".rstrip() in " ".join(printed.out.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from agent.cli import main; main(['--help']);"
        "heavy = {'torch', 'transformers', 'langchain_core', 'pydantic', 'rich', 'polars'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_help_takes_at_most_twice_as_long_as_importing_typer() -> None:
    def seconds(*words: str) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True, cwd=ROOT)
            times.append(time.perf_counter() - started)
        return min(times)

    ours = seconds(sys.executable, "-P", "-m", "agent", "--help")
    assert ours <= 2 * seconds(sys.executable, "-P", "-c", "import typer")


def test_the_installed_command_prints_its_version() -> None:
    tuneward = Path(sys.executable).with_name("tuneward")
    done = subprocess.run([tuneward, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "tuneward 0.1.0\n")


# words that are no goals


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["docter"], "did you mean `tuneward doctor`?"),
        (["skils"], "did you mean `tuneward skills`?"),
        (["practise"], "there is no command 'practise' in this version"),
        (["practice", "status"], "there is no command 'practice' in this version"),
        (["write", "a", "haiku"], 'put the goal in quotes: tuneward "write a haiku"'),
        (["--model", "x", "run", "y"], "put the command first: tuneward run"),
        (["goal.yaml"], "to run a goal file: tuneward run goal.yaml"),
        (["do it", "--mdoe", "auto"], "No such option: --mdoe"),
        (["do it", "--mode", "yolo"], "'yolo'"),
        (["runs"], "Missing command"),
        (["runs", "lst"], "list"),
        (["run"], "Missing argument"),
        (["run", "x.yaml", "--set", "novalue"], "write --set NAME=VALUE"),
        ([], "no goal, and no terminal to ask at"),
    ],
)
def test_wrong_words_are_a_usage_error_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("usage: ")
    assert said in printed.err
    assert "--help`)" in printed.err


def test_a_command_word_can_still_be_a_goal(tuneward: Tuneward, workspace: Path) -> None:
    done = tuneward([FINISH], "--workspace", str(workspace), "--", "doctor")
    assert (done.returncode, done.stdout) == (0, "all done\n")


# one goal


def test_a_goal_prints_its_answer_and_says_that_nobody_checked_it(
    tuneward: Tuneward, workspace: Path
) -> None:
    done = tuneward([FINISH], "Greet me", "--workspace", str(workspace))
    assert (done.returncode, done.stdout) == (0, "all done\n")
    assert _last(done.stderr).startswith("finished_unchecked: unchecked")


def test_options_may_stand_before_the_goal(tuneward: Tuneward, workspace: Path) -> None:
    done = tuneward([FINISH], "--mode", "deny", "-w", str(workspace), "Greet me")
    assert done.returncode == 0
    assert "mode deny" in done.stderr


def test_a_goal_is_done_when_its_check_holds(tuneward: Tuneward, workspace: Path) -> None:
    check = "{text: {path: out.txt, contains: [two]}}"
    done = tuneward([write("out.txt", "two")], "Write", "-w", str(workspace), "--check", check)
    assert done.returncode == 0
    assert _last(done.stderr).startswith("done: ")
    assert (workspace / "out.txt").read_text() == "two"


def test_a_failed_check_is_exit_1(tuneward: Tuneward, workspace: Path) -> None:
    done = tuneward([FINISH] * 3, "Write", "-w", str(workspace), "--check", "{file: out.txt}")
    assert done.returncode == 1
    assert _last(done.stderr).startswith("failed: ")


def test_drafted_checks_are_reported_where_nobody_can_edit_them(
    tuneward: Tuneward, workspace: Path
) -> None:
    goal = "Write the number of lines to out.txt"
    done = tuneward([write("out.txt", "2")], goal, "-w", str(workspace))
    assert "drafted check: {file: out.txt}" in done.stderr
    assert done.returncode == 0


def test_json_prints_the_events_and_nothing_else(tuneward: Tuneward, workspace: Path) -> None:
    done = tuneward([FINISH], "Greet me", "-w", str(workspace), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "run_started"
    assert events[-1]["type"] == "run_finished"
    assert events[-1]["answer"] == "all done"
    assert {event["schema"] for event in events} == {1}
    assert len(done.stderr.splitlines()) == 1


def test_what_needs_a_person_is_exit_4_with_the_grant_line(
    tuneward: Tuneward, tmp_path: Path, workspace: Path
) -> None:
    call = {"name": "delete_file", "arguments": {"path": "notes.txt"}}
    goal = tmp_path / "goal.yaml"
    goal.write_text(f"goal: Delete notes.txt\nworkspace: {workspace}\ntools: [delete_file]\n")
    done = tuneward([call], "run", str(goal))
    assert done.returncode == 4
    assert _last(done.stderr).startswith("needs_review: ")
    assert "delete_file(notes.txt)" in _last(done.stderr)
    assert (workspace / "notes.txt").exists()
    home = Path(os.environ["TUNEWARD_HOME"])
    (home / "grants.yaml").write_text('allow: ["delete_file(notes.txt)"]\n')
    assert tuneward([call, FINISH], "run", str(goal)).returncode == 0
    assert not (workspace / "notes.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_as_interrupted_and_resume_goes_on(
    tmp_path: Path, workspace: Path, number: int
) -> None:
    plugin = tmp_path / "slow.py"
    plugin.write_text(
        "import time\nfrom pathlib import Path\nfrom tuneward import tool\n\n"
        "@tool(effect='read')\ndef wait() -> str:\n    '''Wait for long.'''\n"
        f"    Path({str(tmp_path / 'waiting')!r}).touch()\n    time.sleep(60)\n    return 'x'\n"
    )
    replies = [{"name": "wait", "arguments": {}}]
    words = command(tmp_path, replies, "Wait", "-w", str(workspace), "--tools", str(plugin))
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    while not (tmp_path / "waiting").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert _last(said).startswith("interrupted: ")
    assert "Traceback" not in said
    run_id = _last(said).split("`tuneward resume ")[1].rstrip("`")
    done = run(tmp_path, [FINISH], "resume", run_id)
    assert (done.returncode, done.stdout) == (0, "all done\n")


# goal files


@pytest.fixture
def goals(tmp_path: Path, workspace: Path) -> Path:
    folder = tmp_path / "goals"
    folder.mkdir()
    for name, text in (("a", "one"), ("b", "three")):
        (folder / f"{name}.yaml").write_text(
            f"goal: Write out-{name}.txt\nworkspace: {workspace}\nretries: 0\n"
            f"success:\n  - text: {{path: out-{name}.txt, contains: [{text}]}}\n"
        )
    return folder


def test_a_folder_of_goals_ends_with_a_table_and_the_worst_code(
    tuneward: Tuneward, goals: Path
) -> None:
    replies = [write("out-a.txt", "one"), write("out-b.txt", "two"), FINISH]
    done = tuneward(replies, "run", str(goals))
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["GOAL", "STATUS", "SECONDS", "RUN"]
    assert [line.split()[:2] for line in lines[1:]] == [["a", "done"], ["b", "failed"]]
    assert done.returncode == 1
    assert _last(done.stderr).startswith("failed: ")
    assert "1 of 2 goals reached" in _last(done.stderr)


def test_goals_side_by_side_keep_their_events_apart(tuneward: Tuneward, goals: Path) -> None:
    replies = [write("out-a.txt", "one three"), write("out-b.txt", "one three")] * 2
    done = tuneward(replies, "run", str(goals), "--parallel", "2", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    for run_id in {event["run"] for event in events}:
        own = [event["seq"] for event in events if event["run"] == run_id]
        assert own == list(range(1, len(own) + 1))
    assert len({event["run"] for event in events}) == 2


def test_no_goal_starts_where_one_file_is_wrong(tuneward: Tuneward, goals: Path) -> None:
    (goals / "c.yaml").write_text("goal: x\nbudgt: {steps: 1}\n")
    done = tuneward([], "run", str(goals))
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"{goals / 'c.yaml'}:2:1:" in done.stderr
    assert not (Path(os.environ["TUNEWARD_HOME"]) / "runs").exists()


def test_a_goal_may_come_from_standard_input(tmp_path: Path, workspace: Path) -> None:
    goal = "goal: Write out.txt\nsuccess: [{file: out.txt}]\n"
    done = run(tmp_path, [write("out.txt", "x")], "run", "-", given=goal, cwd=workspace)
    assert done.returncode == 0, done.stderr


def test_an_empty_folder_of_goals_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(tmp_path)]) == 2
    assert "there are no goal files" in capsys.readouterr().err


def test_validate_says_every_mistake_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "goal.yaml"
    file.write_text("goal: x\nstepz: 3\nbudget: {steps: -1}\n")
    assert main(["validate", str(file)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"{file}:2:1:")
    assert lines[1].startswith(f"{file}:3:")


def test_validate_and_explain_take_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "goal.yaml"
    file.write_text("goal: Count {{ what }}\ninputs: {what: {type: string, default: lines}}\n")
    assert main(["validate", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: a valid goal\n"
    assert main(["explain", str(file), "--set", "what=words"]) == 0
    assert "Count words" in capsys.readouterr().out
    assert main(["explain", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["goal"] == "Count lines"


# runs


def test_runs_are_listed_shown_and_replayed(tuneward: Tuneward, workspace: Path) -> None:
    live = tuneward([FINISH], "Greet me", "-w", str(workspace), "--json").stdout
    listed = json.loads(tuneward([], "runs", "list", "--json").stdout)
    assert [(each["goal"], each["status"]) for each in listed] == [
        ("Greet me", "finished_unchecked")
    ]
    shown = tuneward([], "runs", "show", "last").stdout
    assert "goal: Greet me" in shown
    assert "finished_unchecked after" in _last(shown)
    assert tuneward([], "runs", "replay", listed[0]["run"], "--json").stdout == live


def test_without_runs_the_list_is_empty_and_last_is_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["runs", "list"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["runs", "show", "last"]) == 2
    assert main(["runs", "show", "nosuch"]) == 3
    assert "`tuneward runs list` names them" in capsys.readouterr().err


# tools and models


def test_tools_are_listed_with_what_would_happen_now(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWARD_MODE", "deny")
    assert main(["tools", "list", "--json"]) == 0
    tools = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert tools["read_file"]["now"] == "allow"
    assert (tools["delete_file"]["effect"], tools["delete_file"]["now"]) == ("delete", "deny")


def test_a_tool_is_shown_as_the_model_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "show", "write_file"]) == 0
    assert '"path"' in capsys.readouterr().out
    assert main(["tools", "show", "write_fil"]) == 2
    assert "did you mean write_file?" in capsys.readouterr().err


def test_a_file_of_tools_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "check", str(ROOT / "examples/one_file_tool.py")]) == 0
    assert "count_words  (effect read; now: allow)" in capsys.readouterr().out
    broken = tmp_path / "broken.py"
    broken.write_text("import nosuchmodule\n")
    assert main(["tools", "check", str(broken)]) == 2
    assert "nosuchmodule" in capsys.readouterr().err


def test_an_undeclared_tool_counts_as_execute_and_is_told_how_to_change_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from langchain_core.tools import tool\n\n@tool\ndef hello() -> str:\n"
        "    '''Say hello.'''\n    return 'hello'\n"
    )
    assert main(["tools", "check", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "effect execute, undeclared" in printed
    assert "now: ask" in printed


def test_the_used_model_is_kept_in_the_settings_file(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "use", "qwen3-4b"]) == 0
    capsys.readouterr()
    assert main(["model", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["used"] == "qwen3-4b"
    assert main(["model", "use", "qwen3-5b"]) == 3
    assert "did you mean" in capsys.readouterr().err
    assert (home / "settings.yaml").read_text() == 'model: "qwen3-4b"\n'


def test_a_model_is_shown_with_the_memory_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "show", "qwen3-8b", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    needs = {need["kind"]: need["total"] for need in shown["needs"]}
    assert needs["4bit"] < needs["bf16"] < needs["fp32"]
    assert shown["machine"]["memory"] > 0


# how it ends


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Do it", "--model", "./nosuch"], "nosuch"),
        (["Do it", "--model", "qwen9"], "there is no model called `qwen9`"),
        (["Do it", "--workspace", "/nosuch"], "the workspace /nosuch does not exist"),
        (["runs", "show", "nosuch"], "`tuneward runs list` names them"),
    ],
)
def test_what_is_not_available_is_one_line_and_exit_3(
    tmp_path: Path,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert _last(printed.err).startswith("unavailable: ")
    assert said in _last(printed.err)


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    words = command(tmp_path, [], "tools", "list", "--json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 130


def test_a_terminal_that_knows_only_ascii_gets_escapes(tmp_path: Path, workspace: Path) -> None:
    reply = {"name": "finish", "arguments": {"answer": "表 is done"}}
    done = run(tmp_path, [reply], "Greet me", "-w", str(workspace), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "\\u8868 is done\n")


def test_hostile_words_of_the_model_are_shown_escaped(tuneward: Tuneward, workspace: Path) -> None:
    reply = {"name": "finish", "arguments": {"answer": "\x1b[2Jgone\x07"}}
    done = tuneward([reply], "Greet me", "-w", str(workspace))
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x07" not in done.stdout + done.stderr
