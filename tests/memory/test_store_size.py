"""The size of a FaissMemory: what was removed gives its room back."""

from pathlib import Path

import pytest

from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings


def test_compacting_gives_room_back(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        ids = memory.add_texts([f"note-{n}-" * 50 for n in range(2_000)])
        memory.similarity_search("note")
        memory.delete(ids[100:])
        before = memory.stats()
        memory.compact()
        after = memory.stats()
        assert before.removed == 1_900
        assert after.removed == 0
        assert after.notes_bytes * 10 < before.notes_bytes
        assert after.indexed == after.notes == 100
        assert memory.similarity_search("note-7-" * 50, k=1)[0].page_content == "note-7-" * 50


def test_what_was_removed_long_ago_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.notes.REMEMBERED", 5)
    with (
        FaissMemory(tmp_path, WordEmbeddings()) as memory,
        FaissMemory(tmp_path, WordEmbeddings()) as late,
    ):
        memory.add_texts(["there from the start", "changing"], ids=["a", "b"])
        assert len(late.similarity_search("changing")) == 2
        for n in range(20):
            memory.add_texts([f"changing {n}"], ids=["b"])
        assert memory.stats().removed == 5
        found = [d.page_content for d in late.similarity_search("changing", k=5)]
        assert sorted(found) == ["changing 19", "there from the start"]
        assert late.verify() == []


def test_years_of_upserts_do_not_grow_the_files(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        sizes = []
        for round in range(6):
            for n in range(20):
                memory.add_texts(
                    [f"note {n} round {round}"] * 10, ids=[f"{n}-{i}" for i in range(10)]
                )
            memory.compact()
            sizes.append(memory.stats().notes_bytes + memory.stats().index_bytes)
        assert max(sizes[1:]) <= sizes[0] * 1.2
