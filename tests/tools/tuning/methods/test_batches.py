"""Batches: every row once an epoch, of about one length, the same whatever was asked before."""

import numpy as np
import pytest

from tools.tuning.methods.batches import LengthBatches

LENGTHS = np.random.default_rng(1).integers(1, 100, 1_003).tolist()


def test_an_epoch_holds_every_row_once() -> None:
    batches = LengthBatches(LENGTHS, 16, seed=0)
    assert batches.per_epoch == 63
    for epoch in range(2):
        steps = range(epoch * 63, (epoch + 1) * 63)
        assert sorted(row for step in steps for row in batches(step)) == list(range(1_003))


def test_a_step_can_be_asked_for_out_of_turn() -> None:
    batches = LengthBatches(LENGTHS, 16, seed=0)
    in_turn = [batches(step) for step in range(130)]
    fresh = LengthBatches(LENGTHS, 16, seed=0)
    assert [fresh(step) for step in (129, 3, 70)] == [in_turn[129], in_turn[3], in_turn[70]]


def test_seeds_and_epochs_differ() -> None:
    batches = LengthBatches(LENGTHS, 16, seed=0)
    assert batches(0) != LengthBatches(LENGTHS, 16, seed=1)(0)
    assert batches(0) != batches(63)


def test_little_of_a_batch_is_padding() -> None:
    batches = LengthBatches(LENGTHS, 16, seed=0)
    padded = sum(len(b) * max(LENGTHS[i] for i in b) for b in map(batches, range(63)))
    assert padded < 1.15 * sum(LENGTHS)


def test_batches_do_not_come_in_the_order_of_length() -> None:
    batches = LengthBatches(LENGTHS, 16, seed=0)
    means = [np.mean([LENGTHS[i] for i in batches(step)]) for step in range(40)]
    assert abs(np.corrcoef(means, range(40))[0, 1]) < 0.5


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        LengthBatches([], 4, seed=0)
