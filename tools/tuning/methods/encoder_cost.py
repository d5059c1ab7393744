"""What reading or training an encoder is expected to take, from its size alone."""

import json
import os
from pathlib import Path

from models import catalogue
from models.errors import ModelUnavailable
from tools.tuning.methods.base import Bench, Cost

UNKNOWN_WEIGHTS = 86_000_000
"""Of the layers of an encoder that is not known here: a BERT of base size."""
CORE_FLOPS = 2.0e10
"""Multiplications and additions a second that one slow core does in these networks."""
CUDA_FLOPS = 2.0e13
TRAINING = 3.0
"""A training step is about three reading passes: forward, and backward for inputs and weights."""
BYTES_PER_TOKEN = 60_000
"""Activations that a training step keeps for one token of a small encoder."""
OPTIMIZER_BYTES = 16
"""For each weight that is trained: the gradient, two moments and the best state so far."""


def layer_weights(bench: Bench) -> int:
    """Weights that every token is multiplied with; embeddings are only looked up."""
    name = bench.base or catalogue.EMBEDDER
    try:
        entry = catalogue.find(name) if catalogue.is_known(name) else None
    except ModelUnavailable:
        entry = None
    if entry is not None and entry.shape is not None:
        return entry.parameters - entry.shape.vocabulary * entry.shape.hidden
    return _of_folder(Path(name).expanduser()) or UNKNOWN_WEIGHTS


def reading_cost(tokens: int, bench: Bench) -> Cost:
    """To read so many tokens once."""
    return Cost(2.0 * layer_weights(bench) * tokens / _flops(bench), 300_000_000)


def training_cost(tokens: int, batch_tokens: int, bench: Bench, *, trained: float = 1.0) -> Cost:
    """To train on so many tokens, epochs multiplied in.

    Args:
        batch_tokens: of one step.
        trained: share of the weights that is trained; the others still carry gradients through.
    """
    weights = layer_weights(bench)
    passes = TRAINING if trained > 0.5 else 2.0 + trained
    memory = OPTIMIZER_BYTES * trained * weights + BYTES_PER_TOKEN * batch_tokens
    return Cost(2.0 * passes * weights * tokens / _flops(bench), int(memory))


def _flops(bench: Bench) -> float:
    if (bench.device or "cpu").startswith("cuda"):
        return CUDA_FLOPS
    return CORE_FLOPS * min(os.cpu_count() or 1, 16)


def _of_folder(folder: Path) -> int | None:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
        inner = int(config.get("intermediate_size", 4 * hidden))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return layers * (4 * hidden * hidden + 2 * hidden * inner)
