"""An embedder without weights: a text's words and letter groups, hashed into a short vector.

For tests and for machines that should load nothing. It knows spelling, not meaning: `refund` is
close to `refunds` and far from `money back`. The same text gives the same vector in every process.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from models.fingerprint import Fingerprint

REVISION = "1"
"""Raise it when a text gets another vector than before."""
GROUP_SIZES = (3, 4)
"""Letters in a group."""
GROUP_WEIGHT = 0.4
"""Of a letter group beside a whole word of four letters or more."""
SHORT_WEIGHT = 0.25
"""Of a word of up to three letters: most of these say nothing about a text."""

_WORD = re.compile(r"\w+")


class HashingEmbedder(Embeddings):
    """Vectors of length 1 from hashed words and letter groups."""

    def __init__(self, dimension: int = 256) -> None:
        """Nothing is loaded.

        Args:
            dimension: numbers in a vector, at least 8; the more, the fewer words share a place.

        Raises:
            ValueError: `dimension` is smaller.
        """
        if dimension < 8:
            raise ValueError(f"a vector of {dimension} numbers is too short; take 8 or more")
        self.dimension = dimension
        self.fingerprint = Fingerprint("hashing", REVISION, dimension, normalised=True)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.vector(text).tolist()
        return vector

    def vector(self, text: str) -> NDArray[np.float32]:
        """The text's vector; one without a word is hashed as it stands, so it has length 1 too."""
        counts = Counter(_features(text.casefold())) or Counter({(text, 1.0): 1})
        vector = np.zeros(self.dimension, dtype=np.float64)
        for (feature, weight), count in counts.items():
            place, sign = self._place(feature)
            vector[place] += sign * weight * (1.0 + math.log(count))
        length = float(np.linalg.norm(vector))
        if length == 0.0:  # every place cancelled out
            vector[0] = length = 1.0
        return (vector / length).astype(np.float32)

    def _place(self, feature: str) -> tuple[int, int]:
        data = feature.encode("utf-8", "surrogatepass")
        number = int.from_bytes(blake2b(data, digest_size=8).digest(), "little")
        return (number >> 1) % self.dimension, 1 if number & 1 else -1


def _features(text: str) -> Iterator[tuple[str, float]]:
    """Words and their letter groups, with weights; `<` and `>` mark a word's two ends."""
    for word in _WORD.findall(text):
        yield word, 1.0 if len(word) > 3 else SHORT_WEIGHT
        marked = f"<{word}>"
        for size in GROUP_SIZES:
            for start in range(len(marked) - size + 1):
                group = marked[start : start + size]
                if len(group) < len(marked):
                    yield group, GROUP_WEIGHT if len(word) > 3 else GROUP_WEIGHT * SHORT_WEIGHT
