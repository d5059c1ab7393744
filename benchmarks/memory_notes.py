"""The notes that every store in `memory_store.py` gets, what is asked, and the right answers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

DIMENSION = 384
K = 10
CHUNK = 20_000
ADDS = {1: 7, 100: 7, 1_000: 5}
"""Notes added at once, and how often."""
QUERIES = 60
FILTERS: dict[str, dict[str, int] | None] = {"plain": None, "1 %": {"part": 7}, "50 %": {"half": 0}}
Rows = tuple[list[str], np.ndarray[Any, Any], list[dict[str, int]], list[str]]


def vectors(start: int, count: int) -> "np.ndarray[Any, Any]":
    """Rows of length 1, always the same for the same numbers; topics with neighbours."""
    topics = np.random.default_rng(1).standard_normal((500, DIMENSION), np.float32)
    generator = np.random.default_rng(start + 10)
    made = topics[generator.integers(0, 500, count)]
    made = made + generator.standard_normal((count, DIMENSION), np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def rows(start: int, count: int) -> Rows:
    """Texts, vectors, metadata and ids of the notes from `start` on."""
    numbers = range(start, start + count)
    texts = [
        f"Note {n}: " + "what was learnt that day, in a sentence or two. " * 3 for n in numbers
    ]
    metadatas = [{"part": n % 100, "half": n % 2} for n in numbers]
    return texts, vectors(start, count), metadatas, [f"note-{n}" for n in numbers]


def chunks(size: int) -> Iterator[Rows]:
    for start in range(0, size, CHUNK):
        yield rows(start, min(CHUNK, size - start))


def truth(total: int, asked: "np.ndarray[Any, Any]") -> dict[str, list[list[str]]]:
    """The nearest notes of all by plain arithmetic, for each filter."""
    best: dict[str, list[list[tuple[float, int]]]] = {name: [[] for _ in asked] for name in FILTERS}
    for start, part in parts(total):
        scores = asked @ part.T
        numbers = np.arange(start, start + len(part))
        for name, filter in FILTERS.items():
            keep = np.ones(len(part), bool)
            for key, value in (filter or {}).items():
                keep = numbers % {"part": 100, "half": 2}[key] == value
            for query, row in enumerate(scores):
                top = np.argsort(-row[keep])[:K]
                new = [(float(row[keep][i]), int(numbers[keep][i])) for i in top]
                best[name][query] = sorted(best[name][query] + new, reverse=True)[:K]
    return {
        name: [[f"note-{number}" for _, number in query] for query in queries]
        for name, queries in best.items()
    }


def parts(total: int) -> Iterator[tuple[int, "np.ndarray[Any, Any]"]]:
    """All vectors as they were stored: the chunks, then what was added."""
    added = sum(count * times for count, times in ADDS.items())
    size = total - added
    for start in range(0, size, CHUNK):
        yield start, vectors(start, min(CHUNK, size - start))
    start = size
    for count, times in ADDS.items():
        for _ in range(times):
            yield start, vectors(start, count)
            start += count
