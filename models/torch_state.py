"""What a transformers model has read of one sequence, and where that can go back to.

Attention layers can forget their last tokens. Recurrent layers (linear attention, state spaces,
convolutions) cannot, so copies of them are kept at marked lengths.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import (
    DummyLayer,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

from models.kv_layer import GrowingLayer
from models.network import Logits

if TYPE_CHECKING:
    from models.torch_network import TorchNetwork

MARKS = 6
"""A state keeps its latest marks, at most so many."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The layers that cannot be cropped as they were at one length, and the scores there."""

    layers: dict[int, Any]
    logits: Logits


class TorchState:
    """One sequence of one network; grows by `forward`."""

    def __init__(self, network: "TorchNetwork", adapter: str | None) -> None:
        self._network = network
        self._adapter = adapter
        self._cache = _new_cache(network.model.config)
        self._length = 0
        self._started = False  # a soft prompt, if any, has been read
        self._logits: Logits | None = None
        self._marks: OrderedDict[int, Mark] = OrderedDict()

    @property
    def length(self) -> int:
        """Tokens read; a soft prompt does not count."""
        return self._length

    @property
    def logits(self) -> Logits | None:
        """Scores after the last token, unless a crop lost them."""
        return self._logits

    @property
    def bytes(self) -> int:
        """Memory of the cache and of all marks, spare room included."""
        storages = [tensor.untyped_storage() for tensor in self._tensors()]
        sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
        return sum(sizes.values()) + sum(mark.logits.nbytes for mark in self._marks.values())

    @property
    def needs_marks(self) -> bool:
        """Some layer is recurrent."""
        return any(not _can_crop(layer) for layer in self._cache.layers)

    def forward(self, ids: Sequence[int]) -> Logits:
        """Reads more tokens in one pass; the scores after the last one."""
        self._read(ids, rows=1)
        assert self._logits is not None
        return self._logits

    def forward_each(self, ids: Sequence[int]) -> Logits:
        """Reads more tokens in one pass; the scores after each of them."""
        return self._read(ids, rows=len(ids))

    def reachable(self, length: int) -> int:
        """The longest length up to this one that can be gone back to."""
        if length >= self._length:
            return self._length
        if not self.needs_marks:
            return max(length, 0)
        return max((at for at in self._marks if at <= length), default=0)

    def knows(self, length: int) -> bool:
        """The scores at this length are kept."""
        return length in self._marks or (length == self._length and self._logits is not None)

    def mark(self) -> None:
        """Keeps a copy of the recurrent layers at the present length."""
        if not self.needs_marks or self._logits is None:
            return
        with torch.inference_mode():
            layers = {
                i: copy.deepcopy(layer)
                for i, layer in enumerate(self._cache.layers)
                if not _can_crop(layer)
            }
        self._marks[self._length] = Mark(layers, self._logits)
        if len(self._marks) > MARKS:
            self._marks.popitem(last=False)

    def crop(self, length: int) -> None:
        """Goes back to a reachable length."""
        self._check(length)
        if length < self._length:
            self._become(self, length, keep=True)

    def fork(self, length: int) -> "TorchState":
        """An independent copy up to a reachable length."""
        self._check(length)
        state = TorchState(self._network, self._adapter)
        state._become(self, length, keep=False)
        return state

    def _read(self, ids: Sequence[int], rows: int) -> Logits:
        if not ids:
            raise ValueError("a pass needs at least one token")
        logits = self._network.run(
            ids, self._cache, adapter=self._adapter, first=not self._started, rows=rows
        )
        self._started = True
        self._length += len(ids)
        self._logits = logits[-1]
        return logits

    def _become(self, source: "TorchState", length: int, *, keep: bool) -> None:
        """Takes the layers of a state (itself or another) as they were at this length."""
        if length == 0:
            self.__init__(self._network, self._adapter)  # type: ignore[misc]  # an empty state again
            return
        removed = source._length - length
        mark = source._marks.get(length)
        with torch.inference_mode():
            for i, layer in enumerate(source._cache.layers):
                if not _can_crop(layer):
                    kept = layer if mark is None else mark.layers[i]
                    self._cache.layers[i] = copy.deepcopy(kept)
                elif not isinstance(layer, GrowingLayer):
                    continue  # a layer without a cache of its own
                elif keep:
                    layer.crop(-removed)
                else:
                    self._cache.layers[i] = layer.first(layer.get_seq_length() - removed)
        if mark is not None:
            self._logits = mark.logits
        else:
            self._logits = source._logits if removed == 0 else None
        self._marks = OrderedDict((at, m) for at, m in source._marks.items() if at <= length)
        self._length, self._started = length, True

    def _check(self, length: int) -> None:
        if self.reachable(length) != length:
            raise ValueError(f"a state of {self._length} tokens cannot go back to {length}")

    def _tensors(self) -> Iterator[torch.Tensor]:
        marked = [layer for mark in self._marks.values() for layer in mark.layers.values()]
        for layer in [*self._cache.layers, *marked]:
            for value in vars(layer).values():
                for item in value.values() if isinstance(value, dict) else (value,):
                    if isinstance(item, torch.Tensor):
                        yield item


def _new_cache(config: Any) -> DynamicCache:
    """The model's kind of cache, with attention layers that grow in place and keep all."""
    cache = DynamicCache(config=config)
    cache.layers = [
        GrowingLayer() if type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) else layer
        for layer in cache.layers
    ]
    return cache


def _can_crop(layer: Any) -> bool:
    return isinstance(layer, GrowingLayer | DummyLayer)
