"""What the journal has committed is there, whole and in order, whoever opens it next."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.journal import Journal, read_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_events_come_back_in_order_with_what_only_resume_needs(path: Path) -> None:
    with Journal(path, "r") as journal:
        journal.add("run_started", {"goal": "日本 \ud800"}, {"secret": [1, 2]})
        journal.commit()
        journal.add("replied", {"n": 1})
        journal.add("run_finished", {"n": 2})
        journal.commit()
    first, *rest = read_journal(path, "r")
    assert first.data == {"goal": "日本 ?"}
    assert first.private == {"secret": [1, 2]}
    assert [(e.seq, e.type) for e in rest] == [(2, "replied"), (3, "run_finished")]
    assert "secret" not in first.to_json()


def test_what_was_not_committed_is_not_there(path: Path) -> None:
    with Journal(path, "r") as journal:
        journal.add("run_started", {})
    assert read_journal(path, "r") == []


def test_numbers_go_on_where_the_last_process_stopped(path: Path) -> None:
    for expected in (1, 2):
        with Journal(path, "r") as journal:
            assert journal.add("replied", {}).seq == expected
            journal.commit()


def test_a_second_process_cannot_work_on_the_same_run(path: Path) -> None:
    with Journal(path, "r"), pytest.raises(SettingsError, match="another process"):
        Journal(path, "r")
    Journal(path, "r").close()


def test_a_reader_does_not_need_the_lock(path: Path) -> None:
    with Journal(path, "r") as journal:
        journal.add("run_started", {})
        journal.commit()
        assert len(read_journal(path, "r")) == 1


def test_a_journal_of_a_later_version_is_refused(path: Path) -> None:
    Journal(path, "r").close()
    db = sqlite3.connect(path)
    db.execute("pragma user_version=99")
    db.close()
    with pytest.raises(SettingsError, match="version 99"):
        Journal(path, "r")


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"x" * 4096])
def test_a_file_that_is_no_journal_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="not a journal"):
        Journal(path, "r")
    with pytest.raises(SettingsError, match="not a journal|cannot be read"):
        read_journal(path, "r")


def test_not_a_number_is_refused_and_nothing_is_kept(path: Path) -> None:
    with Journal(path, "r") as journal:
        journal.add("replied", {"score": float("nan")})
        with pytest.raises(ValueError, match="JSON"):
            journal.commit()
    assert read_journal(path, "r") == []


FULL = """
import sys
from pathlib import Path
from agent.errors import LimitReached
from agent.journal import Journal, read_journal
path = Path(sys.argv[1]) / "journal.db"
with Journal(path, "r") as journal:
    journal.add("run_started", {"goal": "first"})
    journal.commit()
    journal.add("replied", {"text": "x" * 200_000})
    try:
        journal.commit()
    except LimitReached as limit:
        print(limit.status)
print([event.data for event in read_journal(path, "r")])
"""


@pytest.mark.system
def test_a_full_disk_ends_as_disk_full_and_keeps_what_was_committed(tmp_path: Path) -> None:
    command = f'mount -t tmpfs -o size=96k none {tmp_path} && exec "$0" -c "$1" {tmp_path}'
    found = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, sys.executable, FULL],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.stdout.splitlines() == ["disk_full", "[{'goal': 'first'}]"], found.stderr


KILLED = """
import sys
from pathlib import Path
from agent.journal import Journal
journal = Journal(Path(sys.argv[1]), "r")
number = 0
while True:
    number += 1
    journal.add("replied", {"number": number})
    journal.commit()
    print(number, flush=True)
"""


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(path: Path) -> None:
    for _ in range(5):
        path.unlink(missing_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            seen = [int(child.stdout.readline()) for _ in range(7)]
            os.kill(child.pid, signal.SIGKILL)
            seen += [int(line) for line in child.stdout.read().splitlines()]
        numbers = [e.data["number"] for e in read_journal(path, "r")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= seen[-1]
