"""The choice of the next token from the scores."""

import numpy as np
import pytest

from models.errors import ModelError
from models.request import Sampling
from models.sampling import Sampler, log_probability

SCORES = np.array([1.0, 3.0, 2.0, -1.0], dtype=np.float32)


def counts(sampling: Sampling, draws: int = 4000) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    sampler = Sampler(sampling)
    drawn = [sampler.choose(SCORES) for _ in range(draws)]
    return np.bincount(drawn, minlength=4) / draws


def test_temperature_zero_takes_the_likeliest_token_and_the_lowest_id_of_equals() -> None:
    assert Sampler(Sampling()).choose(SCORES) == 1
    assert Sampler(Sampling()).choose(np.array([0, 5, 5], dtype=np.float32)) == 1


def test_a_masked_token_is_never_chosen() -> None:
    mask = np.array([True, False, False, True])
    assert Sampler(Sampling()).choose(SCORES, mask) == 0
    sampler = Sampler(Sampling(temperature=5.0))
    assert {sampler.choose(SCORES, mask) for _ in range(200)} == {0, 3}


def test_draws_follow_the_softmax_at_the_temperature() -> None:
    for temperature in (0.5, 1.0, 2.0):
        expected = np.exp(SCORES / temperature) / np.exp(SCORES / temperature).sum()
        assert counts(Sampling(temperature=temperature)) == pytest.approx(expected, abs=0.03)


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    # Softmax of the scores: 0.09, 0.66, 0.24, 0.01.
    assert counts(Sampling(temperature=1.0, top_p=0.6))[1] == 1.0
    two = counts(Sampling(temperature=1.0, top_p=0.85))
    assert two[0] == two[3] == 0
    assert two[1] == pytest.approx(0.665 / (0.665 + 0.245), abs=0.03)


def test_the_same_seed_draws_the_same_tokens_and_another_does_not() -> None:
    def draw(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.5, seed=seed))
        return [sampler.choose(SCORES) for _ in range(40)]

    assert draw(7) == draw(7) != draw(8)


def test_scores_that_are_no_numbers_are_an_error_and_not_a_token() -> None:
    with pytest.raises(ModelError, match="nan"):
        Sampler(Sampling()).choose(np.array([0.0, np.nan], dtype=np.float32))


def test_a_mask_without_any_token_is_an_error() -> None:
    with pytest.raises(ModelError, match="allows no token"):
        Sampler(Sampling()).choose(SCORES, np.zeros(4, dtype=np.bool_))


@pytest.mark.parametrize("bad", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_settings_out_of_range_are_named(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        Sampler(Sampling(**bad))  # type: ignore[arg-type]  # only floats here


def test_log_probabilities_sum_to_one() -> None:
    assert sum(np.exp(log_probability(SCORES, i)) for i in range(4)) == pytest.approx(1.0)
