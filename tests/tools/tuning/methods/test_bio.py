"""The likeliest legal tags: legal whatever the scores, and the best among all legal ones."""

import itertools

import numpy as np
import pytest

from tests.long_list import sample
from tools.tuning.methods.bio import legal_sequence, tag_names, tag_numbers, tag_prediction
from tools.tuning.tagging import legal

NAMES = tag_names(("LOC", "PER"))


def test_tags_have_numbers_in_the_order_of_their_types() -> None:
    assert NAMES == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert tag_numbers(NAMES, ("B-PER", "I-PER", "O")) == [3, 4, 0]


@pytest.mark.stress("legal tags")
@pytest.mark.parametrize("seed", sample(range(1_000)))
def test_finds_the_best_of_all_legal_sequences(seed: int) -> None:
    scores = np.log(np.random.default_rng(seed).dirichlet(np.full(5, 0.3), size=4) + 1e-9)
    everything = [
        numbers
        for numbers in itertools.product(range(5), repeat=4)
        if legal([NAMES[i] for i in numbers])
    ]
    best = max(everything, key=lambda numbers: sum(scores[i, n] for i, n in enumerate(numbers)))
    assert legal_sequence(scores).tolist() == list(best)


def test_an_entity_never_begins_inside() -> None:
    sure_of_inside = np.log(np.array([[0.01, 0.01, 0.96, 0.01, 0.01]] * 3))
    said = tag_prediction(NAMES, sure_of_inside)
    assert said.tags == ("B-LOC", "I-LOC", "I-LOC")
    assert said.scores == pytest.approx((0.01, 0.96, 0.96))


def test_a_sentence_without_words_has_no_tags() -> None:
    said = tag_prediction(NAMES, np.zeros((0, 5)))
    assert (said.tags, said.scores) == ((), ())


def test_words_that_say_nothing_go_with_their_neighbours() -> None:
    scores = np.log(
        np.array([[0.02, 0.9, 0.04, 0.02, 0.02], [0.2] * 5, [0.02, 0.04, 0.9, 0.02, 0.02]])
    )
    assert tag_prediction(NAMES, scores).tags == ("B-LOC", "I-LOC", "I-LOC")
    assert tag_prediction(NAMES, np.log(np.full((2, 5), 0.2))).tags == ("O", "O")
