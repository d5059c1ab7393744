"""Takes out of a language model's label scores what it would say whatever the text.

    scores      log-scores of the label words, one row a text (see `methods/label_scoring.py`)
    margins     the same as what is compared: log-probabilities over the labels; for a multi-label
                task each label's score above that of `none`
    offsets     one number a label, subtracted from the margins

Kinds: `none`; `contextual`, the margins of texts without content (Zhao et al. 2021); `pmi`, the
margins of the bare lead to the label, without instruction or text (Holtzman et al. 2021); `prior`,
whatever makes the mean answer on labelled rows agree with the labels' shares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Truths = NDArray[np.bool_]
Kind = Literal["none", "contextual", "pmi", "prior"]
KINDS: tuple[Kind, ...] = ("none", "contextual", "pmi", "prior")
NO_CONTENT = ("N/A", "", "[MASK]")
"""Texts that say nothing; their answers are averaged (the three of Zhao et al. 2021)."""
ROUNDS = 30
"""Of making the mean answer agree with the shares; it moves less than 1e-3 after ten."""


@dataclass(frozen=True, slots=True)
class Fitness:
    """How well answers agree with the truth; more is better, `hits` first."""

    hits: float
    """Mean over rows of 1 for the right label; of intersection over union for several labels."""
    log_likelihood: float
    """Mean log-probability of the truth."""

    def __gt__(self, other: "Fitness") -> bool:
        return (self.hits, self.log_likelihood) > (other.hits, other.log_likelihood)


def margins(scores: Numbers, *, multi_label: bool) -> Numbers:
    """What is compared: see the top of this file. The last score of multi-label rows is `none`."""
    if multi_label:
        against_none: Numbers = scores[:, :-1] - scores[:, -1:]
        return against_none
    return _log_softmax(scores)


def probabilities(given: Numbers, offsets: Numbers, *, multi_label: bool) -> Numbers:
    """Rows that sum to 1, or for several labels each number by itself in [0, 1]."""
    shifted = given - offsets
    if multi_label:
        each: Numbers = 1 / (1 + np.exp(-np.clip(shifted, -500, 500)))
        return each
    together: Numbers = np.exp(_log_softmax(shifted))
    return together


def prior_offsets(given: Numbers, truth: Truths, *, multi_label: bool) -> Numbers:
    """Offsets under which the labels' mean probabilities on these rows are their shares."""
    shares = (truth.sum(0) + 1) / (len(truth) + (2 if multi_label else truth.shape[1]))
    offsets = np.zeros(given.shape[1])
    for _ in range(ROUNDS):
        mean = probabilities(given, offsets, multi_label=multi_label).mean(0).clip(1e-9, 1 - 1e-9)
        step = np.log(mean) - np.log(shares)
        if multi_label:
            step -= np.log1p(-mean) - np.log1p(-shares)
        offsets += step
    return offsets


def fitness(given: Numbers, offsets: Numbers, truth: Truths, *, multi_label: bool) -> Fitness:
    """How well the calibrated answers agree with the truth."""
    found = probabilities(given, offsets, multi_label=multi_label).clip(1e-9, 1 - 1e-9)
    if multi_label:
        said = found > 0.5
        union = (said | truth).sum(1)
        hits = np.where(union == 0, 1.0, (said & truth).sum(1) / np.maximum(union, 1))
        likelihood = np.where(truth, np.log(found), np.log1p(-found)).sum(1)
    else:
        hits = truth[np.arange(len(truth)), found.argmax(1)].astype(float)
        likelihood = np.log((found * truth).sum(1).clip(1e-9))
    return Fitness(float(hits.mean()), float(likelihood.mean()))


def choose(
    known: Mapping[Kind, Numbers],
    given: Numbers,
    truth: Truths,
    *,
    multi_label: bool,
    kinds: Sequence[Kind] = KINDS,
) -> tuple[Kind, Numbers, Fitness]:
    """The kind that fits labelled rows best, its offsets, and how well it fits.

    Args:
        known: offsets of the kinds that need no labels.
        given: margins of the labelled rows.
        kinds: in the order in which equals are preferred.

    `prior` is fitted to labels, so it is judged on rows that it was not fitted to: the even ones by
    the odd and the other way round.
    """
    found: dict[Kind, tuple[Numbers, Fitness]] = {}
    for kind in kinds:
        if kind == "prior":
            if len(truth) < 2 * truth.shape[1]:
                continue  # fewer than two rows a label say nothing about shares
            halves = (slice(0, None, 2), slice(1, None, 2))
            shifted = np.empty_like(given)
            for fit, judge in (halves, halves[::-1]):
                offsets = prior_offsets(given[fit], truth[fit], multi_label=multi_label)
                shifted[judge] = given[judge] - offsets
            nothing = np.zeros(given.shape[1])
            judged = fitness(shifted, nothing, truth, multi_label=multi_label)
            found[kind] = prior_offsets(given, truth, multi_label=multi_label), judged
        elif kind in known or kind == "none":
            offsets = known.get(kind, np.zeros(given.shape[1]))
            found[kind] = offsets, fitness(given, offsets, truth, multi_label=multi_label)
    best = next(iter(found))
    for kind in found:
        if found[kind][1] > found[best][1]:
            best = kind
    return best, *found[best]


def _log_softmax(scores: Numbers) -> Numbers:
    top = scores.max(1, keepdims=True)
    found: Numbers = scores - top - np.log(np.exp(scores - top).sum(1, keepdims=True))
    return found
