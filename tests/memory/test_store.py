"""FaissMemory through its public door: what is kept and what is found."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document

from memory.errors import BadNote
from memory.store import FaissMemory
from tests.memory.found import ids_of
from tests.memory.words import WordEmbeddings

ROOT = Path(__file__).parents[2]


def test_notes_outlive_the_process_that_wrote_them(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["the invoice is due on Monday"], [{"kind": "note"}], ids=["invoice"])
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        assert memory.similarity_search("when is the invoice due", k=1) == [
            Document("the invoice is due on Monday", id="invoice", metadata={"kind": "note"})
        ]


def test_importing_it_loads_neither_torch_nor_faiss() -> None:
    code = "import sys, memory.store; print({'torch', 'faiss', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def test_adding_does_not_load_faiss(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        from pathlib import Path
        from memory.store import FaissMemory
        from tests.memory.words import WordEmbeddings
        with FaissMemory(Path({str(tmp_path)!r}), WordEmbeddings()) as memory:
            memory.add_texts(["one"])
        print("faiss" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr


def test_a_note_with_the_same_id_is_replaced(memory: FaissMemory) -> None:
    memory.add_texts(["red fox"], [{"v": 1}], ids=["a"])
    memory.add_texts(["blue whale", "green frog"], [{"v": 2}, {"v": 3}], ids=["a", "b"])
    assert memory.count() == 2
    assert memory.count({"v": 1}) == 0
    assert memory.similarity_search("blue whale", k=1)[0].metadata == {"v": 2}
    assert "red fox" not in [d.page_content for d in memory.similarity_search("red fox", k=5)]


def test_of_one_id_twice_in_a_call_the_last_counts(memory: FaissMemory) -> None:
    assert memory.add_texts(["first", "second"], ids=["a", "a"]) == ["a", "a"]
    assert [d.page_content for d in memory.scan()] == ["second"]


def test_some_ids_may_be_left_to_the_memory(memory: FaissMemory) -> None:
    made = memory.add_documents([Document("one", id="a"), Document("two")])
    assert made[0] == "a"
    assert [d.page_content for d in memory.get_by_ids(made)] == ["one", "two"]


def test_a_short_id_names_one_note(memory: FaissMemory) -> None:
    made = memory.add_texts([f"note {n}" for n in range(300)])  # made at once: they begin alike
    memory.add_texts(["x", "y"], ids=["a", "ab"])
    short = [memory.short_id(id) for id in made]
    assert len(set(short)) == len(made)
    assert all(memory.ids_beginning(each) == [id] for each, id in zip(short, made, strict=True))
    assert memory.ids_beginning("a") == [memory.short_id("a")] == ["a"]
    assert memory.ids_beginning(made[0][:8], limit=5) == sorted(made)[:5]
    assert memory.ids_beginning("nobody") == memory.ids_beginning("") == []


def test_vectors_may_be_given(memory: FaissMemory) -> None:
    vectors = np.eye(16)[:3] * 1e30  # of any length
    memory.add_vectors(["x", "y", "z"], vectors, [{"n": 0}, {"n": 1}, {"n": 2}], ["x", "y", "z"])
    found = memory.similarity_search_with_score_by_vector([0, 2, 1] + [0] * 13, k=3)
    assert [(d.id, round(score, 4)) for d, score in found] == [
        ("y", round(2 / math.sqrt(5), 4)),
        ("z", round(1 / math.sqrt(5), 4)),
        ("x", 0.0),
    ]


def test_a_filter_is_applied_before_the_search(memory: FaissMemory) -> None:
    memory.add_texts([f"red {n}" for n in range(200)], [{"kind": "common"}] * 200)
    memory.add_texts(["something else"], [{"kind": "rare"}], ids=["rare"])
    assert ids_of(memory.similarity_search("red 7", k=3, filter={"kind": "rare"})) == ["rare"]


def test_a_filter_is_asked_anew_after_a_change(memory: FaissMemory) -> None:
    memory.add_texts(["red", "blue"], [{"uses": 1}, {"uses": 2}], ids=["a", "b"])
    assert ids_of(memory.similarity_search("red", filter={"uses": 1})) == ["a"]
    memory.update_metadata({"b": {"uses": 1, "helped": 1}, "nobody": {}})
    assert set(ids_of(memory.similarity_search("red", filter={"uses": 1}))) == {"a", "b"}
    assert memory.get_by_ids(["b"])[0].metadata == {"uses": 1, "helped": 1}
    assert memory.verify() == []


def test_relevance_is_between_0_and_1(memory: FaissMemory) -> None:
    vectors = np.array([[1.0] + [0] * 15, [-1.0] + [0] * 15])
    memory.add_vectors(["same", "opposite"], vectors)
    relevance = memory._select_relevance_score_fn()
    hits = memory.similarity_search_with_score_by_vector([1] + [0] * 15, k=2)
    assert [(d.page_content, relevance(score)) for d, score in hits] == [
        ("same", 1.0),
        ("opposite", 0.0),
    ]
    found = memory.similarity_search_with_relevance_scores("anything", k=2, score_threshold=0.0)
    assert len(found) == 2


def test_mmr_prefers_what_is_unlike(memory: FaissMemory) -> None:
    vectors = np.zeros((3, 16))
    vectors[:, 0], vectors[1, 1], vectors[2, 2] = 1, 0.01, 1
    memory.add_vectors(["near", "its twin", "other"], vectors)
    query = [1.0] + [0.0] * 15
    plain = memory.similarity_search_by_vector(query, k=2)
    diverse = memory.max_marginal_relevance_search_by_vector(query, k=2, lambda_mult=0.3)
    assert [d.page_content for d in plain] == ["near", "its twin"]
    assert [d.page_content for d in diverse] == ["near", "other"]
    assert memory.max_marginal_relevance_search("near", k=2, filter={"x": 1}) == []


async def test_async_twins(memory: FaissMemory) -> None:
    await memory.aadd_texts(["red", "blue"], [{"n": 1}, {"n": 2}], ids=["a", "b"])
    assert ids_of(await memory.asimilarity_search("red", k=1, filter={"n": 2})) == ["b"]
    [(document, score)] = await memory.asimilarity_search_with_score("red", k=1)
    assert (document.id, round(score, 4)) == ("a", 1.0)
    assert len(await memory.amax_marginal_relevance_search("red", k=2)) == 2
    vector = WordEmbeddings().embed_query("blue")
    assert ids_of(await memory.asimilarity_search_by_vector(vector, k=1)) == ["b"]


def test_several_threads_may_use_it_at_once(memory: FaissMemory) -> None:
    def use(thread: int) -> int:
        found = 0
        for n in range(15):
            [id] = memory.add_texts([f"thread {thread} note {n}"], [{"thread": thread}])
            text = f"thread {thread} note {n}"
            hits = memory.similarity_search(text, k=1, filter={"thread": thread})
            found += hits[0].id == id
            if n % 3 == 0:
                memory.delete([id])
        return found

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(6))) == [15] * 6
    assert memory.count() == 60
    assert memory.verify() == []


def test_from_texts_makes_a_memory_in_a_folder(tmp_path: Path) -> None:
    with FaissMemory.from_texts(["one"], WordEmbeddings(), folder=tmp_path, ids=["a"]) as memory:
        assert ids_of(memory.similarity_search("one")) == ["a"]


def test_a_retriever_filters(memory: FaissMemory) -> None:
    memory.add_texts(["red", "blue"], [{"n": 1}, {"n": 2}], ids=["a", "b"])
    retriever = memory.as_retriever(search_kwargs={"k": 5, "filter": {"n": 2}})
    assert ids_of(retriever.invoke("red")) == ["b"]
    strict = memory.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.99}
    )
    assert ids_of(strict.invoke("red")) == ["a"]


def test_scan_reads_page_by_page_in_the_order_of_writing(memory: FaissMemory) -> None:
    texts = [f"note {n}" for n in range(1_201)]
    memory.add_texts(texts, [{"odd": n % 2} for n in range(1_201)])
    assert [d.page_content for d in memory.scan()] == texts
    assert len(list(memory.scan({"odd": 1}))) == 600


def test_delete_takes_ids_only(memory: FaissMemory) -> None:
    memory.add_texts(["one"], ids=["a"])
    for everything in (None, "a"):
        with pytest.raises(BadNote):
            memory.delete(everything)
    assert memory.delete([]) is True
    assert memory.delete(["nobody", "a\ud800"]) is True
    assert memory.count() == 1
