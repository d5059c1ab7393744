"""From the vectors of a text's tokens to one vector. Import it lazily: it brings torch along."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from models.sentence_folder import Pooling


def pooled(tokens: Tensor, mask: Tensor, modes: Sequence[Pooling]) -> Tensor:
    """One vector per text; places where `mask` is 0 are padding and count for nothing.

    Args:
        tokens: texts x places x numbers.
        mask: texts x places, 1 for a token, 0 for padding; at least one token per text.
        modes: several are put one behind the other.
    """
    return torch.cat([_pooled(tokens, mask.unsqueeze(-1).to(tokens.dtype), m) for m in modes], 1)


def _pooled(tokens: Tensor, mask: Tensor, mode: Pooling) -> Tensor:
    if mode == "cls":
        return tokens[:, 0]
    if mode == "max":
        return tokens.masked_fill(mask == 0, -math.inf).max(dim=1).values
    if mode == "lasttoken":
        last = mask.squeeze(-1).long().sum(dim=1) - 1
        return tokens[torch.arange(len(tokens), device=tokens.device), last]
    if mode == "weightedmean":
        mask = mask * torch.arange(1, tokens.shape[1] + 1, device=tokens.device).view(1, -1, 1)
    total, count = (tokens * mask).sum(dim=1), mask.sum(dim=1)
    return total / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)
