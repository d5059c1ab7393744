"""Pooling against the same done by hand, with padding that must count for nothing."""

import pytest
import torch

from models.pooling import pooled
from models.sentence_folder import POOLINGS, Pooling

TOKENS = torch.tensor([[[1.0, -4.0], [3.0, 2.0], [900.0, 900.0]], [[5.0, 5.0]] * 3])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("mode", "first"),
    [
        ("cls", [1.0, -4.0]),
        ("mean", [2.0, -1.0]),
        ("max", [3.0, 2.0]),
        ("mean_sqrt_len_tokens", [4 / 2**0.5, -2 / 2**0.5]),
        ("weightedmean", [7 / 3, 0.0]),
        ("lasttoken", [3.0, 2.0]),
    ],
)
def test_padding_counts_for_nothing(mode: Pooling, first: list[float]) -> None:
    assert pooled(TOKENS, MASK, [mode])[0].tolist() == pytest.approx(first)


@pytest.mark.parametrize("mode", [m for m in POOLINGS if m != "mean_sqrt_len_tokens"])
def test_equal_tokens_give_that_token(mode: Pooling) -> None:
    assert pooled(TOKENS, MASK, [mode])[1].tolist() == pytest.approx([5.0, 5.0])


def test_several_are_put_one_behind_the_other() -> None:
    assert pooled(TOKENS, MASK, ["cls", "max"])[0].tolist() == [1.0, -4.0, 3.0, 2.0]
