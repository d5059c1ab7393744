"""How sure a figure is: intervals by resampling the examples, and a paired test of two."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
PERMUTATIONS = 10_000
LEVEL = 0.95

_AT_A_TIME = 4_000_000
"""Numbers drawn at once, so that a long file needs little memory."""
_EXACT = 12
"""Up to so many differing pairs, all sign patterns are tried."""


def interval(
    values: Sequence[float], seed: int = 0, *, level: float = LEVEL
) -> tuple[float, float]:
    """Where the mean of the values lies: percentiles of the means of resampled values.

    Raises:
        ValueError: no values.
    """
    table = np.asarray(values, dtype=np.float64)
    if not len(table):
        raise ValueError("an interval needs values")
    means = np.concatenate([table[rows].mean(axis=1) for rows in _resampled(len(table), seed)])
    return _percentiles(means, level)


def f1_interval(
    counts: NDArray[np.float64], seed: int = 0, *, level: float = LEVEL
) -> tuple[float, float]:
    """Where micro F1 lies, by resampling whole examples.

    Args:
        counts: [examples, 3]: true positives, false positives and false negatives of each.

    Raises:
        ValueError: no examples.
    """
    if not len(counts):
        raise ValueError("an interval needs examples")
    sums = np.concatenate([counts[rows].sum(axis=1) for rows in _resampled(len(counts), seed)])
    return _percentiles(f1_of(sums), level)


def f1_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of rows of true positives, false positives and false negatives; 0 where all are 0."""
    hits, wrong, missed = counts[..., 0], counts[..., 1], counts[..., 2]
    below = 2 * hits + wrong + missed
    found: NDArray[np.float64] = np.divide(
        2 * hits, below, out=np.zeros_like(below, dtype=np.float64), where=below > 0
    )
    return found


def paired_p(a: Sequence[float], b: Sequence[float], seed: int = 0) -> float:
    """Two-sided p: how often chance alone makes the means of `a` and `b` differ as much.

    `a[i]` and `b[i]` belong to the same example. The signs of the differences are flipped: all
    ways where few pairs differ, else `PERMUTATIONS` seeded ones.

    Raises:
        ValueError: not as many of one as of the other.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values against {len(b)}; they must belong together")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    seen = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    if len(differences) <= _EXACT:
        patterns = np.arange(2 ** len(differences))[:, None] >> np.arange(len(differences)) & 1
        return float((np.abs((1 - 2 * patterns) @ differences) >= seen).mean())
    random = np.random.default_rng(seed)
    as_extreme, done = 0, 0
    step = max(1, _AT_A_TIME // len(differences))
    while done < PERMUTATIONS:
        rows = min(step, PERMUTATIONS - done)
        signs = random.integers(0, 2, (rows, len(differences)), dtype=np.int8)
        as_extreme += int((np.abs((1 - 2 * signs) @ differences) >= seen).sum())
        done += rows
    return (as_extreme + 1) / (PERMUTATIONS + 1)


def _resampled(size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Indices of resampled examples, [some resamples, size] at a time."""
    random = np.random.default_rng(seed)
    step = max(1, _AT_A_TIME // size)
    for start in range(0, RESAMPLES, step):
        yield random.integers(0, size, (min(step, RESAMPLES - start), size))


def _percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)
