"""Bad input to FaissMemory: a typed error, and nothing of the call is kept; odd input is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from memory.errors import BadFilter, BadNote
from memory.store import FaissMemory
from tests.memory.found import ids_of
from tests.memory.words import WordEmbeddings

BAD_TEXTS: list[Any] = [
    "",
    " \n\t",
    "half \ud83d a character",
    7,
    None,
    b"bytes",
    "x" * (16 << 20) + "x",
]
BAD_METADATA: list[Any] = [
    {"x": float("nan")}, {"x": float("inf")}, {"x": {1, 2}}, {"x": b"b"}, {1: "x"}, {"x": (1, 2)},
    {"x": "\ud800"}, {"\udfff": 1}, {"x": object()}, [("x", 1)], {str(n): n for n in range(1_001)},
    {"x": 10 ** 5_000},
]  # fmt: skip
BAD_VECTORS: list[Any] = [
    [float("nan")] * 16, [float("inf")] + [0.0] * 15, [0.0] * 16, [1.0] * 15, [1.0] * 17, [],
    ["a"] * 16, [[1.0]] * 16, None, 10 ** 400,
]  # fmt: skip
BAD_IDS: list[Any] = ["", 7, "\ud800", "x" * 1_001, b"x"]


def deep() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(100_000):
        inner = {"x": inner}
    return inner


@pytest.mark.parametrize("text", BAD_TEXTS, ids=range(len(BAD_TEXTS)))
def test_bad_texts(memory: FaissMemory, text: Any) -> None:
    with pytest.raises(BadNote, match="text 1: "):
        memory.add_texts(["fine", text])
    assert memory.count() == 0


@pytest.mark.parametrize("metadata", [*BAD_METADATA, deep()], ids=range(len(BAD_METADATA) + 1))
def test_bad_metadata(memory: FaissMemory, metadata: Any) -> None:
    memory.add_texts(["there"], [{"n": 1}], ids=["a"])
    with pytest.raises(BadNote):
        memory.add_texts(["fine", "not"], [{}, metadata], ids=["a", "b"])
    with pytest.raises((BadNote, TypeError)):
        memory.update_metadata({"a": metadata})
    assert [(d.page_content, d.metadata) for d in memory.scan()] == [("there", {"n": 1})]


@pytest.mark.parametrize("vector", BAD_VECTORS, ids=range(len(BAD_VECTORS)))
def test_bad_vectors(memory: FaissMemory, vector: Any) -> None:
    memory.add_texts(["there"])
    with pytest.raises(BadNote, match="vector"):
        memory.add_vectors(["fine", "not"], [[1.0] * 16, vector])
    with pytest.raises(BadNote):
        memory.similarity_search_by_vector(vector)
    assert memory.count() == 1


@pytest.mark.parametrize("id", BAD_IDS, ids=range(len(BAD_IDS)))
def test_bad_ids(memory: FaissMemory, id: Any) -> None:
    with pytest.raises(BadNote, match="id"):
        memory.add_texts(["fine", "not"], ids=["a", id])
    assert memory.count() == 0


def test_lists_of_unequal_length(memory: FaissMemory) -> None:
    calls: list[Callable[[], object]] = [
        lambda: memory.add_texts(["a", "b"], [{}]),
        lambda: memory.add_texts(["a"], ids=["1", "2"]),
        lambda: memory.add_vectors(["a", "b"], [[1.0] * 16]),
    ]
    for bad in calls:
        with pytest.raises(BadNote, match="for [12] texts"):
            bad()
    assert memory.count() == 0


@pytest.mark.parametrize(
    "filter",
    [
        {f"k{n}": n for n in range(1_000_000)},
        {"k": {"$in": list(range(1_000_000))}},
        {"k": {"$where": "1"}},
        {"k": {}},
        {"k": {"$gt": None}},
        {"k": {"$in": "text"}},
        {"k": float("nan")},
        {"k": [1]},
        {"k": object()},
        {"\ud800": 1},
        {"k": "\ud800"},
        {1: 1},
        [("k", 1)],
        "k = 1",
    ],
    ids=range(14),
)
def test_bad_filters(memory: FaissMemory, filter: Any) -> None:
    memory.add_texts(["one"], [{"k": 1}])
    with pytest.raises(BadFilter):
        memory.similarity_search("one", filter=filter)
    with pytest.raises(BadFilter):
        memory.count(filter)
    with pytest.raises(BadFilter):
        list(memory.scan(filter))


ODD_TEXTS = [
    "a\0b", "\0", "x" * 1_000_000, "'; drop table notes; --", 'say "hi"', "%_", "\u202eabc",
    "é", "e\u0301", "🙂", "line\nbreak\r\n", "\ufeffbom", "\uffff", "{}",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_odd_texts_are_kept_as_they_are_everywhere(tmp_path: Path, text: str) -> None:
    id, data = text[:1_000], {text[:600]: text, "list": [text[:10], {"deep": None}]}
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([text, "other"], [data, {}], ids=[id, "other"])
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        expected = Document(text, id=id, metadata=data)
        assert memory.get_by_ids([id]) == [expected]
        assert memory.similarity_search(text, k=1) == [expected]
        assert memory.similarity_search(text, k=5, filter={text[:600]: text}) == [expected]
        memory.delete([id])
        assert ids_of(list(memory.scan())) == ["other"]
        assert memory.verify() == []
