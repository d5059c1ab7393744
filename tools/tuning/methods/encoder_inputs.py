"""From inputs to rows of token ids for an encoder, and from rows to padded batches.

A text is cut at the longest length. A sentence of words is never cut: what is too long goes in
pieces that overlap, and each word is read in the piece where it has the most text around it.
Words are joined by spaces before they are tokenized, so no token spans two of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch

from models.errors import ModelUnavailable
from models.trainable import Trainable
from tools.tuning.examples import Input, TextInput, TokenInput
from tools.tuning.methods.word_shapes import shape

CHARACTERS_PER_TOKEN = 64
"""So much of a text is shown to the tokenizer for each token; the rest is cut."""
WORD_CHARACTERS = 100
"""A tagger reads so much of a word."""
WORD_TOKENS = 16
"""A tagger reads so many tokens of a word; a link of two hundred says no more than its start."""
SLAB = 1_000
"""Inputs that are tokenized together."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")


@dataclass(slots=True)
class Row:
    """One text, or a piece of one sentence, as an encoder reads it."""

    ids: list[int]
    types: list[int] = field(default_factory=list)
    """0 for tokens of the first text, 1 for the second; empty where the model knows no types."""
    shapes: list[int] = field(default_factory=list)
    """Of the word that each token belongs to; empty for texts."""
    sentence: int = 0
    """Which input this is a piece of."""
    words: list[int] = field(default_factory=list)
    """The words that this row is to tag, by their place in the sentence."""
    places: list[int] = field(default_factory=list)
    """Of each of them, the place of its first token."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors, each rows x longest."""

    ids: torch.Tensor
    mask: torch.Tensor
    types: torch.Tensor | None
    shapes: torch.Tensor | None


class EncoderInputs:
    """The tokenizer of one encoder, as the methods use it."""

    def __init__(self, base: Trainable, *, max_tokens: int) -> None:
        """Args:
        max_tokens: of a row, the marks at its ends included; at most the model's window.
        """
        if not getattr(base.tokenizer, "is_fast", False):
            raise ModelUnavailable(
                f"the tokenizer of `{base.name}` cannot say where its tokens stand; take an "
                "encoder that ships a tokenizer.json"
            )
        self.tokenizer = base.tokenizer
        self.max_tokens = max(8, min(max_tokens, base.window))
        self.lower_case = base.sentence is not None and base.sentence.lower_case
        pads = (base.tokenizer.pad_token_id, base.tokenizer.eos_token_id)
        self.padding: int = next((i for i in pads if i is not None), 0)
        self.before, self.after = _marks(base.tokenizer)

    def texts(self, inputs: Sequence[Input]) -> list[Row]:
        """One row a text or pair of texts."""
        rows: list[Row] = []
        for start in range(0, len(inputs), SLAB):
            slab = [given for given in inputs[start : start + SLAB] if isinstance(given, TextInput)]
            firsts = [self._readable(given.text) for given in slab]
            seconds = [self._readable(given.pair) for given in slab]
            found = self.tokenizer(
                firsts,
                seconds if any(seconds) else None,
                truncation=True,
                max_length=self.max_tokens,
                return_attention_mask=False,
                verbose=False,
            )
            types = found.get("token_type_ids") or [[] for _ in slab]
            for ids, kinds in zip(found["input_ids"], types, strict=True):
                rows.append(Row(ids or [self.padding], kinds if ids else []))
        return rows

    def sentences(self, inputs: Sequence[Input]) -> list[Row]:
        """One row a sentence, several for a long one; every word is in exactly one."""
        rows: list[Row] = []
        for start in range(0, len(inputs), SLAB):
            slab = [
                given for given in inputs[start : start + SLAB] if isinstance(given, TokenInput)
            ]
            for number, (given, pieces) in enumerate(
                zip(slab, self._pieces([one.tokens for one in slab]), strict=True), start
            ):
                rows += self._rows(number, [shape(word) for word in given.tokens], pieces)
        return rows

    def batch(self, rows: Sequence[Row], device: torch.device | str) -> Batch:
        """The rows, padded on the right."""
        longest = max(len(row.ids) for row in rows)
        ids = torch.full((len(rows), longest), self.padding)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        types = torch.zeros_like(mask) if any(row.types for row in rows) else None
        shapes = torch.zeros_like(mask) if any(row.shapes for row in rows) else None
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)] = torch.tensor(row.ids)
            mask[i, : len(row.ids)] = 1
            if types is not None and row.types:
                types[i, : len(row.types)] = torch.tensor(row.types)
            if shapes is not None and row.shapes:
                shapes[i, : len(row.shapes)] = torch.tensor(row.shapes)
        moved = [None if one is None else one.to(device) for one in (types, shapes)]
        return Batch(ids.to(device), mask.to(device), *moved)

    def _pieces(self, sentences: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """The token ids of each word of each sentence."""
        texts: list[str] = []
        ends: list[list[int]] = []
        for words in sentences:
            cleaned = [self._word(word) for word in words]
            texts.append(" ".join(cleaned))
            ends.append(list(accumulate(len(word) + 1 for word in cleaned)))
        if not texts:
            return []
        found = self.tokenizer(
            texts,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        pieces: list[list[list[int]]] = []
        for stops, ids, offsets in zip(
            ends, found["input_ids"], found["offset_mapping"], strict=True
        ):
            words_ids: list[list[int]] = [[] for _ in stops]
            place = 0
            for token, (_, end) in zip(ids, offsets, strict=True):
                while place < len(stops) - 1 and end >= stops[place]:
                    place += 1
                if stops and len(words_ids[place]) < WORD_TOKENS:
                    words_ids[place].append(token)
            pieces.append(words_ids)
        return pieces

    def _rows(self, number: int, shapes: list[int], pieces: list[list[int]]) -> list[Row]:
        room = self.max_tokens - len(self.before) - len(self.after)
        rows: list[Row] = []
        for begin, stop, first, last in _spans([len(piece) for piece in pieces], room):
            row = Row(list(self.before), sentence=number)
            row.shapes = [0] * len(self.before)
            for word in range(begin, stop):
                piece = pieces[word][:room]
                if first <= word < last and piece:
                    row.words.append(word)
                    row.places.append(len(row.ids))
                row.ids += piece
                row.shapes += [shapes[word]] * len(piece)
            row.ids += self.after
            row.shapes += [0] * len(self.after)
            if not row.ids:
                row.ids, row.shapes = [self.padding], [0]
            rows.append(row)
        return rows

    def _word(self, word: str) -> str:
        text = self._readable(word[:WORD_CHARACTERS])
        return _SPACE.sub("_", text) or "_"

    def _readable(self, text: str) -> str:
        """The text as the tokenizer takes it: no half characters, no more than it could read."""
        text = _SURROGATE.sub("\ufffd", text[: self.max_tokens * CHARACTERS_PER_TOKEN])
        return text.lower() if self.lower_case else text


def batches_of(lengths: Sequence[int], *, tokens: int = 8_192, rows: int = 128) -> list[list[int]]:
    """Row numbers in batches of about one length, longest first, for reading without gradients.

    Args:
        tokens: of a batch at most, padding included, unless one row has more.
        rows: of a batch at most.
    """
    found: list[list[int]] = []
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        longest = lengths[batch[0]] if batch else lengths[i]
        if batch and (len(batch) == rows or (len(batch) + 1) * longest > tokens):
            found.append(batch)
            batch = []
        batch.append(i)
    return [*found, batch] if batch else found


def _spans(sizes: Sequence[int], room: int) -> list[tuple[int, int, int, int]]:
    """How to read words of so many tokens in pieces of at most `room`.

    Returns:
        For each piece the words that it reads, from begin to stop, and the words among them that
        it is to tag, from first to last. Neighbours overlap by about a quarter.
    """
    if sum(min(size, room) for size in sizes) <= room:
        return [(0, len(sizes), 0, len(sizes))]
    spans: list[tuple[int, int]] = []
    begin = 0
    while True:
        stop, used = begin, 0
        while stop < len(sizes) and used + min(sizes[stop], room) <= room:
            used += min(sizes[stop], room)
            stop += 1
        spans.append((begin, stop))
        if stop == len(sizes):
            break
        back, again = stop, 0
        while back - 1 > begin and again + sizes[back - 1] <= room // 4:
            back -= 1
            again += sizes[back]
        begin = back
    firsts = [
        0,
        *((later[0] + one[1] + 1) // 2 for one, later in zip(spans, spans[1:], strict=False)),
    ]
    lasts = [*firsts[1:], len(sizes)]
    return [(*span, first, last) for span, first, last in zip(spans, firsts, lasts, strict=True)]


def _marks(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The ids that the model wants before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    return [], []
