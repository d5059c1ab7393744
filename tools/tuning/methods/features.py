"""What a head or a vote sees of an input: the frozen vector of a text, or those of two compared."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.tuning.examples import Input, TextInput
from tools.tuning.methods.base import Bench
from tools.tuning.methods.frozen import Frozen
from tools.tuning.task import Task

Vectors = NDArray[np.float32]


def text_features(
    frozen: Frozen,
    task: Task,
    inputs: Sequence[Input],
    bench: Bench | None = None,
    *,
    last_only: bool = False,
) -> Vectors:
    """Inputs x numbers, each of length 1; of the encoder's last layer alone where asked.

    A pair is both vectors, the size of their difference and their product, number by number: what a
    linear head needs to see whether two texts agree.
    """
    texts = [given for given in inputs if isinstance(given, TextInput)]
    first = frozen.text_vectors([TextInput(given.text) for given in texts], bench)
    if last_only:
        first = frozen.reader.last_layer(first)
    if not task.pairs:
        return first
    second = frozen.text_vectors([TextInput(given.pair) for given in texts], bench)
    if last_only:
        second = frozen.reader.last_layer(second)
    product = first * second * np.float32(np.sqrt(first.shape[1]))
    together = np.concatenate([first, second, np.abs(first - second), product], axis=1)
    lengths = np.linalg.norm(together, axis=1, keepdims=True)
    scaled: Vectors = (together / np.maximum(lengths, 1e-9)).astype(np.float32)
    return scaled
