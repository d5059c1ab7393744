"""What a training needs to be told and what it tells back: data only, used by `training.py`."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

MOST_HALVINGS = 3
"""So often is a batch halved when memory runs out; then OutOfMemory."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train."""

    steps: int
    """Updates of the weights at most; the schedule ends there."""
    lr: float
    """The highest learning rate, reached at the end of the warm-up."""
    warmup: float = 0.06
    """Share of the steps in which the rate rises."""
    decay: Literal["linear", "cosine", "constant"] = "linear"
    """How it falls to zero afterwards."""
    weight_decay: float = 0.01
    """For matrices; vectors (biases, norms) are never decayed."""
    clip: float = 1.0
    """The largest norm of all gradients together."""
    evaluate_every: int = 0
    """Steps between evaluations, one is made at the end as well; 0 is never."""
    patience: int = 0
    """Stop after so many evaluations without a better one; 0 is never."""
    best_by: Literal["loss", "score"] = "loss"
    """What makes an evaluation the best: the lowest loss or the highest score."""
    save_every: int = 0
    """Steps between checkpoints; 0 is by time alone."""
    max_halvings: int = MOST_HALVINGS


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of some rows, summed, so that pieces of a batch add up to the batch; one over pairs
    adds up the pairs within each piece."""

    total: Tensor
    """A scalar with a gradient."""
    count: float
    """What it sums over (rows, tokens); the update uses total / count."""


@dataclass(frozen=True, slots=True)
class Dev:
    """One evaluation on held-out rows."""

    loss: float
    """Mean negative log-likelihood."""
    score: float | None = None
    """In the task's main metric; higher is better."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How a training went."""

    steps: int
    """Updates that were made."""
    best_step: int
    """The update after which the weights are as they are now."""
    dev: Dev | None
    """The evaluation there; None without any."""
    note: str = ""
    """Why it ended before its time; empty where it did not."""


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The factor of the learning rate at that step (from 0) of so many, in [0, 1]."""
    warm = max(1, round(recipe.warmup * steps))
    if step < warm:
        return (step + 1) / warm
    if recipe.decay == "constant":
        return 1.0
    done = min(1.0, (step - warm) / max(1, steps - warm))
    return 1.0 - done if recipe.decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
