"""Chooses a method by measurement: cheap ones first, dear ones only as far as the time allows.

    choice = choose(task, candidates(task, rows, AUTO), race, costs)
    choice.winner, choice.standings, choice.skipped

In this order: the controls; every method with its likeliest settings, the quickest first; the rest
of the grids, best method first. A candidate stops as soon as a paired test says that it loses.
`decision.py` says who wins.
"""

import time
from collections.abc import Sequence

from models.errors import ModelError
from tools.tuning.blocks import Block
from tools.tuning.decision import LOST, Choice, Decision, Skipped
from tools.tuning.errors import BudgetSpent, Diverged, MethodUnsuitable
from tools.tuning.job_spec import AUTO
from tools.tuning.method_catalogue import CONTROLS
from tools.tuning.race import Candidate, Race
from tools.tuning.race_log import Trial
from tools.tuning.selection_costs import Costs
from tools.tuning.task import Task

LOSES_AT = 0.1
"""Probability that a candidate is as good as the leader after all, below which it stops. Larger
values end races sooner and lose good methods more often; CAPO races at 0.2."""
EXTRA_SHARE = 0.05
"""Of the whole time: blocks beyond the fewest are run while they take no more than this."""


def choose(
    task: Task,
    entrants: Sequence[Candidate],
    race: Race,
    costs: Costs,
    *,
    named: str = AUTO,
) -> Choice:
    """Race the candidates and say which one to take.

    Args:
        costs: what they are expected to take; knows the time that is left.
        named: a method that a person asked for: its failures are raised, not skipped.

    Raises:
        Stopped: somebody asked for it; what was measured is in the race's log.
        BudgetSpent: the time was over before any candidate was measured.
        MethodUnsuitable, Diverged, ModelError: of the named method, at its first settings.
    """
    return _Choosing(task, race, costs, named).run(entrants)


class _Choosing:
    """One call of `choose`."""

    def __init__(self, task: Task, race: Race, costs: Costs, named: str) -> None:
        self.task = task
        self.race = race
        self.costs = costs
        self.named = named
        self.choice = Choice()
        self.measured: list[Candidate] = []

    def run(self, entrants: Sequence[Candidate]) -> Choice:
        first = sorted(
            (each for each in entrants if each.level == 0 and self._is_able(each)),
            key=lambda each: (
                each.method.name not in CONTROLS,
                self.costs.of_block(each),
                each.method.rung,
            ),
        )
        for place, candidate in enumerate(first):
            self._take(candidate, first[place + 1 :])
        # Whose first settings did well is worth a second look first.
        scores = {each.method.name: self._score(each) for each in self.measured}
        others = sorted(
            (each for each in entrants if each.level > 0 and each.method.name in scores),
            key=lambda each: (each.level, -scores[each.method.name]),
        )
        for candidate in others:
            self._take(candidate, ())
        if not self.measured:
            raise BudgetSpent("the time was over before anything was measured; give more --budget")
        return Decision(self.race, self.measured, self.choice, self.named).decide()

    def _is_able(self, candidate: Candidate) -> bool:
        """False, and noted why, where the method cannot serve this task at all."""
        why = candidate.method.unsuitable(self.task, self.race.plan.train_rows)
        if why is None:
            try:
                self.costs.of_block(candidate)
                return True
            except MethodUnsuitable as error:  # not with these labels or settings
                why = str(error)
        if candidate.method.name == self.named:
            raise MethodUnsuitable(why)
        self.choice.skipped.append(Skipped(candidate.label, why))
        return False

    def _score(self, candidate: Candidate) -> float:
        return self.race.score(candidate)

    def _take(self, candidate: Candidate, others: Sequence[Candidate]) -> None:
        """Measure a candidate, or note why not."""
        if candidate.level and not self._first_settings_did(candidate):
            # Not kept in the log: it follows from what is kept of the first settings.
            left_behind = Skipped(candidate.label, "its first settings were left behind")
            self.choice.skipped.append(left_behind)
            return
        why, for_time = self.race.log.skipped(candidate.key), False
        if why is not None:
            self.race.recall(candidate)
        else:
            why = self._why_not(candidate)
        if why is None:
            try:
                why = self._measure(candidate, others)
            except (MethodUnsuitable, Diverged, ModelError, BudgetSpent) as error:
                if candidate.method.name == self.named and candidate.level == 0:
                    raise
                why, for_time = str(error) or type(error).__name__, isinstance(error, BudgetSpent)
        blocks = self.race.blocks_of(candidate)
        if blocks and (why is None or why.startswith(LOST) or blocks >= self.race.plan.fewest):
            self.measured.append(candidate)
        self.race.leave(candidate)
        if why is None:
            return
        self.race.log.skip(candidate.key, why, for_time=for_time)
        if why.startswith(LOST):
            self.choice.verdicts[candidate.key] = why
        else:
            self.choice.skipped.append(Skipped(candidate.label, why))

    def _why_not(self, candidate: Candidate) -> str | None:
        """Why the candidate is not even begun."""
        leader = self._leader()
        if leader is None or candidate.method.name in (*CONTROLS, self.named):
            return None
        if candidate.method.rung > leader.method.rung and self._cannot_be_beaten(leader):
            return f"{leader.label} is so near to perfect that no dearer method can be chosen"
        return None

    def _first_settings_did(self, candidate: Candidate) -> bool:
        """The method's first settings were measured, and did not fall behind."""
        first = next(
            (m for m in self.measured if m.method is candidate.method and m.level == 0), None
        )
        return first is not None and first.key not in self.choice.verdicts

    def _cannot_be_beaten(self, leader: Candidate) -> bool:
        """Even a perfect score would be within one standard error of the leader's."""
        standing = self.race.standing(leader)
        assert standing is not None
        error = (standing.high - standing.low) / (2 * 1.96)
        return 1 - standing.score <= error and standing.score > 0.9

    def _measure(self, candidate: Candidate, others: Sequence[Candidate]) -> str | None:
        """Run its blocks; says why where it lost on the way.

        Raises:
            BudgetSpent: it does not fit the time, or came to no end within its share.
            MethodUnsuitable, Diverged, ModelError: of its fits.
        """
        plan, costs, log = self.race.plan, self.costs, self.race.log
        leader = self._leader()
        is_control = candidate.method.name in CONTROLS
        must = is_control or leader is None or candidate.method.name == self.named
        waiting = [] if candidate.level else [e for e in others if e.method.name not in CONTROLS]
        share, blocks = costs.share(candidate, plan.fewest, waiting, leader), plan.fewest
        if not share and (not must or candidate.level):
            raise self._too_dear(candidate)
        if not share and not is_control:
            share, blocks = costs.at_least(candidate, plan.fewest)
        extra = costs.extra(EXTRA_SHARE)
        for done, block in enumerate(plan.blocks):
            more = len(plan.blocks) - done if done >= plan.round else plan.round - done
            is_known = log.trial(candidate.key, block.number) is not None
            if done >= blocks and not is_known and more * costs.of_block(candidate) > extra:
                break
            deadline = costs.deadline(candidate, share, blocks, done, leader)
            if is_control or done >= blocks:
                deadline = self.race.deadline
            trial = self._trial(candidate, block, deadline, may_stop=must and done > 0)
            if trial is None:
                break
            costs.measured(candidate, trial)
            if not must and costs.to_register(candidate) > self._time_to_end(candidate):
                raise self._too_dear(candidate)
            if leader is not None and block.number >= 1 and self._loses(candidate, leader):
                gain, _, chance = self.race.compare(leader, candidate)
                return (
                    f"{LOST} to {leader.label} after {block.number + 1} blocks: "
                    f"{gain:.3f} behind, p {chance:.3f}"
                )
        return None

    def _trial(
        self, candidate: Candidate, block: Block, deadline: float, *, may_stop: bool
    ) -> Trial | None:
        """None where the time is over, but what was measured before is enough."""
        began = time.monotonic()
        try:
            return self.race.run(candidate, block, self.task, deadline=deadline)
        except BudgetSpent as error:
            seconds = time.monotonic() - began
            self.costs.overran(candidate, seconds)
            if not may_stop:
                raise BudgetSpent(
                    f"no result within {seconds:.0f} s, which was its share of the time ({error})"
                ) from error
            return None

    def _time_to_end(self, candidate: Candidate) -> float:
        """Seconds that its last fit may take where it makes as few steps as it can."""
        return self.costs.seconds_left / self.costs.squeeze(candidate)

    def _too_dear(self, candidate: Candidate) -> BudgetSpent:
        """The error to raise."""
        need = self.race.plan.fewest * self.costs.of_block(candidate)
        need += self.costs.to_register(candidate)
        left = max(self.costs.seconds_left, 0)
        return BudgetSpent(f"needs about {need:.0f} s, {left:.0f} s of the budget are left")

    def _loses(self, candidate: Candidate, leader: Candidate) -> bool:
        if candidate.method.name in CONTROLS or leader.method.rung > candidate.method.rung:
            return False
        gain, _, chance = self.race.compare(leader, candidate)
        return gain > 0 and chance < LOSES_AT

    def _leader(self) -> Candidate | None:
        """The best of those that could be chosen so far."""
        running = [
            each
            for each in self.measured
            if each.method.name not in CONTROLS and each.key not in self.choice.verdicts
        ]
        return max(running, key=self._score, default=None)
