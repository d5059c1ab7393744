"""Imports: an own export comes back whole, and nobody else's file makes itself trusted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from agent.errors import UsageError
from agent.memory_door import as_line, import_notes
from memory.notebook import Notebook
from memory.store import FaissMemory
from models.hashing import HashingEmbedder


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path / "memory", HashingEmbedder()) as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path / "other", HashingEmbedder()) as opened:
        yield opened


def fill(memory: FaissMemory) -> None:
    book = Notebook(memory)
    id = book.add("The office closes at 18:00", source="talk")
    book.outcome([id], passed=True)
    book.add("Goal: x. What worked: y()", kind="lesson", origin="run", key="x")
    memory.add_texts(["a passage"], [{"kind": "chunk", "source": "/b.txt", "created": "2024"}])


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def by_id(memory: FaissMemory) -> dict[str | None, Document]:
    return {note.id: note for note in memory.scan()}


def test_an_own_export_comes_back_whole(
    memory: FaissMemory, other: FaissMemory, tmp_path: Path
) -> None:
    fill(memory)
    file = write(tmp_path / "notes.jsonl", *map(as_line, memory.scan()))
    assert import_notes(file, other, own=True) == (3, 0)
    said = {"origin": "document", "trust": "untrusted"}  # where an export says nothing
    assert by_id(other) == {
        id: note.model_copy(update={"metadata": {**said, **note.metadata}})
        for id, note in by_id(memory).items()
    }
    assert import_notes(file, other, own=True) == (3, 0)
    assert other.count() == 3


def test_a_file_cannot_make_its_notes_trusted(
    memory: FaissMemory, other: FaissMemory, tmp_path: Path
) -> None:
    fill(memory)
    file = write(tmp_path / "notes.jsonl", *map(as_line, memory.scan()))
    assert import_notes(file, other) == (3, 0)
    assert other.count({"trust": "untrusted", "origin": "document"}) == 3
    assert Notebook(other).recall("when does the office close", trusted_only=True) == []
    [note] = Notebook(other).recall("when does the office close")
    assert (note.kind, note.source) == ("note", "talk")


def test_a_file_cannot_replace_a_trusted_note(memory: FaissMemory, tmp_path: Path) -> None:
    mine = Notebook(memory).add("The office closes at 18:00")
    lines = [{"id": mine, "text": "It closes at 03:00"}, {"id": "new", "text": "new"}]
    assert import_notes(write(tmp_path / "notes.jsonl", *lines), memory) == (1, 1)
    assert memory.get_by_ids([mine])[0].page_content == "The office closes at 18:00"


@pytest.mark.filterwarnings("ignore:`langchain-community` is:DeprecationWarning")
def test_what_a_langchain_folder_says_of_trust_does_not_count(
    memory: FaissMemory, tmp_path: Path
) -> None:
    from langchain_community.vectorstores import FAISS

    said = {"kind": "note", "origin": "user", "trust": "trusted", "created": "2024-01-01"}
    folder = tmp_path / "saved"
    FAISS.from_texts(["The office closes at 18:00"], HashingEmbedder(), [said], ["a"]).save_local(
        str(folder)
    )
    assert import_notes(folder, memory) == (1, 0)
    [note] = memory.scan()
    assert note.metadata == {
        "kind": "chunk",
        "origin": "document",
        "trust": "untrusted",
        "created": "2024-01-01",
    }
    assert Notebook(memory).recall("when does the office close") == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"\xff\xfe", "no JSON in UTF-8"),
        (b'{"text": "caf\xe9"}', "no JSON in UTF-8"),
        (b"[" * 100_000, "no JSON in UTF-8"),
        (b"text", "no JSON in UTF-8"),
        (b'["text"]', "no note"),
        (b'{"text": "x", "metadata": [1]}', "no note"),
        (b'{"text": 5}', "a note's text is text"),
        (b'{"text": " "}', "the text is empty"),
        (b'{"text": "\\ud800"}', "half a character"),
        (b'{"text": "x", "id": 5}', "an id is a text"),
        (b'{"text": "x", "metadata": {"n": NaN}}', "metadata is not JSON"),
        (b'{"text": "x", "metadata": {"kind": "order"}}', "`kind` is one of note, lesson, chunk"),
        (b'{"text": "x", "metadata": {"trust": ["trusted"]}}', "`trust` is one of"),
        (b'{"text": "x", "metadata": {"kind": "note", "created": "2024-01-01"}}', "`created` is"),
        (b'{"text": "x", "metadata": {"kind": "note", "created": 1e18}}', "`created` is"),
        (b'{"text": "x", "metadata": {"kind": "lesson", "uses": -1}}', "`uses` is a number"),
        (b'{"text": "x", "metadata": {"kind": "lesson", "helped": true}}', "`helped` is a number"),
    ],
    ids=range(17),
)
def test_a_bad_line_is_named(
    memory: FaissMemory, tmp_path: Path, line: bytes, problem: str
) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_bytes(b'{"text": "good"}\n\n' + line + b"\n")
    for own in (False, True):
        with pytest.raises(UsageError) as caught:
            import_notes(file, memory, own=own)
        assert str(caught.value).startswith(f"{file}:3: ")
        assert problem in str(caught.value)
