"""Tests of the blocks: who is held out when, and that nothing is learned from what is scored."""

import pytest

from tests.tools.tuning.plain_methods import reviews
from tools.tuning.blocks import RACE_ROWS, SEEDS, STOP_FROM, plan_blocks
from tools.tuning.errors import DataError
from tools.tuning.examples import TextExample, TextInput


def test_every_row_is_held_out_once_a_round() -> None:
    plan = plan_blocks(reviews(50))
    first = plan.blocks[: plan.round]
    assert sorted(place for block in first for place in block.held) == list(range(50))
    assert plan.cross_validated


def test_what_is_scored_is_never_learned_from() -> None:
    for plan in (plan_blocks(reviews(60)), plan_blocks(reviews(400), dev=reviews(460)[400:])):
        for block in plan.blocks:
            seen = {example.input for example in (*block.train, *block.dev)}
            assert not seen & {plan.pool[place].input for place in block.held}


def test_each_block_has_a_seed_of_its_own() -> None:
    plan = plan_blocks(reviews(60), seed=7)
    assert len({block.seed for block in plan.blocks}) == len(plan.blocks) >= SEEDS


def test_a_dev_file_is_held_out_in_every_block() -> None:
    plan = plan_blocks(reviews(100), dev=reviews(130)[100:])
    assert {block.held for block in plan.blocks} == {tuple(range(30))}
    assert not plan.cross_validated


def test_some_rows_are_kept_to_stop_by_where_there_are_enough() -> None:
    few, many = plan_blocks(reviews(60)), plan_blocks(reviews(STOP_FROM * 2))
    assert all(not block.dev for block in few.blocks)
    assert all(block.dev for block in many.blocks)


def test_a_long_file_is_raced_on_a_part_that_keeps_the_shares() -> None:
    rows = reviews(RACE_ROWS * 3)
    plan = plan_blocks(rows, dev=reviews(RACE_ROWS * 3 + 50)[-50:])
    (block, *_) = plan.blocks
    assert RACE_ROWS * 0.8 < plan.train_rows <= RACE_ROWS
    good = sum(e.labels == ("good",) for e in block.train if isinstance(e, TextExample))
    assert 0.45 < good / len(block.train) < 0.55


def test_rows_of_one_text_are_never_on_both_sides() -> None:
    rows = [*reviews(30), *reviews(30)]
    for block in plan_blocks(rows).blocks:
        held = {rows[place].input for place in block.held}
        assert not held & {example.input for example in block.train}


def test_one_text_cannot_be_held_out() -> None:
    with pytest.raises(DataError):
        plan_blocks([TextExample(TextInput("a"), ("x",), 1)] * 5)
