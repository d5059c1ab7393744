"""The third stage, select: the labelled examples nearest to an input, as vectors tell.

    neighbours = Neighbours(vectors, labels)
    neighbours.nearest(query, 4)       # places of four examples, the most similar last

Vectors are rows of equal length; cosine is what counts, so they need not be normalised.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
PAGE = 1_024
"""Queries that are compared at once; bounds the memory to PAGE x examples numbers."""


class Neighbours:
    """Labelled examples that can be asked which of them are nearest."""

    def __init__(self, vectors: Vectors, labels: Sequence[Collection[str]]) -> None:
        if len(vectors) != len(labels):
            raise ValueError(f"{len(vectors)} vectors do not go with {len(labels)} labels")
        self._vectors = normalised(vectors)
        self._labels = [frozenset(given) for given in labels]

    def __len__(self) -> int:
        return len(self._labels)

    def nearest(
        self,
        query: Vectors,
        count: int,
        *,
        each_of: Sequence[str] = (),
        without: int | None = None,
    ) -> list[int]:
        """Places of the `count` nearest examples, the most similar last.

        Args:
            query: one vector.
            each_of: the nearest example of each of these labels is among them, where there is one,
                even if more than `count` come together so.
            without: the place of an example that must not be taken: the query itself.
        """
        similarity = self._vectors @ normalised(query[None])[0]
        # A stable order: equal similarities (duplicates) come in the order of the examples.
        order = [int(i) for i in np.argsort(-similarity, kind="stable") if i != without]
        wanted = [
            place
            for label in each_of
            if (place := next((i for i in order if label in self._labels[i]), None)) is not None
        ]
        rest = (i for i in order if i not in set(wanted))
        chosen = set(wanted)
        while len(chosen) < count and (place := next(rest, None)) is not None:
            chosen.add(place)
        return [i for i in reversed(order) if i in chosen]

    def many(self, queries: Vectors, count: int) -> list[list[int]]:
        """`nearest` of each query without further wishes; fast for many queries."""
        found: list[list[int]] = []
        count = min(count, len(self))
        for start in range(0, len(queries), PAGE):
            similarity = normalised(queries[start : start + PAGE]) @ self._vectors.T
            order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
            found += [row[::-1].tolist() for row in order]
        return found


def normalised(vectors: Vectors) -> Vectors:
    """The vectors at length 1; those without a direction stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled
