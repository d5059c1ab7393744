"""Any order of operations, reopenings and crashes: the memory equals a plain dict.

Shards, pages and the saving of the index are made tiny, so that few notes meet all of it.
"""

import operator
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memory.store import FaissMemory
from tests.long_list import in_full
from tests.memory.words import WordEmbeddings

SHM = Path("/dev/shm")
RANGES = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
Content = dict[str, tuple[str, dict[str, Any]]]

ids = st.sampled_from([f"id{n}" for n in range(12)] + ["'; drop table notes; --", "é\0ü"])
words = st.sampled_from(["red", "blue", "green", "one", "two", "three", "four"])
texts = st.lists(words, min_size=1).map(" ".join)
values = st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.sampled_from(["a", "b", 0.5]))
metadatas = st.dictionaries(st.sampled_from(["kind", "n", "x"]), values)
notes = st.dictionaries(ids, st.tuples(texts, metadatas), min_size=1, max_size=5)
conditions = st.one_of(
    values,
    st.builds(lambda value: {"$ne": value}, values),
    st.builds(lambda listed: {"$in": listed}, st.lists(values, max_size=3)),
    st.dictionaries(
        st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.integers(-2, 3), min_size=1, max_size=1
    ),
)
filters = st.one_of(
    st.none(), st.dictionaries(st.sampled_from(["kind", "n", "x"]), conditions, max_size=2)
)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def holds(condition: Any, value: Any) -> bool:
    """What a filter means, in Python; a missing value is None."""
    if not isinstance(condition, dict):
        return same(condition, value)
    [(name, operand)] = condition.items()
    if name == "$in":
        return any(same(one, value) for one in operand)
    if name == "$ne":
        return not same(operand, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(RANGES[name](value, operand))


def passes(filter: dict[str, Any] | None, metadata: dict[str, Any]) -> bool:
    return all(holds(condition, metadata.get(key)) for key, condition in (filter or {}).items())


class MemoryMachine(RuleBasedStateMachine):
    """The memory on the left, a dict on the right."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=SHM if SHM.is_dir() else None))
        self.embedding = WordEmbeddings(6)
        self.model: Content = {}

    @initialize()
    def open(self) -> None:
        self.memory = FaissMemory(self.folder, self.embedding)

    @rule(new=notes)
    def upsert(self, new: Content) -> None:
        given = self.memory.add_texts(
            [text for text, _ in new.values()], [data for _, data in new.values()], ids=list(new)
        )
        assert given == list(new)
        self.model.update(new)

    @rule(text=texts, data=metadatas)
    def add(self, text: str, data: dict[str, Any]) -> None:
        [id] = self.memory.add_texts([text], [data])
        assert id not in self.model
        self.model[id] = (text, data)

    @rule(gone=st.lists(ids, max_size=4))
    def delete(self, gone: list[str]) -> None:
        self.memory.delete(gone)
        for id in gone:
            self.model.pop(id, None)

    @rule(changes=st.dictionaries(ids, metadatas, max_size=3))
    def change_metadata(self, changes: dict[str, dict[str, Any]]) -> None:
        there = [id for id in changes if id in self.model]
        assert self.memory.update_metadata(changes) == len(there)
        for id in there:
            text, data = self.model[id]
            self.model[id] = (text, {**data, **changes[id]})

    @rule(query=texts, k=st.integers(1, 20), filter=filters)
    def search(self, query: str, k: int, filter: dict[str, Any] | None) -> None:
        allowed = {id: note for id, note in self.model.items() if passes(filter, note[1])}
        assert self.memory.count(filter) == len(allowed)
        found = self.memory.similarity_search_with_score(query, k, filter=filter)
        expected = sorted((self.cosine(query, text) for text, _ in allowed.values()), reverse=True)
        assert np.allclose([score for _, score in found], expected[:k], atol=1e-5)
        for document, score in found:
            assert document.id is not None
            assert allowed[document.id] == (document.page_content, document.metadata)
            assert abs(self.cosine(query, document.page_content) - score) < 1e-5

    def cosine(self, left: str, right: str) -> float:
        a, b = (np.array(self.embedding.embed_query(text)) for text in (left, right))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    @rule()
    def save_index(self) -> None:
        self.memory.save_index()

    @rule()
    def compact(self) -> None:
        self.memory.compact()

    @rule()
    def reopen(self) -> None:
        self.memory.close()
        self.open()

    @rule()
    def die(self) -> None:
        """The process ends without closing anything."""
        self.memory._notes.close()
        self.open()

    @rule(new=notes, gone=st.lists(ids, max_size=3), step=st.integers(1, 400))
    def die_while_writing(self, new: Content, gone: list[str], step: int) -> None:
        self.memory._notes.close()
        after_add = {**self.model, **new}
        after = {id: note for id, note in after_add.items() if id not in gone}
        pid = os.fork()
        if pid == 0:
            try:
                self.die_at(step, new, gone)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        self.open()
        now = self.content()
        assert now in (self.model, after_add, after)
        self.model = now

    def die_at(self, step: int, new: Content, gone: list[str]) -> None:
        left = step
        memory = FaissMemory(self.folder, self.embedding)

        def count_down() -> int:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0

        memory._notes.database.connection.set_progress_handler(count_down, 2)
        memory.add_texts(
            [text for text, _ in new.values()], [data for _, data in new.values()], ids=list(new)
        )
        memory.delete(gone)

    def content(self) -> Content:
        return {str(d.id): (d.page_content, d.metadata) for d in self.memory.scan()}

    @invariant()
    def equals_the_dict(self) -> None:
        if hasattr(self, "memory"):
            assert self.content() == self.model
            assert self.memory.count() == len(self.model)

    @rule()
    def verify(self) -> None:
        assert self.memory.verify() == []

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def small() -> Iterator[None]:
    with (
        patch("memory.index.SHARD", 5),
        patch("memory.note_rows.PAGE", 4),
        patch("memory.index_cache.PAGE", 4),
        patch("memory.index_cache.SAVE_AFTER", 3),
    ):
        yield


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(
    max_examples=400 if in_full() else 25,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
for mark in (pytest.mark.stress("memory"), pytest.mark.usefixtures("small")):
    TestMemoryMachine = mark(TestMemoryMachine)
