"""Tests of tuneward/__init__.py: the public names, loaded late, and never somebody else's."""

import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import tuneward

ROOT = Path(__file__).resolve().parents[2]
OURS = ("tuneward", *tuneward.FLOORS)


def _python(code: str, cwd: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *flags, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("name", tuneward.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(tuneward, name) is not None
    assert name in dir(tuneward)


def test_the_names_that_the_design_promises_are_there() -> None:
    promised = {
        "Agent",
        "Goal",
        "tool",
        "ExistingFile",
        "NewFile",
        "Column",
        "SkillName",
        "ChatLocal",
    }
    assert promised <= set(tuneward.__all__)


def test_an_unknown_name_is_an_attribute_error_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Agnet'; it has .*'Agent'"):
        _ = tuneward.Agnet


def test_the_import_loads_nothing_else(tmp_path: Path) -> None:
    code = (
        "import tuneward, sys;"
        "print([name for name in sys.modules if name.split('.')[0] in tuneward.FLOORS])"
    )
    assert _python(code, tmp_path).stdout == "[]\n"


def test_types_and_tools_come_without_torch(tmp_path: Path) -> None:
    code = (
        "from tuneward import Agent, Goal, tool, ExistingFile, ScriptedModel; import sys;"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    assert _python(code, tmp_path).stdout == "False False\n"


@pytest.mark.parametrize("floor", tuneward.FLOORS)
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_name_of_the_users_that_shadows_ours_is_a_clear_error(
    tmp_path: Path, floor: str, as_folder: bool
) -> None:
    if as_folder:
        (tmp_path / floor).mkdir()
        (tmp_path / floor / "__init__.py").write_text("raise SystemExit('hostile code ran')")
    else:
        (tmp_path / f"{floor}.py").write_text("raise SystemExit('hostile code ran')")
    done = _python("from tuneward import Agent", tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert str(tmp_path / floor) in last
    assert f"shadows Tuneward's own package `{floor}`" in last
    assert "hostile code ran" not in done.stderr
    assert _python("from tuneward import Agent; print('fine')", tmp_path, "-P").stdout == "fine\n"


def _hostile(folder: Path, proof: Path) -> None:
    """Folders with our names whose code leaves a proof that it ran."""
    for name in (*OURS, "typer", "yaml", "json"):
        (folder / name).mkdir()
        code = f"open({str(proof)!r}, 'a').write({name!r})\nraise SystemExit(77)\n"
        (folder / name / "__init__.py").write_text(code)
        for inner in ("cli", "app", "base", "chat", "settings", "__main__"):
            (folder / name / f"{inner}.py").write_text(code)
    (folder / "sitecustomize.py").write_text(f"open({str(proof)!r}, 'a').write('site')\n")


@pytest.mark.parametrize(
    "words",
    [
        ["doctor"],
        ["tools", "list", "--json"],
        ["model", "list"],
        ["runs", "list"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_the_command_runs_from_a_workspace_full_of_hostile_folders(
    tmp_path: Path, words: list[str]
) -> None:
    proof = tmp_path / "proof"
    work = tmp_path / "work"
    work.mkdir()
    _hostile(work, proof)
    command = Path(sys.executable).with_name("tuneward")
    done = subprocess.run([command, *words], cwd=work, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not proof.exists()


def test_a_whole_run_in_such_a_workspace_uses_our_own_code(tmp_path: Path) -> None:
    from tests.agent.scripted_cli import run

    proof = tmp_path / "proof"
    work = tmp_path / "work"
    work.mkdir()
    _hostile(work, proof)
    replies = [
        {"name": "write_file", "arguments": {"path": "out.txt", "text": "x"}},
        {"name": "finish", "arguments": {"answer": "done"}},
    ]
    done = run(tmp_path, replies, "Write out.txt", "--check", "{file: out.txt}", cwd=work)
    assert done.returncode == 0, done.stderr
    assert (work / "out.txt").read_text() == "x"
    assert not proof.exists()


def test_no_other_distribution_provides_our_names() -> None:
    owners: Mapping[str, list[str]] = packages_distributions()
    for name in OURS:
        assert set(owners.get(name, ["tuneward"])) == {"tuneward"}
        found = import_module(name)
        assert found.__file__ is not None
        assert Path(found.__file__).resolve() == ROOT / name / "__init__.py"
