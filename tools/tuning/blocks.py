"""What candidates are measured on: blocks of training rows, held-out rows and a seed each.

    plan = plan_blocks(examples, seed=0)             # cross-validation
    plan = plan_blocks(examples, dev=dev, seed=0)    # the same held-out rows in every block

Every candidate is fitted and scored on the same blocks in the same order, so that any two can be
compared row by row. In cross-validation each row is held out once a round; with a dev split only
the seed changes from block to block.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.tuning.examples import Example
from tools.tuning.splits import folds

FOLDS = 5
SEEDS = 3
"""At least so many seeds are behind every figure of a method that is chosen."""
FEW_ROWS = 200
"""Up to so many, all folds are run: three of five would hold out too few rows to tell by."""
ROUNDS = 3
"""Rounds of cross-validation at most, each with folds of its own."""
CROSS_VALIDATE_BELOW = 1_000
"""Rows without a dev file of their own. A tenth of fewer is too few to tell methods apart: at 50
rows an accuracy of 0.8 has a standard error of 0.06."""
RACE_ROWS = 1_000
"""Training rows of a block at most; the winner is fitted on all rows afterwards."""
HELD_ROWS = 2_000
"""Held-out rows of a block at most."""
STOP_FROM = 200
"""From so many training rows on, some are kept for early stopping and calibration."""
STOP_SHARE = 8
"""One in so many."""
SLICES = 40
"""A part of the rows is drawn as some of so many folds, which keep the shares of the labels."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fit, and what it is scored on."""

    number: int
    seed: int
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    """For early stopping and calibration; none of `held`. Empty where rows are few."""
    held: tuple[int, ...]
    """Which rows of the pool it is scored on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All blocks over one pool of rows."""

    blocks: tuple[Block, ...]
    pool: tuple[Example, ...]
    cross_validated: bool
    fewest: int
    """A candidate needs so many blocks to be chosen."""
    round: int
    """Blocks that together hold out every row of the pool once."""

    @property
    def train_rows(self) -> int:
        """Rows to learn from in a block."""
        return len(self.blocks[0].train) + len(self.blocks[0].dev)

    @property
    def held_rows(self) -> int:
        """Rows that a block is scored on."""
        return len(self.blocks[0].held)


def plan_blocks(examples: Sequence[Example], *, dev: Sequence[Example] = (), seed: int = 0) -> Plan:
    """The blocks of a choice.

    Args:
        examples: rows to learn from.
        dev: rows that are only for scoring; left out, every fold of `examples` is in turn.

    Raises:
        DataError: too few different texts to hold any out.
    """
    return _fixed(examples, dev, seed) if dev else _crossed(examples, seed)


def _fixed(examples: Sequence[Example], dev: Sequence[Example], seed: int) -> Plan:
    pool = tuple(_some(dev, HELD_ROWS, seed))
    held = tuple(range(len(pool)))
    blocks = []
    for number in range(SEEDS):
        drawn = _some(examples, RACE_ROWS, seed + number)
        train, stop = apart(drawn, seed + number)
        blocks.append(Block(number, seed + number, train, stop, held))
    return Plan(tuple(blocks), pool, False, SEEDS, 1)


def _crossed(examples: Sequence[Example], seed: int) -> Plan:
    pool = tuple(examples)
    places = {id(example): place for place, example in enumerate(pool)}
    blocks: list[Block] = []
    for round_ in range(ROUNDS):
        for fold in folds(pool, FOLDS, seed + round_):
            number = len(blocks)
            train, stop = apart(fold.train, seed + number)
            held = tuple(places[id(example)] for example in fold.held)
            blocks.append(Block(number, seed + number, train, stop, held))
    size = len(blocks) // ROUNDS
    fewest = size if len(pool) <= FEW_ROWS else min(SEEDS, size)
    return Plan(tuple(blocks), pool, True, fewest, size)


def apart(
    examples: Sequence[Example], seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Rows to learn from and rows to stop by; all to learn from where they are few."""
    if len(examples) < STOP_FROM:
        return tuple(examples), ()
    fold = folds(examples, STOP_SHARE, seed)[0]
    return fold.train, fold.held


def _some(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """At most so many rows in their order, with every label's share kept."""
    if len(examples) <= count:
        return list(examples)
    parts = folds(examples, SLICES, seed)[: max(1, SLICES * count // len(examples))]
    drawn = {id(example) for part in parts for example in part.held}
    return [example for example in examples if id(example) in drawn][:count]
