"""Starts a script of this folder whose work strace kills or makes to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.long_list import in_full

ROOT = Path(__file__).parents[2]


def traced(script: str, folder: Path, *how: str, count: int) -> str:
    """What the script prints; a failure is the test's, and where nothing can be traced it skips.

    Args:
        script: a file beside this one, started with `folder`, `how` and the number of points.
        count: points to try where the whole list is not wanted.
    """
    if shutil.which("strace") is None:
        pytest.skip("no strace on this machine")
    points = "0" if in_full() else str(count)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / script), str(folder), *how, points],
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
