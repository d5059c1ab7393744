"""A FaissMemory and its embedder: another one is noticed, and notes can be embedded anew."""

from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from memory.errors import EmbedderChanged
from memory.store import FaissMemory
from tests.memory.found import ids_of
from tests.memory.words import WordEmbeddings


def test_another_embedder_is_noticed_and_the_way_out_works(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(700)], ids=[str(n) for n in range(700)])
        memory.save_index()
    with pytest.raises(EmbedderChanged, match="tuneward memory verify --reembed"):
        FaissMemory(tmp_path, WordEmbeddings(8, "2"))
    with FaissMemory.with_new_embedder(tmp_path, WordEmbeddings(8, "2")) as memory:
        assert ids_of(memory.similarity_search("note 456", k=1)) == ["456"]
        assert memory.verify() == []
    with pytest.raises(EmbedderChanged):
        FaissMemory(tmp_path, WordEmbeddings())


def test_a_failing_embedder_leaves_the_old_vectors_and_a_second_try_goes_on(tmp_path: Path) -> None:
    class Failing(WordEmbeddings):
        seen = 0
        limit = 600

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.seen += len(texts)
            if self.seen > self.limit:
                raise RuntimeError("gone")
            return super().embed_documents(texts)

    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(700)])
        with pytest.raises(RuntimeError, match="gone"):
            memory.reembed(Failing(16, "2"))
        assert memory.similarity_search("note 456", k=1)[0].page_content == "note 456"
        assert memory.verify() == []
        second = Failing(16, "2")
        assert memory.reembed(second) == 700
        assert second.seen < 300  # 512 were done before
        assert memory.verify() == []


def test_an_open_memory_notices_that_others_re_embedded(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["one"])
        FaissMemory.with_new_embedder(tmp_path, WordEmbeddings(16, "2")).close()
        with pytest.raises(EmbedderChanged):
            memory.similarity_search("one")
        with pytest.raises(EmbedderChanged):
            memory.add_texts(["two"])


def test_an_empty_memory_takes_any_embedder(tmp_path: Path) -> None:
    FaissMemory(tmp_path, WordEmbeddings()).close()
    with FaissMemory(tmp_path, WordEmbeddings(8, "2")) as memory:
        memory.add_texts(["one"])
        assert len(memory.similarity_search("one")) == 1


def test_an_embedder_that_says_nothing_of_itself(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, DeterministicFakeEmbedding(size=12)) as memory:
        memory.add_texts(["one"])
        assert memory.fingerprint.model.endswith("DeterministicFakeEmbedding")
        assert memory.fingerprint.dimension == 12
    with pytest.raises(EmbedderChanged):
        FaissMemory(tmp_path, DeterministicFakeEmbedding(size=13))
