"""The layer that grows in place holds what the library's own layer holds."""

from random import Random

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from models.kv_layer import ROOM, GrowingLayer


def states(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    # Keys and values may differ in width.
    return torch.randn(1, 2, count, 4), torch.randn(1, 2, count, 6)


@pytest.mark.parametrize("seed", range(5))
def test_it_holds_the_same_through_growing_and_cropping(seed: int) -> None:
    torch.manual_seed(seed)
    random = Random(seed)
    layer, plain = GrowingLayer(), DynamicLayer()  # type: ignore[no-untyped-call]
    for _ in range(40):
        new = states(random.choice([1, 1, 7, ROOM // 2, 2 * ROOM]))
        for mine, theirs in zip(layer.update(*new), plain.update(*new), strict=True):
            assert torch.equal(mine, theirs)
        if random.random() < 0.5:
            removed = random.randrange(plain.get_seq_length() + 1)
            layer.crop(-removed)
            plain.crop(-removed)
        assert layer.get_seq_length() == plain.get_seq_length()


def test_a_copy_of_its_beginning_is_independent() -> None:
    layer = GrowingLayer()
    layer.update(*states(10))
    copy = layer.first(6)
    assert copy.keys is not None
    assert layer.keys is not None
    before = copy.keys.clone()
    layer.crop(-8)
    layer.update(*states(5))
    assert torch.equal(copy.keys, before)
    assert GrowingLayer().first(0).get_seq_length() == 0


def test_one_more_token_does_not_move_the_others() -> None:
    layer = GrowingLayer()
    layer.update(*states(10))
    assert layer.key_buffer is not None
    place = layer.key_buffer.data_ptr()
    for _ in range(ROOM):
        layer.update(*states(1))
    assert layer.key_buffer.data_ptr() == place
    layer.update(*states(1))
    assert layer.key_buffer.data_ptr() != place


def test_after_a_reset_it_starts_anew() -> None:
    layer = GrowingLayer()
    layer.update(*states(10))
    layer.reset()
    assert layer.get_seq_length() == 0
    new = states(3)
    assert torch.equal(layer.update(*new)[0], new[0])
