"""Texts made ready for tuning: rows that are read anew each time, or texts that are read once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tools.tuning.design import Design
from tools.tuning.examples import TextInput
from tools.tuning.methods.key_values import KeyValues
from tools.tuning.methods.label_words import encode, encode_row, start_ids
from tools.tuning.methods.language_model import Opened
from tools.tuning.methods.padding import Padded, Side, padded
from tools.tuning.methods.text_cache import KEPT_BYTES, TextCache


@dataclass(slots=True)
class Rows:
    """Texts made ready to be read through what is trained."""

    lengths: list[int]
    """Tokens of each."""


@dataclass(slots=True)
class FrontRows(Rows):
    """Rows that are read from their beginning to the label's place."""

    ids: list[list[int]]

    def batch(
        self, places: Sequence[int], device: torch.device | str, side: Side = "right"
    ) -> Padded:
        return padded([self.ids[place] for place in places], device=device, side=side)


@dataclass(slots=True)
class KeptRows(Rows):
    """Texts that are read once, and what leads from them to the label."""

    cache: TextCache
    lead: list[int]


def front_rows(
    opened: Opened, design: Design, texts: Sequence[TextInput], limit: int, *, begin: bool = True
) -> FrontRows:
    """Whole rows, with the model's begin mark unless something else begins them."""
    before = start_ids(opened.tokenizer) if begin else []
    ids = [[*before, *encode_row(opened.tokenizer, design, text, limit)] for text in texts]
    return FrontRows([len(row) for row in ids], ids)


def kept_rows(
    opened: Opened,
    design: Design,
    texts: Sequence[TextInput],
    limit: int,
    before: KeyValues | None,
    *,
    once: bool,
) -> KeptRows:
    """Texts after `before`.

    Args:
        once: they are forgotten as soon as they are read.
    """
    bodies = [encode_row(opened.tokenizer, design, text, limit, with_lead=False) for text in texts]
    kept = 0 if once else KEPT_BYTES
    cache = TextCache(opened.reader, before, bodies, kept_bytes=kept)
    lead = encode(opened.tokenizer, design.lead)
    return KeptRows([len(body) for body in bodies], cache, lead)
