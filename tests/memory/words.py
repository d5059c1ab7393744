"""A small embedder for tests: the same text always gets the same vector, like texts like ones."""

import hashlib

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from models.fingerprint import Fingerprint


class WordEmbeddings(Embeddings):
    """Each word is a random direction that its hash decides; a text is the sum of its words."""

    def __init__(self, dimension: int = 16, revision: str = "1") -> None:
        self.fingerprint = Fingerprint("words", revision, dimension, normalised=False)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        words = text.lower().split() or [text]
        total = np.sum([self._direction(word) for word in words], axis=0)
        return [float(value) for value in total]

    def _direction(self, word: str) -> npt.NDArray[np.float64]:
        key = f"{self.fingerprint.revision}:{word}".encode(errors="surrogatepass")
        seed = int.from_bytes(hashlib.sha256(key).digest()[:8], "little")
        return np.random.default_rng(seed).standard_normal(self.fingerprint.dimension)
