"""How good predictions are: the task's main figure, and the tables that stand behind it.

The main figure is accuracy where a text has one label, micro F1 where it may have several, and
entity F1 (type and both ends right) for ner. A figure whose denominator is 0 is 0.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from tools.tuning.counting import (
    Tally,
    right_items,
    said_items,
    tally_labels,
    together,
    token_pairs,
)
from tools.tuning.examples import Example, Prediction
from tools.tuning.significance import f1_interval, interval, paired_p
from tools.tuning.tagging import split_tag
from tools.tuning.task import Task

__all__ = [
    "ClassRow",
    "Metrics",
    "evaluate",
    "interval",
    "main_metric",
    "paired_p",
    "per_example",
    "score_interval",
]

MetricName = Literal["accuracy", "micro_f1", "entity_f1"]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One label, tag or entity type."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """How often it is right."""
    predicted: int
    """How often it was said."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """All figures of one evaluation; shares in [0, 1]."""

    name: MetricName
    """Of the main figure."""
    score: float
    examples: int
    accuracy: float
    """Examples with exactly the right labels; for ner tokens with the right tag."""
    precision: float
    """Micro: over all labels or entities together."""
    recall: float
    micro_f1: float
    macro_f1: float
    """Mean over the labels that occur or were said."""
    weighted_f1: float
    """Mean over the labels, each as often as it occurs."""
    rows: tuple[ClassRow, ...]
    """One a label; for ner one an entity type, counted in entities."""
    token_rows: tuple[ClassRow, ...] = ()
    """For ner: one a tag, `B-PER` and `O` say, counted in tokens."""
    confusion_labels: tuple[str, ...] = ()
    """Labels of the matrix; for ner types and `O`. None for several labels a text."""
    confusion: tuple[tuple[int, ...], ...] = field(default=())
    """`confusion[i][j]`: how often label i was taken for label j; for ner counted in tokens."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON; `Metrics.from_dict(stored)` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Metrics":
        rows = {
            name: tuple(ClassRow(**row) for row in stored[name]) for name in ("rows", "token_rows")
        }
        return cls(
            **{
                **stored,
                **rows,
                "confusion_labels": tuple(stored["confusion_labels"]),
                "confusion": tuple(tuple(row) for row in stored["confusion"]),
            }
        )


def main_metric(task: Task) -> MetricName:
    """What the task is judged by."""
    if task.kind == "ner":
        return "entity_f1"
    return "micro_f1" if task.multi_label else "accuracy"


def evaluate(task: Task, gold: Sequence[Example], predicted: Sequence[Prediction]) -> Metrics:
    """All figures for predictions of the gold examples, in the same order.

    Raises:
        ValueError: not one prediction an example, or not one tag a token.
    """
    found = [(right_items(g), said_items(p)) for g, p in together(gold, predicted)]
    tallies = tally_labels(found)
    rows = _rows(task.labels, tallies)
    occurring = [row for row in rows if row.support or row.predicted]
    micro = _row("", sum(tallies.values(), Tally()))
    token_rows: tuple[ClassRow, ...] = ()
    labels: tuple[str, ...] = ()
    matrix: Counter[tuple[str, str]] = Counter()
    units: Sequence[tuple[Any, Any]] = found
    if task.kind == "ner":
        units = tokens = token_pairs(gold, predicted)
        tags = [f"{letter}-{type_}" for type_ in task.labels for letter in "BI"]
        token_rows = _rows([*tags, "O"], tally_labels(({(g,)}, {(p,)}) for g, p in tokens))
        matrix = Counter((_type(g), _type(p)) for g, p in tokens)
        labels = (*task.labels, "O")
    elif not task.multi_label:
        matrix = Counter((min(g)[0], min(p)[0]) for g, p in found)
        labels = task.labels
    accuracy = _mean([g == p for g, p in units])
    labels = (*labels, *sorted({label for pair in matrix for label in pair} - set(labels)))
    name = main_metric(task)
    return Metrics(
        name=name,
        score=accuracy if name == "accuracy" else micro.f1,
        examples=len(gold),
        accuracy=accuracy,
        precision=micro.precision,
        recall=micro.recall,
        micro_f1=micro.f1,
        macro_f1=_mean([row.f1 for row in occurring]),
        weighted_f1=_weighted(rows),
        rows=rows,
        token_rows=token_rows,
        confusion_labels=labels,
        confusion=tuple(tuple(matrix[g, p] for p in labels) for g in labels),
    )


def per_example(
    task: Task, gold: Sequence[Example], predicted: Sequence[Prediction]
) -> list[float]:
    """A figure for each example, for `interval` and `paired_p`: 1 or 0 where a text has one label,
    else F1 within the example, which is 1 where nothing is to be found and nothing was said.

    Raises:
        ValueError: see `evaluate`.
    """
    values: list[float] = []
    for example, prediction in together(gold, predicted):
        right, said = right_items(example), said_items(prediction)
        both = len(right) + len(said)
        values.append(2 * len(right & said) / both if both else 1.0)
    return values


def score_interval(
    task: Task, gold: Sequence[Example], predicted: Sequence[Prediction], seed: int = 0
) -> tuple[float, float]:
    """Where the main figure lies (95 %), by resampling whole texts or sentences.

    Raises:
        ValueError: see `evaluate`; or there are no examples.
    """
    if main_metric(task) == "accuracy":
        return interval(per_example(task, gold, predicted), seed)
    counts = np.zeros((len(gold), 3))
    for i, (example, prediction) in enumerate(together(gold, predicted)):
        right, said = right_items(example), said_items(prediction)
        counts[i] = len(right & said), len(said - right), len(right - said)
    return f1_interval(counts, seed)


def _rows(labels: Sequence[str], tallies: Mapping[str, Tally]) -> tuple[ClassRow, ...]:
    """A row for each label in that order, then for those that only predictions have."""
    others = sorted(set(tallies) - set(labels))
    return tuple(_row(label, tallies.get(label, Tally())) for label in (*labels, *others))


def _row(label: str, tally: Tally) -> ClassRow:
    said, support = tally.hits + tally.wrong, tally.hits + tally.missed
    return ClassRow(
        label,
        precision=tally.hits / said if said else 0.0,
        recall=tally.hits / support if support else 0.0,
        f1=2 * tally.hits / (said + support) if said + support else 0.0,
        support=support,
        predicted=said,
    )


def _type(tag: str) -> str:
    return split_tag(tag)[1] or "O"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _weighted(rows: Sequence[ClassRow]) -> float:
    support = sum(row.support for row in rows)
    return sum(row.f1 * row.support for row in rows) / support if support else 0.0
