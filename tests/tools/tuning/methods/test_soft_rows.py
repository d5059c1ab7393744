"""Passes through soft prompts and kept keys: the same as one written out by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.models.tiny import load, publish
from tools.tuning.methods import key_values
from tools.tuning.methods.padding import by_length, padded
from tools.tuning.methods.reader import Reader
from tools.tuning.methods.soft_rows import read_after, read_rows
from tools.tuning.methods.text_cache import TextCache

ROWS = [[20, 21, 22], [30], [40, 41, 42, 43, 44, 45, 46, 47], [50, 51]]
HEAD, LEAD = [7, 8, 9, 10, 11], [12, 13]
KINDS = ["llama", "gpt2", "gemma3_text", "mistral"]


@pytest.fixture(params=KINDS)
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    return Reader(load(publish(tmp_path, request.param)).model)


def prompt_of(reader: Reader, tokens: int = 6) -> Tensor:
    torch.manual_seed(3)
    return torch.randn(tokens, reader.embed(torch.tensor([0])).shape[-1])


def by_hand(reader: Reader, *parts: list[int] | Tensor) -> Tensor:
    """The hidden state at the end of one row whose vectors are put together by hand."""
    vectors = [reader.embed(torch.tensor(p)) if isinstance(p, list) else p for p in parts]
    whole = torch.cat(vectors)[None]
    with torch.no_grad():
        read = reader.model.base_model(inputs_embeds=whole, use_cache=False)
    last: Tensor = read.last_hidden_state[0, -1]
    return last


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_prompt_in_front_is_read_as_written_by_hand_whatever_the_padding(
    reader: Reader, side: str
) -> None:
    prompt = prompt_of(reader)
    with torch.no_grad():
        together = read_rows(reader, padded(ROWS, side=side), prompt=prompt)  # type: ignore[arg-type]
        alone = torch.cat([read_rows(reader, padded([row]), prompt=prompt) for row in ROWS])
    wanted = torch.stack([by_hand(reader, prompt, row) for row in ROWS])
    torch.testing.assert_close(together, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_kept_keys_in_front_are_the_text_that_they_were_made_of(reader: Reader, side: str) -> None:
    past = key_values.read(reader.model, HEAD)
    with torch.no_grad():
        found = read_rows(reader, padded(ROWS, side=side), past=past)  # type: ignore[arg-type]
    wanted = torch.stack([by_hand(reader, HEAD, row) for row in ROWS])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kept_bytes", [0, 10_000_000], ids=["read each time", "kept"])
def test_a_prompt_after_kept_texts_is_read_as_written_by_hand(
    reader: Reader, kept_bytes: int
) -> None:
    prompt = prompt_of(reader)
    head = key_values.read(reader.model, HEAD)
    cache = TextCache(reader, head, ROWS, kept_bytes=kept_bytes)
    wanted = torch.stack([by_hand(reader, HEAD, row, prompt, LEAD) for row in ROWS])
    for places in ([0, 1, 2, 3], [2, 0], [1], [3, 3]):
        with torch.no_grad():
            texts, lengths = cache.take(places)
            found = read_after(reader, [head], texts, lengths, LEAD, prompt=prompt)
        torch.testing.assert_close(found, wanted[places], atol=1e-4, rtol=1e-4)


def test_the_gradient_reaches_the_prompt_and_nothing_else(reader: Reader) -> None:
    reader.model.requires_grad_(False)
    prompt = prompt_of(reader).requires_grad_()
    cache = TextCache(reader, key_values.read(reader.model, HEAD), ROWS)
    texts, lengths = cache.take([0, 1, 2])
    head = key_values.read(reader.model, HEAD)
    read_after(reader, [head], texts, lengths, LEAD, prompt=prompt).pow(2).sum().backward()  # type: ignore[no-untyped-call]
    assert prompt.grad is not None
    assert bool((prompt.grad.abs().sum(-1) > 0).all())
    assert all(weight.grad is None for weight in reader.model.parameters())


def test_batches_hold_every_row_once_and_no_more_tokens_than_wanted() -> None:
    lengths = [3, 50, 7, 7, 200, 1, 30, 30]
    found = list(by_length(lengths, tokens=60, rows=3))
    assert sorted(place for batch in found for place in batch) == list(range(8))
    assert all(len(b) == 1 or max(lengths[i] for i in b) * len(b) <= 60 for b in found)
    assert all(len(batch) <= 3 for batch in found)
