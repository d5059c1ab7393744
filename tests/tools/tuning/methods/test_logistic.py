"""Logistic regression kept as two tensors: equal to scikit-learn's, chosen by cross-validation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from tools.tuning.errors import MethodUnsuitable
from tools.tuning.methods.logistic import Choice, Logistic, choose, fit, is_skewed

DICE = np.random.default_rng(0)
X = DICE.normal(size=(120, 6)).astype(np.float32)
Y = (X @ DICE.normal(size=(6, 4)) + DICE.normal(size=(120, 4))).argmax(1)


def flags(numbers: NDArray[np.int64], labels: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.eye(labels, dtype=np.float32)[numbers]
    return found


@pytest.mark.parametrize("labels", [2, 4])
def test_agrees_with_scikit_learn(labels: int) -> None:
    numbers = Y % labels
    ours = fit(X, flags(numbers, labels), Choice(3.0))
    theirs = LogisticRegression(C=3.0, max_iter=500).fit(X, numbers)
    assert np.allclose(ours.probabilities(X), theirs.predict_proba(X), atol=1e-6)


def test_labels_by_themselves_agree_with_one_regression_each() -> None:
    answers = (X[:, :3] > 0).astype(np.float32)
    answers[:, 2] = 0
    answers[0, 1] = 1
    ours = fit(X, answers, Choice(1.0), flags=True)
    theirs = LogisticRegression(C=1.0, max_iter=500).fit(X, answers[:, 0] > 0.5)
    found = ours.probabilities(X)
    assert np.allclose(found[:, 0], theirs.predict_proba(X)[:, 1], atol=1e-6)
    assert found[:, 2].max() < 1e-6


def test_a_label_without_examples_is_never_said() -> None:
    ours = fit(X, flags(np.where(Y == 2, 1, Y), 4), Choice(1.0))
    assert ours.probabilities(X)[:, 2].max() < 1e-6


def test_one_label_alone_cannot_be_learned() -> None:
    with pytest.raises(MethodUnsuitable, match="two labels"):
        fit(X, flags(np.zeros(120, dtype=int), 2), Choice(1.0))


def test_scores_far_apart_do_not_overflow() -> None:
    head = Logistic(np.array([[1e5], [-1e5]]), np.zeros(2))
    assert np.isfinite(head.log_probabilities(np.array([[1.0], [-1.0]]))).all()
    both = Logistic(head.weights, head.bias, flags=True)
    assert np.isfinite(both.log_probabilities(np.array([[1.0], [-1.0]]))).all()


def test_cross_validation_finds_the_penalty_that_noise_wants() -> None:
    noise = np.concatenate([X[:60], DICE.normal(size=(60, 100))], axis=1)
    answers = flags((X[:60, 0] > 0).astype(int), 2)
    assert choose(noise, answers, [Choice(1e-6), Choice(1.0)]) == Choice(1.0)
    assert choose(X, answers.repeat(2, 0), [Choice(5.0), Choice(5.0)]) == Choice(5.0)


def test_without_two_examples_a_label_the_first_choice_stands() -> None:
    answers = flags(np.array([0, 1, 2]), 3)
    assert choose(X[:3], answers, [Choice(7.0), Choice(1.0)]) == Choice(7.0)


def test_tells_skewed_labels() -> None:
    assert is_skewed(flags(np.array([0] * 10 + [1] * 3), 3), 3.0)
    assert not is_skewed(flags(np.array([0] * 9 + [1] * 3), 3), 3.0)
