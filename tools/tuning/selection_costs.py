"""What a candidate will take, and how much of the job's time it may have.

Estimates are the methods' own (`Method.cost`), corrected by what was measured on this machine: by
the candidate's own trials, else by those of methods on the same kind of base model.
"""

import time
from collections.abc import Sequence
from statistics import mean, median

from tools.tuning.examples import Example, TagExample, TextInput
from tools.tuning.methods.base import Bench
from tools.tuning.race import Candidate
from tools.tuning.task import Task

CHARACTERS_A_TOKEN = 4.0
"""Of English text under the usual subword vocabularies."""
TOKENS_A_WORD = 1.3
REFIT_SLACK = 1.2
"""The last fit gets so much more time than is foreseen, the measuring afterwards included."""


class Costs:
    """The clock and the price list of one choice."""

    def __init__(
        self, task: Task, *, block_rows: int, all_rows: int, tokens: float, bench: Bench
    ) -> None:
        """Args:
        block_rows: training rows of a block.
        all_rows: rows that the winner is fitted on.
        tokens: mean tokens of a row.
        """
        self._task = task
        self._block_rows = max(block_rows, 1)
        self._all_rows = max(all_rows, 1)
        self._tokens = max(round(tokens), 1)
        self._bench = bench
        self._spent: dict[str, list[float]] = {}
        self._foreseen: dict[str, float] = {}
        self._base: dict[str, str] = {}

    @property
    def seconds_left(self) -> float:
        return self._bench.deadline - time.monotonic()

    def of_block(self, candidate: Candidate) -> float:
        """Seconds of one block."""
        if spent := self._spent.get(candidate.key):
            return min(spent)  # the first one also loads the model
        return self._estimate(candidate, self._block_rows) * self._correction(candidate)

    def of_refit(self, candidate: Candidate) -> float:
        """Seconds of the fit on all rows; no method's fit grows faster than its rows."""
        return self.of_block(candidate) * self._all_rows / self._block_rows * REFIT_SLACK

    def to_choose(self, candidate: Candidate, blocks: int) -> float:
        """Seconds until it could be registered."""
        return blocks * self.of_block(candidate) + self.of_refit(candidate)

    def reserve(self, leader: Candidate | None) -> float:
        """Seconds that must be left to register what leads now."""
        return 0.0 if leader is None else self.of_refit(leader)

    def deadline_of(
        self, candidate: Candidate, blocks: int, leader: Candidate | None, most: float
    ) -> float:
        """When the candidate must have run its blocks: what it needs, or a share of what is left,
        but never the time that the leader needs at the end."""
        left = self.seconds_left
        wanted = max(3 * blocks * self.of_block(candidate), most * left)
        return time.monotonic() + min(wanted, left - min(self.reserve(leader), left / 2))

    def measured(self, candidate: Candidate, seconds: float) -> None:
        """A block took so long."""
        self._spent.setdefault(candidate.key, []).append(seconds)
        self._base[candidate.key] = candidate.method.base
        self._foreseen[candidate.key] = self._estimate(candidate, self._block_rows)

    def spent(self, candidate: Candidate) -> float:
        """Seconds of all its blocks so far."""
        return sum(self._spent.get(candidate.key, ()))

    def _estimate(self, candidate: Candidate, rows: int) -> float:
        method = candidate.method(self._task, candidate.settings)
        return max(method.cost(rows, self._tokens, self._bench).seconds, 0.0)

    def _correction(self, candidate: Candidate) -> float:
        """How much slower than foreseen methods on such a base were."""
        ratios = [
            min(spent) / self._foreseen[key]
            for key, spent in self._spent.items()
            if self._base[key] == candidate.method.base != "none" and self._foreseen[key] > 0
        ]
        return max(1.0, median(ratios)) if ratios else 1.0


def mean_tokens(examples: Sequence[Example]) -> float:
    """About how many tokens a row has, without a tokenizer."""
    return mean(map(_tokens, examples)) if examples else 1.0


def _tokens(example: Example) -> float:
    if isinstance(example, TagExample):
        return max(1.0, TOKENS_A_WORD * len(example.input.tokens))
    assert isinstance(example.input, TextInput)
    text = example.input.text + example.input.pair
    wide = sum(character >= "\u2e80" for character in text)  # one token each, about
    return max(1.0, wide + (len(text) - wide) / CHARACTERS_A_TOKEN)
