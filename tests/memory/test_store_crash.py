"""A memory whose process is killed, or whose disk fails, at any system call of any operation.

Every acknowledged change is there afterwards, an unacknowledged one wholly or not at all, and every
note is found by its own text. After a failed write the open memory still reads and takes no more.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.long_list import in_full

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.system, pytest.mark.timeout(1_800)]


def traced(folder: Path, how: str, count: int) -> str:
    """What `traced.py` says; `count` points where the whole list is not wanted."""
    if shutil.which("strace") is None:
        pytest.skip("no strace on this machine")
    script = Path(__file__).parent / "traced.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), how, "0" if in_full() else str(count)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=1_700,
    )
    if "strace cannot attach" in done.stderr:
        pytest.skip(f"no tracing here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return done.stdout


@pytest.mark.stress("memory")
def test_a_kill_at_any_system_call_loses_nothing_acknowledged(tmp_path: Path) -> None:
    tried, of, all_points, _ = traced(tmp_path, "kill", 30).split()
    assert int(all_points) >= 300
    assert tried == all_points if in_full() else tried == "30"


@pytest.mark.stress("memory")
def test_a_failing_disk_or_a_full_one_is_a_typed_error_and_changes_nothing(tmp_path: Path) -> None:
    tried, of, all_points, _ = traced(tmp_path, "fault", 35).split()
    assert int(all_points) >= 300
    assert tried == all_points if in_full() else tried == "35"


@pytest.mark.stress("memory")
def test_a_kill_at_a_random_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    assert traced(tmp_path, "random", 12).startswith("300 of" if in_full() else "12 of")


def test_the_kills_would_break_a_store_that_just_writes_its_files(tmp_path: Path) -> None:
    assert int(traced(tmp_path, "naive", 12).split()[0]) >= 1
