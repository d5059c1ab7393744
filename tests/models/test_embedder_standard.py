"""LangChain's own suites over both embedders: tiny and hashing always, MiniLM with weights."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from models.embedder import TextEmbedder, load_embedder
from models.hashing import HashingEmbedder
from tests.models.tiny_encoder import write_encoder

_LOADED: dict[str, TextEmbedder] = {}


def _parts(embedder: TextEmbedder) -> dict[str, Any]:
    """What the class is made of, so that the suites can make it anew."""
    return {
        "network": embedder._network,
        "folder": embedder._folder,
        "name": embedder.name,
        "revision": embedder.fingerprint.revision,
    }


class _Hashing:
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return HashingEmbedder

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"dimension": 64}


class TestHashingUnit(_Hashing, EmbeddingsUnitTests):
    """The unit suite."""


class TestHashingIntegration(_Hashing, EmbeddingsIntegrationTests):
    """The integration suite."""


class _Tiny:
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return TextEmbedder

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        if "tiny" not in _LOADED:
            with tempfile.TemporaryDirectory() as scratch:
                folder = write_encoder(Path(scratch) / "tiny")
                _LOADED["tiny"] = load_embedder(str(folder), Path(scratch), device="cpu")
        return _parts(_LOADED["tiny"])


class TestEncoderUnit(_Tiny, EmbeddingsUnitTests):
    """The unit suite."""


class TestEncoderIntegration(_Tiny, EmbeddingsIntegrationTests):
    """The integration suite on random weights."""


@pytest.mark.weights
class TestMiniLMIntegration(EmbeddingsIntegrationTests):
    """The integration suite on the embedded default."""

    @pytest.fixture(autouse=True)
    def loaded(self, weights: Path) -> TextEmbedder:
        if "minilm" not in _LOADED:
            _LOADED["minilm"] = load_embedder("embedder", weights, device="cpu")
        return _LOADED["minilm"]

    @pytest.fixture
    def model(self, loaded: TextEmbedder) -> TextEmbedder:
        return loaded

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return TextEmbedder
