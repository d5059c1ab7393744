"""The frozen encoder of `nearest` and `linear_head`: loaded once, texts read last are remembered.

The same examples are asked for again with every fold, seed and setting.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from models import catalogue
from models.errors import ModelUnavailable
from tools.tuning.errors import SkillError
from tools.tuning.examples import Input
from tools.tuning.methods.base import Bench
from tools.tuning.methods.encoder_files import check_base, facts_of, open_encoder
from tools.tuning.methods.encoder_reader import EncoderReader, Vectors

KEPT_NUMBERS = 16_000_000
"""So many numbers of vectors are remembered: 64 MB, ten thousand texts at 1,536 numbers."""


class Frozen:
    """An encoder that nobody trains, and what it said last."""

    def __init__(self, reader: EncoderReader, facts: Mapping[str, Any]) -> None:
        self.reader = reader
        self.facts = dict(facts)
        self._kept: OrderedDict[Input, Vectors] = OrderedDict()

    def text_vectors(self, inputs: Sequence[Input], bench: Bench | None = None) -> Vectors:
        """Texts x numbers, each of length 1."""
        found = {one: self._kept[one] for one in dict.fromkeys(inputs) if one in self._kept}
        unread = [one for one in dict.fromkeys(inputs) if one not in found]
        check = bench.check if bench is not None else lambda: None
        found.update(zip(unread, self.reader.text_vectors(unread, check), strict=True))
        for one in found:
            self._kept[one] = found[one]
            self._kept.move_to_end(one)
        while len(self._kept) * self.reader.width > KEPT_NUMBERS:
            self._kept.popitem(last=False)
        if not inputs:
            return np.zeros((0, self.reader.width), dtype=np.float32)
        return np.stack([found[one] for one in inputs])


def frozen(bench: Bench, *, max_tokens: int) -> Frozen:
    """The encoder of the bench.

    Raises:
        ModelUnavailable: it is not there, or no encoder.
        OutOfMemory: it does not fit.
    """
    asked = bench.base or catalogue.EMBEDDER
    return _opened(asked, bench.home, bench.device, max_tokens)


def known_frozen(bench: Bench, facts: Mapping[str, Any], *, max_tokens: int) -> Frozen:
    """The encoder that a skill was made for.

    Raises:
        SkillError: it is not there, or what is there has other weights or another tokenizer.
    """
    asked = bench.base or str(facts.get("asked") or facts.get("name"))
    try:
        found = _opened(asked, bench.home, bench.device, max_tokens)
    except ModelUnavailable as error:
        raise SkillError(f"the skill needs the encoder `{asked}`: {error}") from error
    check_base(found.facts, facts, asked)
    return found


@lru_cache(maxsize=2)
def _opened(asked: str, home: Path, device: str | None, max_tokens: int) -> Frozen:
    bench = Bench(home, base=asked, device=device)
    base = open_encoder(bench)
    return Frozen(EncoderReader(base, max_tokens=max_tokens), facts_of(base, bench))
