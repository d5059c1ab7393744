"""What was right in each example, as counts that add up, so any set of examples can be scored.

    one = tally(task, gold, predicted)       # rows x (right, wrongly said, missed)
    score(one.sum(0))                        # the task's main metric
    spread = resampled([one, other], seed=0) # both scores in each resample of the same rows

The main metric is 2 right / (2 right + wrong + missed) in every kind of task: the accuracy of
single-label classification, the micro-F1 of multi-label, the entity F1 of tagging.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tools.tuning.examples import (
    ClassPrediction,
    Example,
    Prediction,
    TagExample,
    TagPrediction,
)
from tools.tuning.tagging import entities

Numbers = NDArray[np.float64]
TIMES = 2_000
"""Resamples: the standard error of a p-value of 0.05 is then 0.005."""
_CELLS = 4_000_000
"""Counts that are drawn at once; 32 MB."""


def tally(gold: Sequence[Example], predicted: Sequence[Prediction]) -> Numbers:
    """One row an example: how many labels (entities) are right, wrongly said, missed."""
    rows = [_row(want, said) for want, said in zip(gold, predicted, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _row(want: Example, said: Prediction) -> tuple[int, int, int]:
    true: set[object]
    found: set[object]
    if isinstance(want, TagExample):
        assert isinstance(said, TagPrediction)
        true, found = set(entities(want.tags)), set(entities(said.tags))
    else:
        assert isinstance(said, ClassPrediction)
        true, found = set(want.labels), set(said.labels)
    right = len(true & found)
    return right, len(found) - right, len(true) - right


def score(counts: Numbers) -> Numbers:
    """The main metric in [0, 1] of summed counts, whose last axis is (right, wrong, missed).

    Where there is nothing to find and nothing was said it is 0, as seqeval has it.
    """
    right = 2 * counts[..., 0]
    whole = right + counts[..., 1] + counts[..., 2]
    found: Numbers = np.divide(right, whole, out=np.zeros_like(right), where=whole > 0)
    return found


def mean_score(rows: Numbers) -> float:
    """The main metric over all rows."""
    return float(score(rows.sum(0)))


def resampled(tallies: Sequence[Numbers], *, seed: int, times: int = TIMES) -> Numbers:
    """Bootstrap: the score of each tally in `times` resamples, the same rows in all of them.

    Args:
        tallies: of the same examples in the same order.

    Returns:
        One row a tally, one column a resample.
    """
    beside = np.concatenate(tallies, axis=1)
    sums = np.concatenate([drawn @ beside for drawn in _draws(len(beside), times, seed)])
    return score(sums.reshape(times, len(tallies), 3)).T


def _draws(rows: int, times: int, seed: int) -> Iterable[Numbers]:
    """How often each row is in each resample, some resamples at once."""
    if rows * times <= _CELLS:
        return [_kept(rows, times, seed)]
    at_once = max(1, _CELLS // rows)
    random = np.random.default_rng(seed)
    return (_drawn(rows, min(at_once, times - start), random) for start in range(0, times, at_once))


@lru_cache(maxsize=4)
def _kept(rows: int, times: int, seed: int) -> Numbers:
    """A race compares many pairs on the same rows, and drawing takes longer than summing."""
    return _drawn(rows, times, np.random.default_rng(seed))


def _drawn(rows: int, times: int, random: np.random.Generator) -> Numbers:
    picked = random.integers(0, rows, (times, rows))
    picked += np.arange(times)[:, None] * rows
    counts = np.bincount(picked.ravel(), minlength=times * rows)
    return counts.reshape(times, rows).astype(np.float64)


def interval(rows: Numbers, *, seed: int) -> tuple[float, float]:
    """The 95 % bootstrap interval of the score."""
    if not len(rows):
        return 0.0, 0.0
    low, high = np.quantile(resampled([rows], seed=seed)[0], [0.025, 0.975])
    return float(low), float(high)


def standard_error(rows: Numbers, *, seed: int) -> float:
    """Of the score, by bootstrap."""
    return float(resampled([rows], seed=seed)[0].std()) if len(rows) else 0.0


def difference(better: Numbers, other: Numbers, *, seed: int) -> tuple[float, float, float]:
    """How much better one is than the other on the same rows.

    Returns:
        The difference of the scores, its standard error, and the probability (one-sided, paired
        bootstrap) that it is zero or less.
    """
    if not len(better):
        return 0.0, 0.0, 1.0
    first, second = resampled([better, other], seed=seed)
    gains = first - second
    at_most_zero = (1 + int((gains <= 0).sum())) / (len(gains) + 1)
    return mean_score(better) - mean_score(other), float(gains.std()), at_most_zero
