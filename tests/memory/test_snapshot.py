"""The index on disk is never believed: damaged, foreign or old files cost time, never an answer."""

import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import faiss
import numpy as np
import pytest

from memory import snapshot
from memory.store import FaissMemory
from tests.long_list import in_full
from tests.memory.words import WordEmbeddings

COUNT = 60
TEXTS = {f"n{n}": f"note {n} about topic {n % 7}" for n in range(COUNT)}


def opened(folder: Path) -> FaissMemory:
    return FaissMemory(folder, WordEmbeddings(8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A memory with a saved index of three shards."""
    with patch("memory.index.SHARD", 20), opened(tmp_path / "memory") as memory:
        memory.add_texts(list(TEXTS.values()), ids=list(TEXTS))
        memory.save_index()
    return tmp_path / "memory"


def index_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("index-*.faiss"))


def answers_are_right(memory: FaissMemory) -> bool:
    return all(
        memory.similarity_search(text, k=1)[0].page_content == text for text in TEXTS.values()
    )


def test_a_good_index_is_used_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(folder) as memory:
        asked: list[int] = []
        read = memory._notes.vectors_after

        def counted(fid: int, dimension: int) -> object:
            found = read(fid, dimension)
            asked.append(len(found[0]))
            return found

        monkeypatch.setattr(memory._notes, "vectors_after", counted)
        assert answers_are_right(memory)
        assert sum(asked) == 0  # not one vector came from the rows


@pytest.mark.stress("memory")
def test_flipped_bits_and_lost_ends_are_found_and_rebuilt(folder: Path, tmp_path: Path) -> None:
    generator = random.Random(3)
    contents = {path.name: path.read_bytes() for path in index_files(folder)}
    assert len(contents) == 3
    for case in range(1_000 if in_full() else 60):
        copy = tmp_path / f"case{case}"
        shutil.copytree(folder, copy)
        name, content = generator.choice(sorted(contents.items()))
        if case % 2:
            at, bit = generator.randrange(len(content)), generator.randrange(8)
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
        else:
            damaged = bytearray(content[: generator.randrange(len(content))])
        (copy / name).write_bytes(damaged)
        with opened(copy) as memory:
            problems = memory.verify()
            assert [problem.partition(":")[0] for problem in problems] == [name]
            assert "does not match its checksum" in problems[0]
            text = generator.choice(sorted(TEXTS.values()))
            [(found, score)] = memory.similarity_search_with_score(text, k=1)
            assert (found.page_content, round(score, 4)) == (text, 1.0)
            memory.save_index()
        with opened(copy) as memory:
            assert memory.verify() == []
            assert memory.stats().indexed == COUNT
        shutil.rmtree(copy)


def test_missing_index_files_are_computed_anew(folder: Path) -> None:
    for path in index_files(folder):
        path.unlink()
    with opened(folder) as memory:
        assert answers_are_right(memory)


def test_files_of_another_memory_are_not_used(folder: Path, tmp_path: Path) -> None:
    with patch("memory.index.SHARD", 20), opened(tmp_path / "other") as other:
        other.add_texts([f"other {n}" for n in range(COUNT)], ids=list(TEXTS))
        other.save_index()
    for theirs, ours in zip(index_files(tmp_path / "other"), index_files(folder), strict=True):
        shutil.copy(theirs, ours)
    with opened(folder) as memory:
        assert answers_are_right(memory)


def test_files_that_changed_places_are_not_used(folder: Path) -> None:
    first, second, _ = index_files(folder)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with opened(folder) as memory:
        assert answers_are_right(memory)


def test_notes_put_back_from_a_copy_do_not_use_a_newer_index(folder: Path) -> None:
    copy = (folder / "notes.sqlite").read_bytes()
    with opened(folder) as memory:
        memory.delete(list(TEXTS)[:30])
        memory.save_index()
    (folder / "notes.sqlite").write_bytes(copy)
    with opened(folder) as memory:
        assert memory.count() == COUNT
        assert answers_are_right(memory)


def wrong_index(folder: Path, change: str) -> None:
    """Put an index in place that is wrong though its checksum is right."""
    vectors = np.eye(8, dtype=np.float32)
    with opened(folder) as memory:
        state = memory._notes.state()
        manifest = snapshot.manifest_from(state.snapshot)
        assert manifest is not None
        fields = json.loads(manifest.dumps())
        path = folder / manifest.shards[0].file
        index: Any = faiss.deserialize_index(np.frombuffer(path.read_bytes(), np.uint8))
        fids = faiss.vector_to_array(index.id_map)
        rows = index.index.reconstruct_n(0, index.ntotal)
        made: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(8))
        if change == "permuted":
            made.add_with_ids(rows[::-1].copy(), fids)
        elif change == "one fewer":
            made.add_with_ids(rows[:-1], fids[:-1])
        elif change == "one more":
            made.add_with_ids(np.vstack([rows, vectors[:1]]), np.append(fids, fids[-1] + 1))
        elif change == "unsorted":
            made.add_with_ids(rows[::-1].copy(), fids[::-1].copy())
        elif change == "metric":
            made = faiss.IndexIDMap2(faiss.IndexFlatL2(8))
            made.add_with_ids(rows, fids)
        elif change == "dimension":
            made = faiss.IndexIDMap2(faiss.IndexFlatIP(4))
            made.add_with_ids(np.ascontiguousarray(rows[:, :4]), fids)
        elif change == "kind":
            made = faiss.IndexHNSWFlat(8, 4, faiss.METRIC_INNER_PRODUCT)
            made.add(rows)
        data = faiss.serialize_index(made).tobytes() if change != "garbage" else b"IxM2" * 50
        path.write_bytes(data)
        fields["shards"][0] |= {
            "bytes": len(data),
            "notes": made.ntotal,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        memory._notes.set(snapshot=json.dumps(fields))


@pytest.mark.parametrize(
    "change",
    ["permuted", "one fewer", "one more", "unsorted", "metric", "dimension", "kind", "garbage"],
)
def test_a_wrong_index_with_a_right_checksum_gives_no_wrong_answer(
    folder: Path, change: str
) -> None:
    wrong_index(folder, change)
    with opened(folder) as memory:
        for text in TEXTS.values():
            for found, score in memory.similarity_search_with_score(text, k=3):
                own = memory.embeddings.embed_documents([text, found.page_content])
                a, b = (np.array(vector) / np.linalg.norm(vector) for vector in own)
                assert abs(float(a @ b) - score) < 1e-4
        assert answers_are_right(memory)


def test_verify_finds_an_index_whose_vectors_were_exchanged(folder: Path) -> None:
    wrong_index(folder, "permuted")
    with opened(folder) as memory:
        assert any("differs from the index" in problem for problem in memory.verify())


def test_a_save_writes_only_the_shards_that_changed(folder: Path) -> None:
    before = {path.name: path.stat().st_ino for path in index_files(folder)}
    with patch("memory.index.SHARD", 20), opened(folder) as memory:
        memory.add_texts(["one more"])
        memory.save_index()
    after = {path.name: path.stat().st_ino for path in index_files(folder)}
    assert before.items() <= after.items()
    assert len(after) == 4


def test_two_that_save_one_state_in_other_shards_do_not_write_over_each_other(
    tmp_path: Path,
) -> None:
    with (
        patch("memory.index.SHARD", 20),
        opened(tmp_path) as old,
        opened(tmp_path) as new,
    ):
        old.add_texts(list(TEXTS.values()), ids=list(TEXTS))
        old.similarity_search("note")
        old.delete(["n1", "n2"])
        new.similarity_search("note")  # its shards have no holes
        old.save_index()
        new.save_index()
        old.add_texts(["one more"])
        old.save_index()
        assert old.verify() == []
        assert new.verify() == []


def test_old_files_are_swept(folder: Path) -> None:
    (folder / "index-0-0.faiss").write_bytes(b"left by a crash")
    with opened(folder) as memory:
        memory.delete(list(TEXTS))
        memory.save_index()
    assert index_files(folder) == []


def test_closing_saves_only_when_enough_changed(folder: Path) -> None:
    before = [path.name for path in index_files(folder)]
    with opened(folder) as memory:
        memory.add_texts(["a few more"])
        memory.similarity_search("more")
    assert [path.name for path in index_files(folder)] == before
    with patch("memory.index_cache.SAVE_AFTER", 1), opened(folder) as memory:
        memory.add_texts([f"more {n}" for n in range(10)])
        memory.similarity_search("more")
    assert [path.name for path in index_files(folder)] != before
