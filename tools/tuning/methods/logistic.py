"""Logistic regression as two tensors: fitted by scikit-learn, asked and stored without it."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.tuning.errors import MethodUnsuitable

Numbers = NDArray[np.floating]
ABSENT = -30.0
"""The score of a label without an example, beside which any other wins."""
ITERATIONS = 500
FOLDS = 5
MOST_WORK = 4_000_000_000
"""Rows x numbers x labels x settings x folds that are worth trying out settings: some 100 s."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """Linear scores."""

    weights: Numbers
    """Labels x numbers."""
    bias: Numbers
    """One a label."""
    flags: bool = False
    """Each label is asked for by itself."""

    def log_probabilities(self, features: Numbers) -> Numbers:
        """Rows x labels; of a label by itself where there are `flags`."""
        scores = features.astype(np.float64) @ self.weights.T + self.bias
        if self.flags:
            return -np.logaddexp(0.0, -scores)
        top = scores.max(axis=1, keepdims=True)
        found: Numbers = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
        return found

    def probabilities(self, features: Numbers) -> Numbers:
        """Rows x labels."""
        found: Numbers = np.exp(self.log_probabilities(features))
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting of the regression."""

    c: float
    """Inverse strength of the penalty."""
    balanced: bool = False
    """Rare labels weigh as much as frequent ones."""


def fit(features: Numbers, answers: Numbers, choice: Choice, *, flags: bool = False) -> Logistic:
    """The regression on rows with known answers.

    Args:
        answers: rows x labels, 1 where a row has the label; exactly one a row unless `flags`.

    Raises:
        MethodUnsuitable: not even two labels have examples.
    """
    labels = answers.shape[1]
    weights = np.zeros((labels, features.shape[1]))
    bias = np.full(labels, ABSENT)
    if flags:
        for label in range(labels):
            given = answers[:, label] > 0.5
            if given.all() or not given.any():
                bias[label] = -ABSENT if given.all() else ABSENT
            else:
                model = _fitted(features, given, choice)
                weights[label], bias[label] = model.coef_[0], model.intercept_[0]
        return Logistic(weights, bias, flags=True)
    numbers = answers.argmax(axis=1)
    known = np.unique(numbers)
    if len(known) < 2:
        raise MethodUnsuitable("a linear head needs examples of two labels")
    model = _fitted(features, numbers, choice)
    if len(known) == 2:  # one row of scores, for the second label against the first
        weights[known] = np.stack([-model.coef_[0] / 2, model.coef_[0] / 2])
        bias[known] = [-model.intercept_[0] / 2, model.intercept_[0] / 2]
    else:
        weights[known], bias[known] = model.coef_, model.intercept_
    return Logistic(weights, bias)


def choose(
    features: Numbers,
    answers: Numbers,
    choices: Sequence[Choice],
    *,
    flags: bool = False,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> Choice:
    """The choice that is right most often in cross-validation; the first of equals.

    Where that would take too long, fewer folds are looked at; where a label has one example only,
    the first choice is taken as it is.
    """
    from sklearn.model_selection import KFold, StratifiedKFold  # type: ignore[import-untyped]

    rows = len(features)
    numbers = None if flags else answers.argmax(axis=1)
    least = rows if numbers is None else int(np.unique(numbers, return_counts=True)[1].min())
    folds = min(FOLDS, least)
    if len(choices) < 2 or folds < 2:
        return choices[0]
    work = features.size * answers.shape[1] * len(choices)
    looks = max(1, min(folds, MOST_WORK // max(1, work)))
    splitter: Any = KFold if numbers is None else StratifiedKFold
    splits = list(splitter(folds, shuffle=True, random_state=seed).split(features, numbers))[:looks]
    right = np.zeros(len(choices))
    for learn, judge in splits:
        for place, choice in enumerate(choices):
            check()
            model = fit(features[learn], answers[learn], choice, flags=flags)
            found = model.probabilities(features[judge])
            right[place] += _right(found, answers[judge], flags)
    return choices[int(right.argmax())]


def is_skewed(answers: Numbers, times: float) -> bool:
    """The most frequent label has more than so many times the examples of the rarest."""
    counts = answers.sum(axis=0)
    counts = counts[counts > 0]
    return len(counts) > 1 and bool(counts.max() > times * counts.min())


def _right(found: Numbers, answers: Numbers, flags: bool) -> float:
    """In the task's main metric, over the rows of one fold."""
    if not flags:
        return float((found.argmax(axis=1) == answers.argmax(axis=1)).mean())
    said, true = found > 0.5, answers > 0.5
    return float(2 * (said & true).sum() / max(1, said.sum() + true.sum()))


def _fitted(features: Numbers, answers: Any, choice: Choice) -> Any:
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model: Any = LogisticRegression(
        C=choice.c,
        class_weight="balanced" if choice.balanced else None,
        max_iter=ITERATIONS,
    )
    # One thread: two spent ten times the processor time on matrices as small as these.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # A head that is almost there is as good.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, answers)
