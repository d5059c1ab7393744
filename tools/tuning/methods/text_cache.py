"""Texts that are read once and kept, so that a training step reads only what stands after them.

A causal model's keys and values of a text do not depend on what comes later. They are kept up to a
number of bytes; texts beyond that are read again whenever they are wanted.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tools.tuning.methods.key_values import KeyValues, empty, of_cache, stacked
from tools.tuning.methods.padding import padded
from tools.tuning.methods.reader import Reader

KEPT_BYTES = 1_000_000_000
"""Of one cache; 550 texts of 40 tokens of the default model in fp32."""


class TextCache:
    """Keys and values of texts that all follow the same beginning."""

    def __init__(
        self,
        reader: Reader,
        before: KeyValues | None,
        texts: Sequence[Sequence[int]],
        *,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        """Args:
        before: what stands before every text; one row.
        texts: ids, at least one each.
        """
        self._reader = reader
        self._before = before
        self._texts = texts
        self._kept: dict[int, KeyValues] = {}
        self._room = kept_bytes

    def take(self, places: Sequence[int]) -> tuple[KeyValues, Tensor]:
        """Those texts without their beginning, as one, and the length of each."""
        missing = [place for place in dict.fromkeys(places) if place not in self._kept]
        fresh = dict(zip(missing, self._read(missing), strict=True)) if missing else {}
        for place, part in fresh.items():
            if part.bytes <= self._room:
                self._room -= part.bytes
                self._kept[place] = part
        return stacked([self._kept.get(place) or fresh[place] for place in places])

    def _read(self, places: Sequence[int]) -> list[KeyValues]:
        texts = [self._texts[place] for place in places]
        batch = padded(texts, device=self._reader.device)
        cache = self._before.expand(len(texts)).cache() if self._before is not None else empty()
        with torch.no_grad():
            self._reader.hidden(batch.last, input_ids=batch.ids, past_key_values=cache)
        whole = of_cache(cache)
        start = self._before.tokens if self._before is not None else 0
        return [whole.row(row, start, start + len(text)) for row, text in enumerate(texts)]
