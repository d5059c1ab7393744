"""A small memory for the tests of what it keeps and finds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path / "memory", WordEmbeddings()) as memory:
        yield memory
