"""Splits labelled examples by a hash of their text: to learn from, to choose on, to measure on.

    split(data, seed=0).test        # sealed: looked at once, after everything was chosen

The same text always lies on one side, however often it occurs and in whichever order the file has
it. Each label gives its share as nearly as whole texts allow; a row with several labels counts
for the rarest of them. A file that grows keeps nearly all of its rows on their side.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tools.tuning.data_check import labels_in
from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, Example
from tools.tuning.fingerprint import fingerprint

TEST_SHARE = 0.2
DEV_SHARE = 0.1
"""Of all rows."""
FEW_LABELS = 100
"""Below so many labelled rows beside the test there is no dev split but cross-validation."""
FOLDS = 5

_FEWEST_TO_SHARE = 3
"""Texts of one label, from which at least one goes to the test."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The three sides, each in the order of the file."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    """Empty where there are too few labels; then `folds` of the training side take its place."""
    test: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """One part of a cross-validation."""

    train: tuple[Example, ...]
    held: tuple[Example, ...]
    """Measured on, and in no other fold's `held`."""


def split(
    dataset: Dataset, *, seed: int = 0, test: float = TEST_SHARE, dev: float = DEV_SHARE
) -> Splits:
    """The examples as train, dev and test.

    Args:
        seed: another one gives another test split, so it stays the same for all of a skill.
        test: its share of the texts; 0 where there is a file for it.
        dev: its share of the texts; 0 where there is a file for it.
    """
    strata = _strata(dataset.examples, seed)
    tests = {text for texts in strata for text in texts[: _quota(len(texts), test)]}
    rest = [[text for text in texts if text not in tests] for texts in strata]
    left = sum(fingerprint(example.input) not in tests for example in dataset.examples)
    devs: set[str] = set()
    if left >= FEW_LABELS and dev > 0:
        share = dev / (1 - test)
        devs = {text for texts in rest for text in texts[: _quota(len(texts), share)]}
    sides: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
    for example in dataset.examples:
        text = fingerprint(example.input)
        side = "test" if text in tests else "dev" if text in devs else "train"
        sides[side].append(example)
    return Splits(tuple(sides["train"]), tuple(sides["dev"]), tuple(sides["test"]))


def folds(examples: Sequence[Example], k: int = FOLDS, seed: int = 0) -> list[Fold]:
    """`k` parts for cross-validation, fewer where there are fewer different texts.

    Raises:
        DataError: all examples have one text.
    """
    place: dict[str, int] = {}
    strata = _strata(examples, seed)
    count = min(k, sum(len(texts) for texts in strata))
    if count < 2:
        raise DataError("cross-validation needs at least two different texts")
    for texts in strata:
        for text in texts:
            place[text] = len(place) % count
    at = [place[fingerprint(example.input)] for example in examples]
    return [
        Fold(
            tuple(example for example, fold in zip(examples, at, strict=True) if fold != i),
            tuple(example for example, fold in zip(examples, at, strict=True) if fold == i),
        )
        for i in range(count)
    ]


def _strata(examples: Iterable[Example], seed: int) -> list[list[str]]:
    """The different texts of each label, each list in the order of a seeded hash."""
    labels: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels[fingerprint(example.input)].update(labels_in([example]))
    often = Counter(label for found in labels.values() for label in found)
    strata: dict[str, list[str]] = defaultdict(list)
    for text, found in labels.items():
        strata[min(found, key=lambda label: (often[label], label), default="")].append(text)
    return [sorted(strata[label], key=lambda text: _order(text, seed)) for label in sorted(strata)]


def _order(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()


def _quota(texts: int, share: float) -> int:
    """How many of one label's texts go to a side."""
    if share <= 0:
        return 0
    wanted = round(texts * share)
    return max(1, wanted) if texts >= _FEWEST_TO_SHARE else 0
