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

    def shifted(self, by: torch.Tensor) -> Self:
        """Each row's tokens so many places later; what falls off the end comes to its beginning.

        Moves padding from the end of rows to their beginning, so that what is read on from them
        keeps its distances to every token; layers with a sliding window count these.
        """
        places = torch.arange(self.tokens, device=by.device)
        index = ((places - by[:, None]) % self.tokens)[:, None, :, None]
        return self._each(lambda part: part.take_along_dim(index, 2))

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


def stacked(parts: Sequence[KeyValues]) -> tuple[KeyValues, torch.Tensor]:
    """Rows of different lengths as one, zeros behind the shorter ones, and the length of each."""
    lengths = [part.tokens for part in parts]

    def together(layer: int, which: int) -> torch.Tensor:
        tensors = [part.layers[layer][which] for part in parts]
        shape = tensors[0].shape
        whole = tensors[0].new_zeros((len(parts), shape[1], max(lengths), shape[3]))
        for row, tensor in enumerate(tensors):
            whole[row, :, : lengths[row]] = tensor[0]
        return whole

    layers = range(len(parts[0].layers))
    whole = KeyValues(tuple((together(layer, 0), together(layer, 1)) for layer in layers))
    return whole, torch.tensor(lengths, device=whole.layers[0][0].device)


def joined(parts: Sequence[KeyValues]) -> KeyValues:
    """Kept parts one after the other; all have as many rows."""
    if len(parts) == 1:
        return parts[0]
    return KeyValues(
        tuple(
            (torch.cat([k for k, _ in layer], 2), torch.cat([v for _, v in layer], 2))
            for layer in zip(*(part.layers for part in parts), strict=True)
        )
    )
