"""Tests of the counts: they are the main metric, and their intervals and tests tell the truth."""

import numpy as np
import pytest

from tests.tools.tuning.plain_methods import TASK, Words, reviews
from tools.tuning.examples import (
    ClassPrediction,
    Prediction,
    TagExample,
    TagPrediction,
    TextExample,
    TextInput,
    TokenInput,
)
from tools.tuning.methods.base import Bench
from tools.tuning.metrics import evaluate
from tools.tuning.tally import (
    difference,
    interval,
    mean_score,
    resampled,
    score,
    standard_error,
    tally,
)
from tools.tuning.task import Task


def hits(*right: int) -> np.ndarray:
    """Single-label counts: 1 for a hit, 0 for a miss."""
    return np.array([(1, 0, 0) if hit else (0, 1, 1) for hit in right], dtype=float)


def test_accuracy_is_the_score_of_single_labels(home: object) -> None:
    rows = reviews(40, noise=4)
    method = Words(TASK)
    method.fit(rows[:30], (), Bench(home=home))  # type: ignore[arg-type]  # a path
    said = method.predict([row.input for row in rows])
    assert mean_score(tally(rows, said)) == pytest.approx(evaluate(TASK, rows, said).accuracy)


def test_micro_f1_is_the_score_of_several_labels() -> None:
    task = Task("classification", ("a", "b", "c"), multi_label=True)
    gold = [
        TextExample(TextInput(str(i)), labels, i + 1)
        for i, labels in enumerate([("a",), ("a", "b"), (), ("c",)])
    ]
    said: list[Prediction] = [
        ClassPrediction(labels, (0.5,) * 3) for labels in [("a", "b"), ("a",), (), ()]
    ]
    assert mean_score(tally(gold, said)) == pytest.approx(evaluate(task, gold, said).micro_f1)


def test_entity_f1_is_the_score_of_tags() -> None:
    task = Task("ner", ("LOC", "PER"))
    tags = [("B-PER", "I-PER", "O"), ("O", "B-LOC", "O"), ("O", "O", "O")]
    wrong = [("B-PER", "O", "O"), ("O", "B-LOC", "O"), ("B-LOC", "O", "O")]
    gold = [TagExample(TokenInput(("x", "y", "z")), each, i) for i, each in enumerate(tags)]
    said: list[Prediction] = [TagPrediction(each, (1.0,) * 3) for each in wrong]
    found = evaluate(task, gold, said)
    assert mean_score(tally(gold, said)) == pytest.approx(found.score)


def test_nothing_to_find_and_nothing_said_is_zero() -> None:
    assert score(np.zeros((1, 3)))[0] == 0.0


def test_both_are_scored_on_the_same_rows_in_each_resample() -> None:
    one = hits(*[1, 0] * 50)
    first, second = resampled([one, one], seed=3)
    assert (first == second).all()


def test_the_interval_has_the_width_of_the_binomial() -> None:
    low, high = interval(hits(*[1] * 80, *[0] * 20), seed=0)
    assert low == pytest.approx(0.72, abs=0.02)
    assert high == pytest.approx(0.88, abs=0.02)
    error = standard_error(hits(*[1] * 80, *[0] * 20), seed=0)
    assert error == pytest.approx((0.8 * 0.2 / 100) ** 0.5, abs=0.004)


def test_a_clear_difference_is_told_and_none_is_made_of_chance() -> None:
    good, bad = hits(*[1] * 90, *[0] * 10), hits(*[1] * 60, *[0] * 40)
    gain, error, chance = difference(good, bad, seed=0)
    assert gain == pytest.approx(0.3)
    assert error < 0.06
    assert chance < 0.01
    assert difference(bad, good, seed=0)[2] > 0.99
    assert difference(good, good, seed=0)[2] == 1.0
    random = np.random.default_rng(0)
    chances = [
        difference(hits(*random.integers(0, 2, 60)), hits(*random.integers(0, 2, 60)), seed=0)[2]
        for _ in range(60)
    ]
    assert sum(chance < 0.05 for chance in chances) <= 8


def test_many_rows_are_resampled_in_little_memory() -> None:
    rows = hits(*np.random.default_rng(1).integers(0, 2, 20_000))
    low, high = interval(rows, seed=0)
    assert 0.005 < high - low < 0.02
