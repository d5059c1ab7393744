"""Intervals and the paired test: right on average, exact where that is possible."""

import numpy as np
import pytest

from tools.tuning.significance import f1_interval, f1_of, interval, paired_p


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(0).random(400) < 0.7
    low, high = interval(values.astype(float).tolist())
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    held = 0
    for seed in range(100):
        low, high = interval((random.random(100) < 0.3).astype(float).tolist(), seed)
        held += low <= 0.3 <= high
    assert 88 <= held <= 99


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [0.0, 1.0, 1.0, 0.5]
    assert interval(values, 3) == interval(values, 3)
    assert interval([1.0] * 9) == (1.0, 1.0)


def test_f1_of_counts() -> None:
    assert f1_of(np.array([[2.0, 1.0, 1.0], [0.0, 0.0, 0.0]])).tolist() == [pytest.approx(2 / 3), 0]
    low, high = f1_interval(np.array([[1.0, 0, 0], [0, 1.0, 1.0]] * 50))
    assert low < 0.5 < high
    assert high - low < 0.25


def test_the_paired_test_is_exact_for_few_differences() -> None:
    assert paired_p([1, 1, 1], [0, 0, 0]) == pytest.approx(2 / 8)
    assert paired_p([1, 1, 0, 1], [0, 0, 1, 1]) == pytest.approx(1.0)
    assert paired_p([1, 0], [1, 0]) == 1.0


def test_more_differences_are_sampled_with_the_same_meaning() -> None:
    better = [1.0] * 15 + [0.0] * 3 + [1.0] * 500
    worse = [0.0] * 15 + [1.0] * 3 + [1.0] * 500
    # Two-sided binomial: 15 or more of 18.
    assert paired_p(better, worse) == pytest.approx(0.0075, abs=0.003)
    assert paired_p(better, worse) == paired_p(worse, better)


def test_equal_methods_are_called_different_about_as_often_as_chance_says() -> None:
    random = np.random.default_rng(2)
    wrong = sum(
        paired_p(random.random(40).tolist(), random.random(40).tolist(), seed) < 0.1
        for seed in range(100)
    )
    assert 3 <= wrong <= 18


def test_pairs_must_belong_together() -> None:
    with pytest.raises(ValueError, match="2 values against 1"):
        paired_p([1, 0], [1])
    with pytest.raises(ValueError, match="needs values"):
        interval([])
