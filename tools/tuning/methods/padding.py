"""Rows of token ids as one tensor, with what a language model must know about the padding.

Right padding needs no mask: a causal model's token never sees what comes after it. Left padding
needs a mask and explicit positions, without which a row would be read as if it began later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Padded:
    """A batch of rows; every tensor is [rows, longest] but `last`."""

    ids: torch.Tensor
    mask: torch.Tensor
    """1 for tokens, 0 for padding."""
    positions: torch.Tensor
    """From 0 at the row's first token; 0 for padding."""
    last: torch.Tensor
    """[rows]: where each row's last token stands."""
    side: Side


def padded(
    rows: Sequence[Sequence[int]], *, device: torch.device | str = "cpu", side: Side = "right"
) -> Padded:
    """The rows, each with at least one token, as one batch; padding is the id 0, masked out."""
    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(rows):
        start = 0 if side == "right" else longest - len(tokens)
        ids[row, start : start + len(tokens)] = torch.tensor(tokens)
        mask[row, start : start + len(tokens)] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0) * mask
    lengths = mask.sum(1)
    last = lengths - 1 if side == "right" else torch.full_like(lengths, longest - 1)
    return Padded(ids.to(device), mask.to(device), positions.to(device), last.to(device), side)


def by_length(lengths: Sequence[int], *, tokens: int, rows: int = 64) -> Iterator[list[int]]:
    """Places in batches of about one length, longest first: at most so many padded tokens each."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[batch[0]] if batch else lengths[i]
        if batch and (len(batch) == rows or (len(batch) + 1) * longest > tokens):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
