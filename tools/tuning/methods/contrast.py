"""Contrastive loss over all pairs of a batch, and batches in which every text has a partner.

Pairs are never written down: a batch of n texts is n(n-1)/2 of them, made when they are needed.
Where memory runs out and a batch is read in pieces, only the pairs within a piece count: the
gradient is that of smaller batches, so a batch is laid out to have partners and others in each.
"""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from tools.tuning.methods.recipe import Loss

TEMPERATURE = 0.1
"""Of supervised contrastive learning (Khosla et al. 2020)."""


class PartnerBatches:
    """Rows of a step, drawn by seed and step alone: several of each label that takes part.

    Neighbours are a pair of one label, then one of the next, so that pieces of a batch train too.
    """

    def __init__(self, answers: NDArray[np.float32], size: int, *, seed: int) -> None:
        """Args:
        answers: rows x labels, 1 where a row has the label.
        size: rows of a batch, about.
        """
        self._members = [np.flatnonzero(column > 0.5) for column in answers.T]
        self._members = [rows for rows in self._members if len(rows)]
        none = np.flatnonzero(answers.sum(axis=1) == 0)
        if len(none):
            self._members.append(none)
        self._size = max(4, size)
        self._seed = seed

    def __call__(self, step: int) -> list[int]:
        random = np.random.default_rng((self._seed, step))
        labels = min(len(self._members), self._size // 2)
        each = max(2, self._size // labels)
        pairs: list[list[list[int]]] = []
        for label in random.permutation(len(self._members))[:labels]:
            members = self._members[label]
            drawn = random.choice(members, min(each, len(members)), replace=False).tolist()
            pairs.append([drawn[i : i + 2] for i in range(0, len(drawn), 2)])
        # Two of each label in turn, so that any four rows side by side have partners and others.
        turns = zip_longest(*pairs, fillvalue=[])
        return list(dict.fromkeys(row for turn in turns for pair in turn for row in pair))


def contrastive_loss(vectors: Tensor, answers: Tensor) -> Loss:
    """How far texts of like labels are from standing closer than all others.

    Args:
        vectors: texts x numbers, of any length.
        answers: texts x labels, 1 where a text has the label. Two texts are alike by the share of
            their labels that both have; two without any label are alike.
    """
    unit = normalize(vectors, dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    scores = (unit @ unit.T / TEMPERATURE).masked_fill(itself, float("-inf"))
    log_shares = scores.log_softmax(dim=1).masked_fill(itself, 0.0)
    alike = likeness(answers).masked_fill(itself, 0.0)
    partners = alike.sum(dim=1)
    has_partner = partners > 0
    each = -(log_shares * alike).sum(dim=1)[has_partner] / partners[has_partner]
    return Loss(each.sum(), float(has_partner.sum()))


def likeness(answers: Tensor) -> Tensor:
    """Texts x texts, in [0, 1]: labels of both over labels of either."""
    both = answers @ answers.T
    counts = answers.sum(dim=1)
    either = counts[:, None] + counts[None, :] - both
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both))


def pairs_of(sizes: Sequence[int]) -> int:
    """How many pairs batches of these sizes hold."""
    return sum(size * (size - 1) // 2 for size in sizes)
