"""LangChain's own tests of a vector store and of its retriever, over FaissMemory; none skipped."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests
from langchain_tests.integration_tests.vectorstores import VectorStoreIntegrationTests

from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings


class TestFaissMemory(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Generator[VectorStore, None, None]:
        with FaissMemory(tmp_path / "memory", self.get_embeddings()) as memory:
            yield memory


class Retriever(VectorStoreRetriever):
    """The retriever that `as_retriever` gives, with `k` where the suite looks for it."""

    def __init__(self, vectorstore: VectorStore, k: int = 4) -> None:
        super().__init__(**vectorstore.as_retriever(search_kwargs={"k": k}).model_dump())


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def memory(self, tmp_path: Path) -> Generator[None, None, None]:
        with FaissMemory(tmp_path, WordEmbeddings()) as memory:
            memory.add_texts([f"note number {i}" for i in range(6)])
            self.store = memory
            yield

    @property
    def retriever_constructor(self) -> type[Retriever]:
        return Retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vectorstore": self.store}

    @property
    def retriever_query_example(self) -> str:
        return "note number 3"
