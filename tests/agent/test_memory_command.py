"""`tuneward memory` as a person uses it; with the real embedder, marked, where vectors are made."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.commands.memory import seconds_of
from agent.errors import UsageError
from agent.run_notes import FOLDER
from memory.notebook import Notebook
from memory.store import FaissMemory
from models.hashing import HashingEmbedder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def filled(home: Path) -> Path:
    with FaissMemory(home / FOLDER, HashingEmbedder()) as memory:
        book = Notebook(memory)
        book.add("The office closes at 18:00")
        book.add("Goal: x. What worked: y()", kind="lesson", origin="run", key="x")
        memory.add_texts(["red\x1b[31m"], [{"kind": "chunk", "source": "b.txt"}], ids=["b1"])
    return home


def tuneward(home: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "memory", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"TUNEWARD_HOME": str(home), "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[2],
    )
    return done.returncode, done.stdout, done.stderr


def data(home: Path, *arguments: str) -> Any:
    code, out, err = tuneward(home, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_what_is_kept_is_listed_without_loading_a_model(filled: Path) -> None:
    code, out, _ = tuneward(filled, "list")
    assert code == 0
    assert "The office closes at 18:00" in out
    assert "\x1b" not in out
    assert [note["metadata"]["kind"] for note in data(filled, "list")] == [
        "note",
        "lesson",
        "chunk",
    ]
    assert len(data(filled, "list", "--kind", "lesson")) == 1
    assert len(data(filled, "list", "--source", "b.txt")) == 1
    _, out, err = tuneward(filled, "list", "--limit", "1")
    assert "2 more" in err


def test_notes_are_forgotten_by_source_and_by_id(filled: Path) -> None:
    assert data(filled, "forget", "--source", "b.txt") == {"forgotten": 1}
    id = data(filled, "list", "--kind", "note")[0]["id"]
    assert data(filled, "forget", id) == {"forgotten": 1}
    code, _, err = tuneward(filled, "forget", "nope")
    assert code == 2
    assert "no note has an id that begins with 'nope'" in err
    code, _, err = tuneward(filled, "forget")
    assert (code, "--older-than" in err) == (2, True)
    assert data(filled, "forget", "--older-than", "1d") == {"forgotten": 0}


def test_an_export_holds_every_note(filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "out" / "notes.jsonl"
    assert data(filled, "export", str(file))["exported"] == 3
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["text"] for line in lines} >= {"The office closes at 18:00"}
    code, out, _ = tuneward(filled, "export")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == lines


def test_stats_and_verify_say_that_all_is_well(filled: Path) -> None:
    assert data(filled, "stats")["kinds"] == {"note": 1, "lesson": 1, "chunk": 1}
    assert data(filled, "verify") == {"notes": 3, "wrong": []}


def test_a_row_that_was_changed_behind_our_back_is_found(filled: Path) -> None:
    import sqlite3

    [database] = (filled / FOLDER).glob("*.sqlite")
    with sqlite3.connect(database) as db:
        db.execute("update notes set text = 'The office closes at 03:00' where text like '%18:00'")
    code, out, _ = tuneward(filled, "verify")
    assert code == 1
    assert "its row is not what was written" in out


def test_without_a_memory_it_is_said_how_to_begin_one(home: Path) -> None:
    for command in ("list", "stats", "verify", "export"):
        code, _, err = tuneward(home, command)
        assert code == 2
        assert "tuneward memory add" in err


@pytest.mark.parametrize(
    ("age", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)]
)
def test_ages_are_read(age: str, seconds: float) -> None:
    assert seconds_of(age) == seconds


@pytest.mark.parametrize("age", ["", "d", "30", "3x", "1.5h", "soon"])
def test_other_words_are_no_ages(age: str) -> None:
    with pytest.raises(UsageError, match="is no age"):
        seconds_of(age)
