"""Tests of tests/conftest.py and tests/long_list.py: the rules that every other test stands on."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import long_list

ROOT = Path(__file__).resolve().parents[2]


def _pytest(
    folder: Path, code: str, *words: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    file = folder / "test_inner.py"
    file.write_text(code)
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "tests.conftest"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), str(file), *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NOTHING_MAY_SKIP": "", **environ},
    )


def test_a_test_has_a_home_of_its_own(home: Path) -> None:
    assert Path(os.environ["TUNEWARD_HOME"]) == home
    assert list(home.iterdir()) == []
    assert [name for name in os.environ if name.startswith("TUNEWARD_")] == ["TUNEWARD_HOME"]


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org"])
def test_a_test_has_no_network(host: str) -> None:
    with socket.socket() as connection, pytest.raises(OSError, match="tests have no network"):
        connection.connect((host, 80))


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


SKIPPED = """
import pytest

@pytest.mark.system
def test_system():
    pytest.skip("no tool")

@pytest.mark.weights
def test_weights():
    pytest.skip("no model")

def test_other():
    pytest.skip("not here")
"""


def test_in_ci_a_skipped_system_or_weights_test_has_failed(tmp_path: Path) -> None:
    assert "3 skipped" in _pytest(tmp_path, SKIPPED).stdout
    done = _pytest(tmp_path, SKIPPED, NOTHING_MAY_SKIP="1")
    assert done.returncode == 1
    assert "2 failed, 1 skipped" in done.stdout
    assert "skipped where nothing may skip" in done.stdout


LONG = """
import pytest
from tests.long_list import in_full, sample

@pytest.mark.stress("numbers")
@pytest.mark.parametrize("number", sample(range(60), 5))
def test_number(number):
    pass

@pytest.mark.stress("letters")
def test_letters():
    assert in_full()

def test_other():
    pass
"""


def test_ci_runs_a_sample_of_a_long_list(tmp_path: Path) -> None:
    assert (
        "6 passed"
        in _pytest(tmp_path, LONG, "--deselect", "test_letters", "-k", "not letters").stdout
    )


def test_stress_runs_one_list_in_full_and_nothing_else(tmp_path: Path) -> None:
    assert "60 passed, 2 deselected" in _pytest(tmp_path, LONG, "--stress", "numbers").stdout
    assert "1 passed, 61 deselected" in _pytest(tmp_path, LONG, "--stress", "letters").stdout


def test_an_unknown_long_list_is_an_error_that_names_the_known(tmp_path: Path) -> None:
    done = _pytest(tmp_path, LONG, "--stress", "nosuch")
    assert done.returncode == 4
    assert "there are: letters, numbers" in done.stderr + done.stdout


def test_a_sample_is_spread_and_always_the_same() -> None:
    if long_list.in_full():
        pytest.skip("samples are whole lists here")
    assert long_list.sample(range(100), 4) == [0, 25, 50, 75]
    assert long_list.sample(range(3), 4) == [0, 1, 2]
