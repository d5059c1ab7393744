"""A run of `ingest` that is killed anywhere: no passage is lost or torn, the next run mends all."""

from pathlib import Path

import pytest

from tests.long_list import in_full
from tests.memory.traced_script import traced


@pytest.mark.system
@pytest.mark.timeout(1_800)
@pytest.mark.stress("memory")
def test_a_kill_at_any_system_call_is_mended_by_the_next_run(tmp_path: Path) -> None:
    tried, _, points, _ = traced("traced_ingest.py", tmp_path, count=12).split()
    assert int(points) >= 50
    assert tried == (points if in_full() else "12")
