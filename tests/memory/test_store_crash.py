"""A memory whose process is killed, or whose disk fails, at any system call of any operation.

Every acknowledged change is there afterwards, an unacknowledged one wholly or not at all, and every
note is found by its own text. After a failed write the open memory still reads and takes no more.
"""

from pathlib import Path

import pytest

from tests.long_list import in_full
from tests.memory.traced_script import traced

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_800)]


@pytest.mark.stress("memory")
def test_a_kill_at_any_system_call_loses_nothing_acknowledged(tmp_path: Path) -> None:
    tried, of, all_points, _ = traced("traced_store.py", tmp_path, "kill", count=30).split()
    assert int(all_points) >= 300
    assert tried == all_points if in_full() else tried == "30"


@pytest.mark.stress("memory")
def test_a_failing_disk_or_a_full_one_is_a_typed_error_and_changes_nothing(tmp_path: Path) -> None:
    tried, of, all_points, _ = traced("traced_store.py", tmp_path, "fault", count=35).split()
    assert int(all_points) >= 300
    assert tried == all_points if in_full() else tried == "35"


@pytest.mark.stress("memory")
def test_a_kill_at_a_random_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    said = traced("traced_store.py", tmp_path, "random", count=12)
    assert said.startswith("300 of" if in_full() else "12 of")


def test_the_kills_would_break_a_store_that_just_writes_its_files(tmp_path: Path) -> None:
    assert int(traced("traced_naive.py", tmp_path, count=12).split()[0]) >= 1
