"""Measures a fitted method on examples that it has not seen, and how far its template matters.

measured = measure(method, task, test, bench)
measured.metrics.score, measured.low, measured.high, measured.wrong[0]
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import pstdev

from tools.tuning.blocks import Block, Plan
from tools.tuning.design import TEMPLATES
from tools.tuning.errors import BudgetSpent, MethodUnsuitable
from tools.tuning.examples import (
    ClassPrediction,
    Example,
    Prediction,
    TagExample,
    TagPrediction,
    inputs_of,
)
from tools.tuning.methods.base import Bench, Method
from tools.tuning.metrics import Metrics, evaluate, score_interval
from tools.tuning.race import Candidate, predict_all
from tools.tuning.skill_card import ClassFact, SplitScores
from tools.tuning.tagging import entities
from tools.tuning.tally import mean_score, tally
from tools.tuning.task import Task

WRONG = 20
"""The worst errors that are kept: those the method was surest of."""
TEXT_CHARACTERS = 300
"""Of a text that is shown with an error."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """An example that the method got wrong."""

    line: int
    """In its file."""
    text: str
    right: str
    said: str
    score: float | None
    """How sure it was, in [0, 1]; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on one set of examples."""

    metrics: Metrics
    low: float
    high: float
    """The 95 % interval of the main figure, over examples."""
    wrong: tuple[Wrong, ...]
    milliseconds_per_row: float | None
    """Of prediction; None where it was not timed."""

    def scores(self, controls: Mapping[str, float]) -> SplitScores:
        """As the card has it."""
        about = self.metrics
        names = ("accuracy", "precision", "recall", "micro_f1", "macro_f1", "weighted_f1")
        return SplitScores(
            rows=about.examples,
            metric=about.name,
            value=about.score,
            low=self.low,
            high=self.high,
            others={name: getattr(about, name) for name in names if name != about.name},
            classes=tuple(
                ClassFact(
                    label=row.label,
                    precision=row.precision,
                    recall=row.recall,
                    f1=row.f1,
                    support=row.support,
                )
                for row in about.rows
            ),
            controls=dict(controls),
        )


def measure(
    method: Method, task: Task, examples: Sequence[Example], bench: Bench
) -> tuple[Measured, list[Prediction]]:
    """Predict the examples and say how good that was.

    Raises:
        BudgetSpent, Stopped: see `Bench.check`.
    """
    started = time.monotonic()
    said = predict_all(method, inputs_of(examples), bench)
    spent = time.monotonic() - started
    return measured(task, examples, said, 1_000 * spent / max(len(examples), 1)), said


def measured(
    task: Task,
    gold: Sequence[Example],
    said: Sequence[Prediction],
    milliseconds_per_row: float | None = None,
) -> Measured:
    """The figures of predictions that were made before."""
    low, high = score_interval(task, gold, said)
    found = evaluate(task, gold, said)
    return Measured(found, low, high, worst(gold, said), milliseconds_per_row)


def worst(gold: Sequence[Example], said: Sequence[Prediction]) -> tuple[Wrong, ...]:
    """The errors that the method was surest of."""
    found = [
        _wrong(want, have)
        for want, have in zip(gold, said, strict=True)
        if _answer(want) != _said(have)
    ]
    found.sort(key=lambda wrong: (-(wrong.score or 0.0), wrong.line))
    return tuple(found[:WRONG])


def template_spread(
    candidate: Candidate, task: Task, plan: Plan, block: Block, bench: Bench
) -> float | None:
    """Standard deviation of the main figure over the templates, on one block.

    None for a method without templates, and where the time does not allow it.
    """
    if task.kind != "classification" or "template" not in candidate.method.defaults():
        return None
    held = [plan.pool[place] for place in block.held]
    scores: list[float] = []
    for template in TEMPLATES:
        try:
            method = candidate.method(task, {**candidate.settings, "template": template})
            method.fit(block.train, block.dev, replace(bench, seed=block.seed, checkpoints=None))
            scores.append(mean_score(tally(held, predict_all(method, inputs_of(held), bench))))
        except MethodUnsuitable:
            continue  # this template does not go with the labels or the other settings
        except BudgetSpent:
            return None
    return pstdev(scores) if len(scores) > 1 else None


def _answer(example: Example) -> tuple[str, ...]:
    return example.tags if isinstance(example, TagExample) else example.labels


def _said(prediction: Prediction) -> tuple[str, ...]:
    return prediction.tags if isinstance(prediction, TagPrediction) else prediction.labels


def _wrong(want: Example, said: Prediction) -> Wrong:
    if isinstance(want, TagExample):
        assert isinstance(said, TagPrediction)
        tokens = want.input.tokens
        sure = [s for s, a, b in zip(said.scores, want.tags, said.tags, strict=False) if a != b]
        score = max(sure) if sure else None
        right, found = (_marked(tokens, tags) for tags in (want.tags, said.tags))
        return Wrong(want.line, _cut(" ".join(tokens)), right, found, score)
    assert isinstance(said, ClassPrediction)
    text = want.input.text + (f" | {want.input.pair}" if want.input.pair else "")
    score = said.score if said.probabilities else None
    none = "(none)"
    return Wrong(
        want.line, _cut(text), ", ".join(want.labels) or none, ", ".join(said.labels) or none, score
    )


def _marked(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """`PER: Ada Lovelace; LOC: London`."""
    found = [f"{e.type}: {' '.join(tokens[e.start : e.end])}" for e in entities(tags)]
    return _cut("; ".join(found) or "(none)")


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]}..."
