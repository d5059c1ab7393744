"""Rows of ids: first tokens of words, long sentences in overlapping pieces, strange text."""

from pathlib import Path

import pytest
import torch

from models.trainable import Trainable, load_encoder
from tests.models.tiny_encoder import write_encoder
from tools.tuning.examples import TextInput, TokenInput
from tools.tuning.methods.encoder_inputs import EncoderInputs, batches_of
from tools.tuning.methods.word_shapes import SHAPES

LONG = TokenInput(tuple(f"word{i}" for i in range(200)))


@pytest.fixture
def base(tmp_path: Path, home: Path) -> Trainable:
    return load_encoder(str(write_encoder(tmp_path / "tiny", window=64)), home, "cpu")


def decoded(inputs: EncoderInputs, ids: list[int]) -> str:
    return str(inputs.tokenizer.decode(ids))


def test_each_word_is_found_at_its_first_token(base: Trainable) -> None:
    inputs = EncoderInputs(base, max_tokens=64)
    words = ("Grüße", "the", "quick", "你好", "x", "brown-fox")
    row = inputs.sentences([TokenInput(words)])[0]
    assert row.words == list(range(6))
    ends = [*row.places[1:], len(row.ids)]
    pieces = [decoded(inputs, row.ids[i:j]) for i, j in zip(row.places, ends, strict=True)]
    assert [piece.strip() for piece in pieces] == list(words)
    assert len(row.shapes) == len(row.ids)
    assert SHAPES[row.shapes[row.places[0]]] == "title"


@pytest.mark.weights
def test_words_agree_with_the_tokenizers_own_reading_of_words(weights: Path) -> None:
    base = load_encoder(None, weights, "cpu")
    inputs = EncoderInputs(base, max_tokens=256)
    words = ["Don't", "U.N.", "naïve", "(Reuters)", "北京市", "electrical-engineering", "€5"]
    row = inputs.sentences([TokenInput(tuple(words))])[0]
    theirs = base.tokenizer(words, is_split_into_words=True)
    assert row.ids == theirs["input_ids"]
    firsts = [theirs.word_ids().index(i) for i in range(len(words))]
    assert row.places == firsts


@pytest.mark.parametrize("room", [8, 16, 33, 64])
def test_every_word_of_a_long_sentence_is_tagged_once(base: Trainable, room: int) -> None:
    inputs = EncoderInputs(base, max_tokens=room)
    rows = inputs.sentences([LONG, TokenInput(("one",)), LONG])
    for number, words in ((0, 200), (1, 1), (2, 200)):
        mine = [word for row in rows if row.sentence == number for word in row.words]
        assert mine == list(range(words))
    assert all(len(row.ids) <= room for row in rows)


def test_a_word_in_a_long_sentence_has_text_on_both_sides(base: Trainable) -> None:
    inputs = EncoderInputs(base, max_tokens=64)
    rows = inputs.sentences([LONG])
    assert len(rows) > 3
    for row in rows[1:]:
        assert row.places[0] > 3
    for row in rows[:-1]:
        assert len(row.ids) - row.places[-1] > 3


def test_a_word_without_a_token_is_left_out_of_the_row(base: Trainable) -> None:
    inputs = EncoderInputs(base, max_tokens=64)
    row = inputs.sentences([TokenInput(("a", "", " ", "b"))])[0]
    assert row.words[0] == 0
    assert row.words[-1] == 3
    assert inputs.sentences([TokenInput(())])[0].words == []


def test_texts_are_cut_and_pairs_are_told_apart(base: Trainable) -> None:
    inputs = EncoderInputs(base, max_tokens=16)
    rows = inputs.texts([TextInput("a long text " * 50), TextInput("b", "c"), TextInput("")])
    assert [len(row.ids) <= 16 for row in rows] == [True] * 3
    assert len(rows[2].ids) > 0


def test_a_batch_is_padded_on_the_right(base: Trainable) -> None:
    inputs = EncoderInputs(base, max_tokens=64)
    rows = inputs.sentences([TokenInput(("one",)), TokenInput(("the", "quick", "brown"))])
    batch = inputs.batch(rows, "cpu")
    assert batch.shapes is not None
    assert batch.mask.sum(1).tolist() == [len(row.ids) for row in rows]
    assert batch.ids[0, : len(rows[0].ids)].tolist() == rows[0].ids
    assert not bool(batch.shapes[~batch.mask.bool()].any())
    assert batch.ids.dtype == torch.long


def test_batches_hold_every_row_once_within_the_limit() -> None:
    lengths = [5, 300, 7, 7, 2, 90, 41] * 30
    found = batches_of(lengths, tokens=1_000, rows=16)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= 16 for batch in found)
    assert all(len(batch) * max(lengths[i] for i in batch) <= 1_000 for batch in found)
    assert batches_of([]) == []
