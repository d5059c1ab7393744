"""Keeps a reply inside a grammar: which tokens may follow, which must, and whether it may end.

A thin layer over llguidance, whose matcher never raises: each answer is followed by a look at its
error state.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Mask = NDArray[np.bool_]


class GrammarError(ModelError):
    """The grammar does not compile, is too large or was left; a bug of whoever wrote it."""


class Matcher:
    """Follows one reply through its grammar, token by token."""

    def __init__(self, matcher: "LLMatcher", vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size

    def mask(self) -> Mask:
        """One flag for each token: may it come next? End tokens only where the reply may end."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check("computing the next tokens")
        mask = np.zeros(self._vocab_size, dtype=np.bool_)
        flags = np.unpackbits(bits, bitorder="little")[: self._vocab_size]
        mask[: flags.size] = flags
        return mask

    def forced(self) -> list[int]:
        """The tokens that must come next, spelled as usual; none where there is a choice."""
        tokens = self._matcher.compute_ff_tokens()
        self._check("computing the forced tokens")
        return tokens

    def consume(self, ids: Sequence[int]) -> None:
        """Moves past these tokens, which must be allowed."""
        self._matcher.consume_tokens(list(ids))
        self._check(f"reading the tokens {list(ids)}")

    @property
    def accepting(self) -> bool:
        """The reply may end here."""
        return self._matcher.is_accepting()

    @property
    def finished(self) -> bool:
        """The reply must end here: nothing but an end token may follow."""
        return self._matcher.is_stopped()

    def _check(self, doing: str) -> None:
        if self._matcher.is_error():
            raise GrammarError(
                f"grammar failed while {doing}: {_first_lines(self._matcher.get_error())}"
            )


class Grammars:
    """Compiles grammars for one tokenizer; keeps the latest, since a run asks for them again."""

    def __init__(
        self,
        tokenizer: "LLTokenizer",
        vocab_size: int,
        *,
        keep: int = 32,
    ) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._keep = keep
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()

    def matcher(self, grammar: str) -> Matcher:
        """A fresh matcher for a Lark grammar (or llguidance's JSON form of one)."""
        compiled = self._compiled.pop(grammar, None) or self._compile(grammar)
        self._compiled[grammar] = compiled
        if len(self._compiled) > self._keep:
            self._compiled.popitem(last=False)
        return Matcher(compiled.deep_copy(), self._vocab_size)

    def _compile(self, grammar: str) -> "LLMatcher":
        from llguidance import LLMatcher, LLParserLimits

        limits = LLParserLimits(verbose_errors=False)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise GrammarError(f"grammar does not compile: {_first_lines(matcher.get_error())}")
        return matcher


def _first_lines(error: str, limit: int = 500) -> str:
    """llguidance appends its whole state to a message; what happened stands in front of it."""
    text = error.split("<state>")[0].split("<grammar>")[0].strip()
    return text[:limit]
