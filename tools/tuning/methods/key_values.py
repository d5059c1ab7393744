"""Keys and values that a language model has computed, kept to be read on from.

A text that is read once serves every row that begins with it (the instruction), every label word
that follows it, and every training step of a soft prompt that stands after it. Gradients pass
through, so kept keys and values may themselves be what is trained.

Covered: attention layers, those with a sliding window too (all of it is kept; the model's mask
hides what is outside). Not covered: recurrent layers, see `can_be_kept`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from tools.tuning.errors import MethodUnsuitable

Layers = tuple[tuple[torch.Tensor, torch.Tensor], ...]


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Keys and values of every layer, each of the shape [rows, KV heads, tokens, head width]."""

    layers: Layers

    @property
    def rows(self) -> int:
        return self.layers[0][0].shape[0]

    @property
    def tokens(self) -> int:
        return self.layers[0][0].shape[2]

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for layer in self.layers for part in layer)

    def cache(self) -> DynamicCache:
        """A cache that a model can read on from; this object stays as it is."""
        cache = DynamicCache()
        for number, (keys, values) in enumerate(self.layers):
            cache.update(keys, values, number)
        return cache

    def expand(self, rows: int) -> Self:
        """One row seen as many; nothing is copied."""
        return self._each(lambda part: part.expand(rows, -1, -1, -1))

    def select(self, rows: torch.Tensor) -> Self:
        """These rows, in this order."""
        return self._each(lambda part: part.index_select(0, rows))

    def row(self, row: int, start: int, end: int) -> Self:
        """Some tokens of one row, copied, so that the rest can be forgotten."""
        return self._each(lambda part: part[row : row + 1, :, start:end].clone())

    def _each(self, change: Any) -> Self:
        return type(self)(tuple((change(keys), change(values)) for keys, values in self.layers))


def can_be_kept(model: Any) -> bool:
    """True where every layer is attention, so that what it has read is keys and values alone."""
    layers = DynamicCache(config=model.config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def check(model: Any, way_out: str) -> None:
    """Raises:
    MethodUnsuitable: `can_be_kept` is not so.
    """
    if not can_be_kept(model):
        kind = model.config.model_type
        raise MethodUnsuitable(f"a {kind} model has layers without keys and values; {way_out}")


def empty() -> DynamicCache:
    """A cache that keeps everything, whatever window the model has."""
    return DynamicCache()


def of_cache(cache: DynamicCache) -> KeyValues:
    """What the cache holds."""
    layers: list[Any] = cache.layers  # of several kinds for mypy, of one here
    return KeyValues(tuple((layer.keys, layer.values) for layer in layers))


def read(model: Any, ids: Sequence[int]) -> KeyValues:
    """Reads one text; gives its keys and values as one row."""
    cache = DynamicCache()
    with torch.no_grad():
        model(
            input_ids=torch.tensor([list(ids)], device=model.device),
            past_key_values=cache,
            use_cache=True,
        )
    return of_cache(cache)


def left_aligned(parts: Sequence[KeyValues]) -> tuple[KeyValues, torch.Tensor]:
    """Rows of different lengths as one, zeros before the shorter ones, and the mask [rows, tokens].

    Padding stands before the text, so that what follows keeps its distances to it.
    """
    longest = max(part.tokens for part in parts)
    first = parts[0].layers[0][0]
    mask = torch.zeros((len(parts), longest), dtype=torch.long, device=first.device)
    for row, part in enumerate(parts):
        mask[row, longest - part.tokens :] = 1
    layers = []
    for number in range(len(parts[0].layers)):
        pair = []
        for which in (0, 1):
            shape = parts[0].layers[number][which].shape
            whole = first.new_zeros((len(parts), shape[1], longest, shape[3]))
            for row, part in enumerate(parts):
                whole[row, :, longest - part.tokens :] = part.layers[number][which][0]
            pair.append(whole)
        layers.append((pair[0], pair[1]))
    return KeyValues(tuple(layers)), mask
