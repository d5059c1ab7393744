"""A run of `ingest` that is killed anywhere: no passage is lost or torn, the next run mends all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.long_list import in_full

ROOT = Path(__file__).parents[2]


@pytest.mark.system
@pytest.mark.timeout(1_800)
@pytest.mark.stress("memory")
def test_a_kill_at_any_system_call_is_mended_by_the_next_run(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace on this machine")
    script = Path(__file__).parent / "traced_ingest.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "0" if in_full() else "12"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=1_700,
    )
    if "strace cannot attach" in done.stderr:
        pytest.skip(f"no tracing here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    tried, _, points, _ = done.stdout.split()
    assert int(points) >= 50
    assert tried == (points if in_full() else "12")
