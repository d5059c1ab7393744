"""`tuneward memory` as a person uses it; with the real embedder, marked, where vectors are made."""

import io
import json
import os
import signal
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from agent.cli import main
from agent.commands.memory import seconds_of
from agent.errors import UsageError
from agent.interrupt import SIGNALS
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
    """The command in this process: exit code, standard output and standard error."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    try:
        with (
            patch.dict(os.environ, TUNEWARD_HOME=str(home)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(["memory", *arguments])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for stream in (out, err):
        stream.seek(0)
    return code, out.read(), err.read()


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


def test_of_ids_that_begin_alike_none_is_forgotten(filled: Path) -> None:
    alike = ["18aaaaaaaaaaaaaa-1", "18aaaaaaaaaaaaaa-2"]
    with FaissMemory(filled / FOLDER, HashingEmbedder()) as memory:
        memory.add_texts(["one", "two", "three"], [{"kind": "note"}] * 3, ids=[*alike, "18"])
    code, _, err = tuneward(filled, "forget", alike[0][:12])
    assert code == 2
    assert all(id in err for id in alike)
    _, out, _ = tuneward(filled, "list")
    assert all(any(row.split()[0] == id for row in out.splitlines()) for id in alike)
    assert data(filled, "forget", "18", alike[0]) == {"forgotten": 2}
    assert data(filled, "forget", "b1") == {"forgotten": 1}  # a passage
    assert {note["text"] for note in data(filled, "list")} >= {"two"}


def test_a_source_is_shown_and_named_from_the_current_folder(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sources = [f"{tmp_path.resolve()}/docs/log.md", "/elsewhere/docs/log.md", "docs/log.md"]
    with FaissMemory(filled / FOLDER, HashingEmbedder()) as memory:
        facts = [{"kind": "chunk", "source": source, "position": "line 1"} for source in sources]
        memory.add_texts(sources, facts, ids=["c1", "c2", "c3"])
    _, out, _ = tuneward(filled, "list", "--kind", "chunk")
    assert [row.split()[2] for row in out.splitlines()[2:]] == [
        "docs/log.md",
        "/elsewhere/docs/log.md",
        ".../docs/log.md",
    ]
    assert data(filled, "forget", "--source", "docs/log.md") == {"forgotten": 1}
    left = [note["id"] for note in data(filled, "list", "--kind", "chunk")]
    assert left == ["b1", "c2", "c3"]
    assert data(filled, "forget", "--source", ".../docs/log.md") == {"forgotten": 1}
    assert [note["id"] for note in data(filled, "list", "--kind", "chunk")] == ["b1", "c2"]


def test_what_ingest_says_is_named_from_the_current_folder(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaissMemory(filled / FOLDER, HashingEmbedder()) as memory:
        facts = {"kind": "chunk", "source": "docs/old.md", "cutter": 1}
        memory.add_texts(["of an earlier version"], [facts])
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "new.txt").write_text("text")
    (tmp_path / "docs" / "empty.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agent.memory_door.embedder", lambda *_: HashingEmbedder())
    code, out, err = tuneward(filled, "ingest", "docs")
    assert (code, out.partition(",")[0]) == (0, "1 added")
    assert any(line.startswith("docs/empty.txt: ") for line in err.splitlines())
    assert "tuneward memory forget --source .../docs/old.md" in err
    assert data(filled, "ingest", "docs")["unchanged"] == [f"{tmp_path.resolve()}/docs/new.txt"]


def test_a_bad_import_is_a_mistake_in_the_file(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.memory_door.embedder", lambda *_: HashingEmbedder())
    file = tmp_path / "notes.jsonl"
    file.write_bytes(b'{"text": "caf\xe9"}\n')
    code, _, err = tuneward(filled, "import", str(file))
    assert (code, f"{file}:1: " in err) == (2, True)
    export = tmp_path / "export.jsonl"
    tuneward(filled, "export", str(export))
    assert data(filled, "import", str(export)) == {"imported": 1, "left": 2}
    assert data(filled, "import", "--own", str(export)) == {"imported": 3, "left": 0}


def test_a_damaged_note_can_be_forgotten(filled: Path) -> None:
    import sqlite3

    with sqlite3.connect(filled / FOLDER / "notes.sqlite") as db:
        db.execute("update notes set text = cast(x'ff' as text) where id = 'b1'")
    code, out, _ = tuneward(filled, "verify")
    assert (code, "note 'b1': its row is not what was written" in out) == (1, True)
    assert len(data(filled, "list")) == 2
    assert data(filled, "forget", "b1") == {"forgotten": 1}
    assert data(filled, "verify") == {"notes": 2, "wrong": []}


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
