"""Label scores without what the model would say of any text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tools.tuning.calibration import (
    choose,
    fitness,
    margins,
    prior_offsets,
    probabilities,
)

finite = st.floats(-60, 60)


@given(arrays(float, (5, 3), elements=finite), arrays(float, 3, elements=finite))
def test_probabilities_sum_to_one_or_stand_alone(scores: np.ndarray, offsets: np.ndarray) -> None:
    single = probabilities(margins(scores, multi_label=False), offsets, multi_label=False)
    assert single.sum(1) == pytest.approx(1)
    several = probabilities(margins(scores, multi_label=True), offsets[:2], multi_label=True)
    assert several.shape == (5, 2)
    assert ((several >= 0) & (several <= 1)).all()


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_prior_makes_the_mean_answer_the_labels_share(multi_label: bool) -> None:
    random = np.random.default_rng(0)
    given = random.normal(size=(200, 3)) + [3, 0, -2]  # the model loves the first label
    truth = np.zeros((200, 3), dtype=bool)
    truth[np.arange(200), random.integers(0, 3, 200)] = True
    offsets = prior_offsets(given, truth, multi_label=multi_label)
    mean = probabilities(given, offsets, multi_label=multi_label).mean(0)
    assert mean == pytest.approx(truth.mean(0), abs=0.02)


def test_a_biased_model_is_mended_and_the_kind_is_said() -> None:
    random = np.random.default_rng(1)
    truth = np.eye(2, dtype=bool)[random.integers(0, 2, 64)]
    told = np.where(truth, 1.0, -1.0) + random.normal(scale=0.3, size=(64, 2)) + [6, 0]
    given = margins(told, multi_label=False)
    bare = fitness(given, np.zeros(2), truth, multi_label=False)
    kind, offsets, fits = choose({}, given, truth, multi_label=False)
    assert kind == "prior"
    assert fits.hits > 0.95 > bare.hits
    right = probabilities(given, offsets, multi_label=False).argmax(1) == truth.argmax(1)
    assert right.mean() > 0.95


def test_a_prior_is_not_judged_by_the_rows_it_was_fitted_to() -> None:
    """On pure noise its fitness must not look better than a blind guess's by much."""
    random = np.random.default_rng(2)
    given = margins(random.normal(scale=3, size=(40, 8)), multi_label=False)
    truth = np.eye(8, dtype=bool)[random.integers(0, 8, 40)]
    _, _, fits = choose({}, given, truth, multi_label=False, kinds=("prior",))
    assert fits.log_likelihood < -np.log(8)


def test_too_few_rows_have_no_prior_and_equals_go_to_the_first() -> None:
    given = margins(np.array([[1.0, 0.0], [0.0, 1.0]]), multi_label=False)
    truth = np.eye(2, dtype=bool)
    kind, _, fits = choose({"pmi": np.zeros(2)}, given, truth, multi_label=False)
    assert (kind, fits.hits) == ("none", 1.0)


def test_several_labels_count_by_their_overlap() -> None:
    given = np.array([[2.0, 2.0, -2.0], [-2.0, -2.0, -2.0]])
    truth = np.array([[True, False, False], [False, False, False]])
    assert fitness(given, np.zeros(3), truth, multi_label=True).hits == pytest.approx(0.75)
