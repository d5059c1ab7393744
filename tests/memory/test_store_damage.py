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
