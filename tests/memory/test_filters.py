"""What a metadata filter means; each is asked through a real memory."""

from collections.abc import Iterator
from typing import Any

import pytest

from memory.filters import query
from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings

LONG = "x" * 600
NOTES: dict[str, dict[str, Any]] = {
    "int": {"v": 1, "kind": "number"},
    "float": {"v": 1.5, "kind": "number"},
    "same": {"v": 1.0, "kind": "number"},
    "true": {"v": True},
    "false": {"v": False},
    "null": {"v": None},
    "none": {},
    "text": {"v": "1"},
    "later": {"v": "2"},
    "long": {"v": LONG},
    "big": {"v": 2**70},
    "less": {"v": -(2**70)},
    "list": {"v": [1]},
    "object": {"v": {"a": 1}},
}


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path_factory.mktemp("memory"), WordEmbeddings()) as memory:
        memory.add_texts([f"note {id}" for id in NOTES], list(NOTES.values()), ids=list(NOTES))
        yield memory


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"v": 1}, "int same"),
        ({"v": True}, "true"),
        ({"v": False}, "false"),
        ({"v": "1"}, "text"),
        ({"v": LONG}, "long"),
        ({"v": LONG + "y"}, ""),
        ({"v": 2**70}, "big"),
        ({"v": -(2**70)}, "less"),
        ({"v": None}, "null none"),
        ({"v": {"$ne": None}}, "int float same true false text later long big less list object"),
        (
            {"v": {"$ne": 1}},
            "float true false null none text later long big less list object",
        ),
        ({"v": {"$gt": 1}}, "float"),
        ({"v": {"$gte": 1}}, "int float same"),
        ({"v": {"$lt": 1.5}}, "int same"),
        ({"v": {"$gt": 1, "$lte": 1.5}}, "float"),
        ({"v": {"$gt": "1"}}, "later"),
        ({"v": {"$lt": "2"}}, "text"),
        ({"v": {"$in": [1.5, "1", True]}}, "float text true"),
        ({"v": {"$in": [None, 1.5]}}, "float null none"),
        ({"v": {"$in": []}}, ""),
        ({"v": {"$in": (n for n in [1])}}, None),
        ({"v": 1, "kind": "number"}, "int same"),
        ({"v": {"$ne": 1}, "kind": "number"}, "float"),
        ({"v": 1, "kind": "other"}, ""),
        ({"nobody": {"$ne": 1}}, " ".join(NOTES)),
        ({"v'; drop table notes; --": "' or 1=1"}, ""),
        ({}, " ".join(NOTES)),
        (None, " ".join(NOTES)),
    ],
)
def test_means(memory: FaissMemory, filter: Any, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="takes a list"):
            memory.count(filter)
        return
    wanted = set(expected.split())
    assert {document.id for document in memory.scan(filter)} == wanted
    assert {d.id for d in memory.similarity_search("note", k=50, filter=filter)} == wanted
    assert memory.count(filter) == len(wanted)


def test_no_value_becomes_sql() -> None:
    evil = "x' or '1'='1"
    asked = query({evil: evil, "a": {"$in": [evil]}, "b": {"$gte": evil, "$ne": evil}})
    assert asked is not None
    assert "'1'" not in asked.sql
    assert asked.values.count(evil) == 5
    assert asked.sql.count("?") == len(asked.values)
