"""Chooses the next token from the network's scores, in numpy."""

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.grammar import Mask
from models.network import Logits
from models.request import Sampling


class Sampler:
    """Draws the tokens of one reply; the same seed and scores give the same tokens."""

    def __init__(self, sampling: Sampling) -> None:
        if sampling.temperature < 0:
            raise ValueError(f"temperature is {sampling.temperature}; it must be 0 or more")
        if not 0 < sampling.top_p <= 1:
            raise ValueError(f"top_p is {sampling.top_p}; it must be above 0 and at most 1")
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._random = np.random.default_rng(sampling.seed)

    def choose(self, logits: Logits, mask: Mask | None = None) -> int:
        """The next token, out of those that the mask allows."""
        candidates = np.flatnonzero(mask) if mask is not None else np.arange(logits.size)
        if candidates.size == 0:
            raise ModelError("the grammar allows no token here; it cannot be completed")
        scores = logits[candidates].astype(np.float64)
        best = int(np.argmax(scores))
        if not np.isfinite(scores[best]):
            raise ModelError(
                f"the model produced {scores[best]} as a token score; its weights may be damaged, "
                "or the data type too small for it (try --dtype float32)"
            )
        if self._temperature == 0:
            return int(candidates[best])
        chances = np.exp((scores - scores[best]) / self._temperature)
        chances /= chances.sum()
        if self._top_p < 1:
            kept = _nucleus(chances, self._top_p)
            candidates, chances = candidates[kept], chances[kept]
        reached = np.cumsum(chances)
        position = int(np.searchsorted(reached, self._random.random() * reached[-1], "right"))
        return int(candidates[min(position, candidates.size - 1)])


def _nucleus(chances: NDArray[np.float64], top_p: float) -> NDArray[np.intp]:
    """Positions of the likeliest tokens that together reach `top_p`, likeliest first."""
    # What lies at or under this floor sums to at most 1 - top_p, so the nucleus is among the
    # rest, which is short to sort.
    above = np.flatnonzero(chances > (1 - top_p) / chances.size)
    order = above[np.argsort(-chances[above], kind="stable")]
    return order[: int(np.searchsorted(np.cumsum(chances[order]), top_p)) + 1]


def log_probability(logits: Logits, token: int) -> float:
    """Natural logarithm of the token's probability under these scores."""
    scores = logits.astype(np.float64)
    top = scores.max()
    return float(scores[token] - top - np.log(np.exp(scores - top).sum()))
