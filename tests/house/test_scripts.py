"""Tests of scripts/ and .ci/run: what they do with the environment, without making one."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("run", "test", "check", "stress")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose venv is a stand-in that writes down how it is called."""
    folder = tmp_path / "checkout with spaces"
    (folder / ".ci").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copy(ROOT / ".ci/run", folder / ".ci/run")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    _stand_in(folder)
    return folder


def _stand_in(folder: Path) -> None:
    """`python -m venv` makes a venv whose pip and tools only note their arguments."""
    calls = folder / "calls"
    fake = folder / "fake-python"
    fake.write_text(
        f"""#!{sys.executable}
import os, sys
from pathlib import Path
words = sys.argv[1:]
with open({str(calls)!r}, "a") as file:
    file.write(" ".join([Path(sys.argv[0]).name, *words]).replace({str(folder)!r}, ".") + "\\n")
if "venv" in words:
    venv = Path(words[-1])
    (venv / "bin").mkdir(parents=True, exist_ok=True)
    (venv / "pyvenv.cfg").write_text(f"command = x {{venv}}\\n")
    for name in ("python", "tuneward", "ruff", "mypy", "lint-imports"):
        target = venv / "bin" / name
        target.write_text(Path({str(fake)!r}).read_text())
        target.chmod(0o755)
elif "hashlib" in " ".join(words):
    os.execv({sys.executable!r}, [{sys.executable!r}, *words])
elif "pip" in words and os.environ.get("PIP_FAILS"):
    sys.exit("no matching distribution")
elif os.environ.get("FAIL") and os.environ["FAIL"] in " ".join(sys.argv):
    sys.exit(9)
"""
    )
    fake.chmod(0o755)


def _do(
    checkout: Path, *words: str, **environ: str
) -> tuple[subprocess.CompletedProcess[str], str]:
    calls = checkout / "calls"
    calls.unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", str(checkout / words[0]), *words[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHON": str(checkout / "fake-python"), **environ},
    )
    return done, calls.read_text() if calls.exists() else ""


def test_the_first_run_makes_the_environment_and_the_second_goes_straight_to_the_command(
    checkout: Path,
) -> None:
    done, calls = _do(checkout, "scripts/run", "Count it", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "fake-python -m venv --clear ./.venv" in calls
    assert "-m pip install --disable-pip-version-check --constraint ./constraints.txt" in calls
    assert "--editable .\n" in calls
    assert calls.splitlines()[-1] == "tuneward Count it --json"
    started = time.perf_counter()
    done, calls = _do(checkout, "scripts/run", "Count it")
    assert time.perf_counter() - started < 5
    assert "pip" not in calls
    assert calls.splitlines()[-1] == "tuneward Count it"


def test_a_changed_requirement_installs_again(checkout: Path) -> None:
    _do(checkout, "scripts/run", "x")
    with (checkout / "constraints.txt").open("a") as file:
        file.write("typer==0.30\n")
    _, calls = _do(checkout, "scripts/run", "x")
    assert "pip install" in calls
    assert "-m venv" not in calls


def test_a_moved_checkout_gets_a_new_environment(checkout: Path) -> None:
    _do(checkout, "scripts/run", "x")
    moved = checkout.with_name("moved")
    checkout.rename(moved)
    _stand_in(moved)
    _, calls = _do(moved, "scripts/run", "x")
    assert "-m venv --clear" in calls


def test_a_failed_installation_is_exit_3_and_is_tried_again(checkout: Path) -> None:
    done, calls = _do(checkout, "scripts/run", "x", PIP_FAILS="1")
    assert done.returncode == 3
    assert "the installation failed" in done.stderr
    assert "tuneward x" not in calls
    done, calls = _do(checkout, "scripts/run", "x")
    assert done.returncode == 0
    assert "pip install" in calls


def test_without_a_fitting_python_it_says_which_one_is_needed(
    checkout: Path, tmp_path: Path
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "cat"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    done, _ = _do(checkout, "scripts/run", "x", PYTHON="", PATH=str(tools))
    assert done.returncode == 3
    assert "no Python 3.11 or newer found" in done.stderr


def test_test_installs_the_dev_extra_checks_and_tests(checkout: Path) -> None:
    done, calls = _do(checkout, "scripts/test")
    assert done.returncode == 0, done.stderr
    assert "--editable .[dev]" in calls
    tools = [line for line in calls.splitlines() if line.startswith(("ruff", "mypy", "lint"))]
    assert tools == ["ruff check", "ruff format --check", "mypy", "lint-imports"]
    assert calls.splitlines()[-1] == "python -P -m pytest"


def test_with_arguments_test_runs_only_what_they_select(checkout: Path) -> None:
    _, calls = _do(checkout, "scripts/test", "tests/agent", "-k", "settings")
    assert "mypy" not in calls
    assert calls.splitlines()[-1] == "python -P -m pytest tests/agent -k settings"


def test_what_the_tests_need_is_enough_for_the_command(checkout: Path) -> None:
    _do(checkout, "scripts/test")
    _, calls = _do(checkout, "scripts/run", "x")
    assert "pip" not in calls


def test_a_failed_check_fails_and_the_others_are_still_shown(checkout: Path) -> None:
    done, calls = _do(checkout, "scripts/check", FAIL="mypy")
    assert done.returncode == 1
    assert "lint-imports" in calls
    done, calls = _do(checkout, "scripts/test", FAIL="mypy")
    assert done.returncode == 1
    assert "pytest" not in calls


def test_stress_runs_one_long_list(checkout: Path) -> None:
    _, calls = _do(checkout, "scripts/stress", "paths", "-x")
    assert calls.splitlines()[-1] == "python -P -m pytest --stress paths -x"


def test_ci_runs_everything_and_lets_nothing_skip(checkout: Path) -> None:
    (checkout / "scripts/test").write_text('#!/usr/bin/env bash\necho "skip: $NOTHING_MAY_SKIP"\n')
    tools = checkout / "bin"
    tools.mkdir()
    (tools / "apt-get").write_text(f'#!/bin/sh\necho apt-get "$@" >> {str(checkout / "apt")!r}\n')
    for name in ("strace", "bwrap", "setpriv", "unshare", "tmux"):
        (tools / name).write_text("#!/bin/sh\n")
    for file in tools.iterdir():
        file.chmod(0o755)
    path = f"{tools}:/usr/bin:/bin"
    done, _ = _do(checkout, ".ci/run", PATH=path)
    assert (done.returncode, done.stdout) == (0, "skip: 1\n")
    assert not (checkout / "apt").exists()


@pytest.mark.parametrize("name", [*(f"scripts/{each}" for each in SCRIPTS), ".ci/run"])
def test_every_script_can_be_started_and_parses(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / name)], check=False).returncode == 0


def test_the_constraints_pin_every_declared_package() -> None:
    from importlib.metadata import requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.split("==")[0]) for line in lines}
    assert all(re.fullmatch(r"[\w.\-]+==[\w.!+\-]+", line) for line in lines)
    declared = [Requirement(text) for text in requires("tuneward") or ()]
    optional = {"bitsandbytes", "tensorboard", "wandb"}  # of the extras that CI does not install
    needed = {canonicalize_name(each.name) for each in declared} - {"tuneward", *optional}
    assert needed <= pinned
    assert "torch==2.13.0" in lines
