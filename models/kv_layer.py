"""A key-value cache layer that keeps all tokens and grows in place.

The library's own layer copies everything it holds for each new token. This one writes into a buffer
with room to spare. It also stands in for sliding-window layers, which forget what a crop would
need: the model's mask hides the tokens outside the window, so only memory is spent.
"""

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

ROOM = 256
"""Buffers have room for at least so many further tokens after they grew, or an eighth more."""


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # not annotated there
    """Keys and values of one attention layer; `keys` and `values` are views of the used part."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.key_buffer: torch.Tensor | None = None
        self.value_buffer: torch.Tensor | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends the new tokens' keys and values and returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used = self.get_seq_length()
        self.key_buffer = _with_room(self.key_buffer, key_states, used)
        self.value_buffer = _with_room(self.value_buffer, value_states, used)
        end = used + key_states.shape[-2]
        self.key_buffer[..., used:end, :] = key_states
        self.value_buffer[..., used:end, :] = value_states
        self.keys = self.key_buffer[..., :end, :]
        self.values = self.value_buffer[..., :end, :]
        return self.keys, self.values

    def reset(self) -> None:
        """Forgets everything and gives the buffers back."""
        super().reset()
        self.key_buffer = self.value_buffer = None

    def first(self, length: int) -> "GrowingLayer":
        """An independent copy of the first tokens."""
        copy = GrowingLayer()
        if self.keys is not None and self.values is not None and length > 0:
            copy.update(self.keys[..., :length, :], self.values[..., :length, :])
        return copy


def _with_room(buffer: torch.Tensor | None, states: torch.Tensor, used: int) -> torch.Tensor:
    """The buffer, or a larger one with the same contents if the new states do not fit."""
    need = used + states.shape[-2]
    if buffer is not None and need <= buffer.shape[-2]:
        return buffer
    grown = states.new_empty((*states.shape[:-2], need + max(ROOM, need // 8), states.shape[-1]))
    if buffer is not None:
        grown[..., :used, :] = buffer[..., :used, :]
    return grown
