"""Damaged rows of a FaissMemory: left out of what is found, and named."""

import logging
from pathlib import Path

import pytest

from memory.store import FaissMemory
from tests.memory.found import ids_of
from tests.memory.words import WordEmbeddings


def test_a_damaged_row_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(4)], ids=list("abcd"))
        with memory._notes.writing() as db:
            db.execute("update notes set text = 'note 9' where id = 'b'")
        with caplog.at_level(logging.WARNING):
            assert set(ids_of(memory.similarity_search("note 1", k=3))) == set("acd")
        assert "'b' is damaged" in caplog.text
        assert memory.get_by_ids(["b"]) == []
        assert memory.verify() == ["note 'b': its row is not what was written"]


@pytest.mark.parametrize(
    "change",
    [
        "text = cast(x'6f6e65ff' as text)",
        "metadata = cast(x'7bff7d' as text)",
        "metadata = '{'",
        "metadata = '{\"other\": 1}'",
        "id = cast(x'62ff' as text)",
        "vector = x'00'",
    ],
)
def test_a_damaged_row_stops_nobody_and_can_be_deleted_or_replaced(
    tmp_path: Path, change: str
) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["one", "two", "three"], [{"n": 1}] * 3, ids=["a", "b", "c"])
        with memory._notes.writing() as db:
            db.execute(f"update notes set {change} where id = 'b'")
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        [problem] = memory.verify()
        assert "its row is not what was written" in problem
        assert [note.id for note in memory.scan()] == ["a", "c"]
        assert set(ids_of(memory.similarity_search("two", k=3, filter={"n": 1}))) == {"a", "c"}
        [id] = memory.ids_beginning("b")
        if id == "b":
            memory.add_texts(["two again"], ids=["b"])
            assert memory.verify() == []
        memory.delete([id])
        assert memory.verify() == []
        assert memory.count() == 2


def test_a_damaged_row_is_never_signed_anew(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["one", "two", "three"], ids=["a", "b", "c"])
        with memory._notes.writing() as db:
            db.execute("update notes set text = 'forged' where id = 'b'")
        assert memory.update_metadata({"a": {"n": 1}, "b": {"n": 1}}) == 1
        assert memory.verify() == ["note 'b': its row is not what was written"]
        assert memory.reembed(WordEmbeddings(8, "2")) == 2
        assert memory.verify() == ["note 'b': its row is not what was written"]
        assert set(ids_of(memory.similarity_search("forged", k=3))) == {"a", "c"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("update notes set vector = x'00' where id = 'b'", "its row is not what was written"),
        ("update notes set metadata = '{' where id = 'b'", "its row is not what was written"),
        ("delete from note_keys where fid = 2", "filters do not find its 'n'"),
        ("insert into note_keys values ('n', 9, 99)", "1 filter entries belong to no note"),
    ],
)
def test_verify_finds_every_kind_of_damage(tmp_path: Path, change: str, problem: str) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["one", "two", "three"], [{"n": 1}] * 3, ids=["a", "b", "c"])
        assert memory.verify() == []
        with memory._notes.writing() as db:
            db.execute(change)
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        assert any(problem in found for found in memory.verify())
        assert set(ids_of(memory.similarity_search("one", k=3))) >= {"a", "c"}
