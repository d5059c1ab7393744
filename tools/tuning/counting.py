"""Counts what predictions hit, miss and make up, label by label."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.tuning.examples import Example, Prediction, TagExample, TagPrediction
from tools.tuning.tagging import entities

Items = set[tuple[Any, ...]]
"""What is to be found in an example, or was said about it; each item begins with its label."""


@dataclass(slots=True)
class Tally:
    """What happened to one label."""

    hits: int = 0
    wrong: int = 0
    """Said where it is not right."""
    missed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.hits + other.hits, self.wrong + other.wrong, self.missed + other.missed)


def together(
    gold: Sequence[Example], predicted: Sequence[Prediction]
) -> Iterable[tuple[Example, Prediction]]:
    """Each example with its prediction.

    Raises:
        ValueError: not as many of one as of the other.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(predicted)} predictions for {len(gold)} examples")
    return zip(gold, predicted, strict=True)


def right_items(example: Example) -> Items:
    """What is to be found in an example; each item begins with its label."""
    if isinstance(example, TagExample):
        return set(entities(example.tags))
    return {(label,) for label in example.labels}


def said_items(prediction: Prediction) -> Items:
    """What was said about an example."""
    if isinstance(prediction, TagPrediction):
        return set(entities(prediction.tags))
    return {(label,) for label in prediction.labels}


def token_pairs(gold: Sequence[Example], predicted: Sequence[Prediction]) -> list[tuple[str, str]]:
    """The right and the said tag of every token.

    Raises:
        ValueError: a sentence has not one tag a token.
    """
    found: list[tuple[str, str]] = []
    for example, prediction in together(gold, predicted):
        if isinstance(example, TagExample) and isinstance(prediction, TagPrediction):
            if len(example.tags) != len(prediction.tags):
                raise ValueError(
                    f"{len(prediction.tags)} tags for the {len(example.tags)} tokens of line "
                    f"{example.line}"
                )
            found.extend(zip(example.tags, prediction.tags, strict=True))
    return found


def tally_labels(found: Iterable[tuple[Items, Items]]) -> dict[str, Tally]:
    """What happened to each label, over pairs of right and said items."""
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for right, said in found:
        for item in right | said:
            tally = tallies[item[0]]
            if item not in said:
                tally.missed += 1
            elif item not in right:
                tally.wrong += 1
            else:
                tally.hits += 1
    return tallies
