"""What a candidate will take, and how much of the job's time it may have.

Estimates are the methods' own (`Method.cost`), corrected by what was measured on this machine: by
the candidate's own trials, else by those of methods on the same kind of base model. A method that
makes fewer steps where the time is short is tried with as little as `SQUEEZE` of what it wants.
"""

import time
from collections.abc import Sequence
from statistics import mean, median

from tools.tuning.examples import Example, TagExample, TextInput
from tools.tuning.method_catalogue import ELASTIC
from tools.tuning.methods.base import Bench
from tools.tuning.race import Candidate
from tools.tuning.race_log import Trial
from tools.tuning.task import Task

CHARACTERS_A_TOKEN = 4.0
"""Of English text under the usual subword vocabularies."""
TOKENS_A_WORD = 1.3
SQUEEZE = 0.2
"""With this share of the steps that it wants, a trained method is already told from others."""
SQUEEZE_BLIND = 0.6
"""The same where no rows are kept to stop by: the training loop then wants half of its steps."""
REFIT_SLACK = 1.2
"""The last fit gets so much more time than is foreseen."""
REFIT_MOST = 0.5
"""Of the time that is left, kept for the last fit at most."""
SPARE = 0.05
"""Of the whole time, kept for what nobody foresees."""
FLOOR_SECONDS = 3.0
"""A block may always take as much."""
LOADING_SHARE = 0.25
"""Of a candidate's share: what its first block may take more than the others."""
TELLING_SECONDS = 1.0
"""A fit that was foreseen to be shorter says how much is always there, not how fast it goes."""


class Costs:
    """The clock and the price list of one choice."""

    def __init__(
        self,
        task: Task,
        *,
        block_rows: int,
        held_rows: int,
        all_rows: int,
        test_rows: int,
        tokens: float,
        stops: bool,
        bench: Bench,
    ) -> None:
        """Args:
        block_rows: training rows of a block.
        held_rows: rows that a block is scored on.
        all_rows: rows that the winner is fitted on.
        test_rows: sealed rows that it is measured on in the end.
        tokens: mean tokens of a row.
        stops: some rows of a block are kept to stop by.
        """
        self._task = task
        self._block_rows = max(block_rows, 1)
        self._held_rows = max(held_rows, 1)
        self._all_rows = max(all_rows, 1)
        self._test_rows = test_rows
        self._tokens = max(round(tokens), 1)
        self._squeeze = SQUEEZE if stops else SQUEEZE_BLIND
        self._bench = bench
        self._whole = max(self.seconds_left, 0.0)
        self._spent: dict[str, list[Trial]] = {}
        self._foreseen: dict[str, tuple[str, float]] = {}
        self._too_slow: list[tuple[str, float, float]] = []

    @property
    def seconds_left(self) -> float:
        return self._bench.deadline - time.monotonic()

    def of_block(self, candidate: Candidate) -> float:
        """Seconds of one block."""
        if spent := self._spent.get(candidate.key):
            return min(trial.seconds for trial in spent)  # the first one also loads the model
        return self._foresee(candidate)

    def to_register(self, candidate: Candidate) -> float:
        """Seconds of the last fit, on all rows, and of measuring on the sealed ones."""
        growth = self._all_rows / self._block_rows * REFIT_SLACK
        spent = self._spent.get(candidate.key)
        if not spent:
            return self._foresee(candidate) * growth
        best = min(spent, key=lambda trial: trial.seconds)
        fit = max(best.seconds - best.predict_seconds, 0.0)
        measure = best.predict_seconds / self._held_rows * self._test_rows
        return fit * growth + measure * REFIT_SLACK

    def reserve(self, leader: Candidate | None) -> float:
        """Seconds that must be left to register what leads now."""
        if leader is None:
            return 0.0
        wanted = self.to_register(leader)
        kept = min(wanted, REFIT_MOST * max(self.seconds_left, 0.0))
        return kept + SPARE * self._whole

    def share(
        self,
        candidate: Candidate,
        blocks: int,
        others: Sequence[Candidate],
        leader: Candidate | None,
    ) -> float:
        """Seconds that the candidate's blocks may take; 0 where they and its last fit do not fit.

        It is what is left when each of the others has what it wants, or as much as this one.
        Estimates are rough, so they say who takes part and not when a candidate must stop.

        Args:
            others: candidates that are still to come; those that do not fit get nothing.
        """
        least = blocks * self.of_block(candidate) * self.squeeze(candidate)
        end = self.to_register(candidate) * self.squeeze(candidate)
        kept = max(self.reserve(leader), min(end, REFIT_MOST * self.seconds_left))
        free = self.seconds_left - kept - SPARE * self._whole
        wanted = sorted((blocks * self.of_block(each), self.squeeze(each)) for each in others)
        level = free
        for count in range(len(wanted), -1, -1):
            level = _level(free, [seconds for seconds, _ in wanted[:count]])
            if all(seconds * squeeze <= level for seconds, squeeze in wanted[:count]):
                break
        found = max(level, least)
        return found if 0 < found <= free else 0.0

    def at_least(self, candidate: Candidate, blocks: int) -> tuple[float, int]:
        """Seconds and blocks for a candidate that must be tried although its time is short: half
        of what is left, for as many blocks as that lets run without undue haste."""
        given = REFIT_MOST * max(self.seconds_left, 0.0)
        each = max(self.of_block(candidate) * self.squeeze(candidate), 1e-6)
        return given, min(blocks, max(1, int(given / each)))

    def extra(self, share: float) -> float:
        """Seconds for blocks beyond the fewest: a share of the whole time, while it is there."""
        return min(share * self._whole, 4 * share * max(self.seconds_left, 0.0))

    def deadline(
        self,
        candidate: Candidate,
        share: float,
        blocks: int,
        done: int,
        leader: Candidate | None,
    ) -> float:
        """When a block must have come to an end; never in the time that the leader needs.

        A trained method divides its share among its blocks, since it fits itself to the time; the
        first block also loads the model.

        Args:
            share: of all its blocks.
            done: blocks that were run before.
        """
        left = share - self.spent(candidate)
        if candidate.method.name in ELASTIC:
            loading = 0.0 if done else LOADING_SHARE * share
            left = (left - loading) / max(blocks - done, 1) + loading
        left = max(left, FLOOR_SECONDS)
        return time.monotonic() + min(left, self.seconds_left - self.reserve(leader))

    def overran(self, candidate: Candidate, seconds: float) -> None:
        """A block came to no end within so long: it is slower than foreseen, and so are others."""
        foreseen = self._estimate(candidate)
        took = max(seconds / self.squeeze(candidate), foreseen)
        self._too_slow.append((candidate.method.base, foreseen, took))

    def measured(self, candidate: Candidate, trial: Trial) -> None:
        """A block came to its end."""
        self._spent.setdefault(candidate.key, []).append(trial)
        self._foreseen[candidate.key] = candidate.method.base, self._estimate(candidate)

    def spent(self, candidate: Candidate) -> float:
        """Seconds of all its blocks so far."""
        return sum(trial.seconds for trial in self._spent.get(candidate.key, ()))

    def squeeze(self, candidate: Candidate) -> float:
        """The share of the time that it wants, with which it can still be tried."""
        return self._squeeze if candidate.method.name in ELASTIC else 1.0

    def _estimate(self, candidate: Candidate) -> float:
        method = candidate.method(self._task, candidate.settings)
        return max(method.cost(self._block_rows, self._tokens, self._bench).seconds, 0.0)

    def _foresee(self, candidate: Candidate) -> float:
        """The method's estimate, corrected by methods on such a base: how much slower their long
        fits were, and what their short ones took beside what was foreseen."""
        ratios, overheads = [1.0], [0.0]
        known = [
            (base, foreseen, min(trial.seconds for trial in self._spent[key]))
            for key, (base, foreseen) in self._foreseen.items()
        ]
        for base, foreseen, took in [*known, *self._too_slow]:
            if base != candidate.method.base or base == "none":
                continue
            if foreseen >= TELLING_SECONDS:
                ratios.append(took / foreseen)
            else:
                overheads.append(took - foreseen)
        ratio = median(ratios[1:] or ratios)
        return max(self._estimate(candidate) * ratio + max(median(overheads), 0.0), 0.0)


def _level(free: float, wanted: Sequence[float]) -> float:
    """What is left for one more when the others, in ascending order, have what they want or at
    most as much."""
    for place, seconds in enumerate(wanted):
        if seconds * (len(wanted) - place + 1) > free:
            return free / (len(wanted) - place + 1)
        free -= seconds
    return free


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
