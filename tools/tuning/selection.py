"""Chooses a method by measurement: cheap ones first, dear ones only as far as the time allows.

    entrants = candidates(task, rows, AUTO)
    choice = choose(task, entrants, race, Costs(task, plan, rows, bench), deadline=bench.deadline)
    choice.winner, choice.standings, choice.skipped

In this order: the controls; every method with its likeliest settings, the quickest first; the rest
of the grids, best method first. A candidate stops as soon as a paired test says that it loses. Of
the methods within one standard error of the best, the cheapest wins; one that does not score above
the controls never does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.errors import ModelError
from tools.tuning.errors import BudgetSpent, Diverged, MethodUnsuitable
from tools.tuning.job_spec import AUTO
from tools.tuning.method_catalogue import CONTROLS, METHODS, method_class
from tools.tuning.methods.base import Method
from tools.tuning.race import Candidate, Race, Standing
from tools.tuning.selection_costs import Costs
from tools.tuning.task import Task

LOSES_AT = 0.1
"""Probability that a candidate is as good as the leader after all, below which it stops. Larger
values end races sooner and lose good methods more often; CAPO races at 0.2."""
EXTRA_SHARE = 0.05
"""Of the time that is left: blocks beyond the fewest are run while they take no more than this."""
LOST = "lost"
"""How the verdict on a candidate begins that a paired test ended."""
CONTROL = "a control"
"""The verdict on a control."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate that was not measured to the end, and why."""

    label: str
    why: str


@dataclass(slots=True)
class Choice:
    """What came of a race."""

    winner: Candidate | None = None
    """None where nothing scored above the controls."""
    ranking: list[Candidate] = field(default_factory=list)
    """The winner, then the others that would do, the next best first."""
    best_control: Candidate | None = None
    standings: list[Standing] = field(default_factory=list)
    """Every candidate that was measured, the best first."""
    skipped: list[Skipped] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    """By candidate key: why it was taken, or not."""
    why: str = ""
    """The choice in a sentence."""


def candidates(
    task: Task,
    rows: int,
    name: str,
    settings: Mapping[str, Any] | None = None,
    classes: Mapping[str, type[Method]] | None = None,
) -> list[Candidate]:
    """Who takes part: the controls, and all methods or the named one, each with its grid.

    Args:
        name: `auto` or a method's name.
        settings: of the named method; its grid is then left out.
        classes: the methods by name; the catalogue's where left out.

    Raises:
        MethodUnsuitable: the named method cannot serve the task.
        ValueError: it knows no such setting.
    """
    known = dict(classes) if classes is not None else {}
    names = list(classes if classes is not None else METHODS)

    def found(each: str) -> type[Method]:
        return known.get(each) or method_class(each)

    if name != AUTO:
        if why := found(name).unsuitable(task, rows):
            raise MethodUnsuitable(f"method {name}: {why}")
        names = [each for each in CONTROLS if each in names and each != name] + [name]
    entrants: list[Candidate] = []
    for method in map(found, names):
        grid = method.grid(task, rows) or [{}]
        if settings and method.name == name:
            grid = [dict(settings)]
        if method.name in CONTROLS and name != method.name:
            grid = grid[:1]
        entrants += [Candidate(method, each, level) for level, each in enumerate(grid)]
    for candidate in entrants:
        candidate.method.complete(candidate.settings)
    return entrants


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
            (each for each in entrants if each.level == 0),
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
        return self._decide()

    def _score(self, candidate: Candidate) -> float:
        return self.race.score(candidate)

    def _take(self, candidate: Candidate, others: Sequence[Candidate]) -> None:
        """Measure a candidate, or note why not."""
        why = self.race.log.skipped(candidate.key)
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
                why = str(error) or type(error).__name__
        if self.race.blocks_of(candidate) >= self.race.plan.fewest or (
            self.race.blocks_of(candidate) and why and why.startswith(LOST)
        ):
            self.measured.append(candidate)
        if why is None:
            return
        self.race.log.skip(candidate.key, why)
        if why.startswith(LOST):
            self.choice.verdicts[candidate.key] = why
        else:
            self.choice.skipped.append(Skipped(candidate.label, why))

    def _why_not(self, candidate: Candidate) -> str | None:
        """Why the candidate is not even begun."""
        plan = self.race.plan
        if why := candidate.method.unsuitable(self.task, plan.train_rows):
            return why
        if candidate.level and not self._first_settings_did(candidate):
            return "its first settings were left behind"
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
        """Run its blocks; says why where it lost on the way or does not fit the time."""
        plan, costs = self.race.plan, self.costs
        leader = self._leader()
        is_free = leader is None or candidate.method.name in (*CONTROLS, self.named)
        waiting = [] if candidate.level else [e for e in others if e.method.name not in CONTROLS]
        given = costs.allotted(candidate, plan.fewest, waiting, leader)
        if not given and not is_free:
            return self._too_dear(candidate)
        extra = EXTRA_SHARE * costs.seconds_left
        for done, block in enumerate(plan.blocks):
            more = len(plan.blocks) - done if done >= plan.round else plan.round - done
            if done >= plan.fewest and more * costs.of_block(candidate) > extra:
                break
            deadline = costs.deadline(candidate, given, plan.fewest, done, leader)
            if is_free or done >= plan.fewest:
                deadline = self.race.deadline
            trial = self.race.run(candidate, block, self.task, deadline=deadline)
            costs.measured(candidate, trial)
            if not is_free and costs.to_register(candidate) > self._time_to_end(candidate):
                return self._too_dear(candidate)
            if leader is not None and block.number >= 1 and self._loses(candidate, leader):
                gain, _, chance = self.race.compare(leader, candidate)
                return (
                    f"{LOST} to {leader.label} after {block.number + 1} blocks: "
                    f"{gain:.3f} behind, p {chance:.3f}"
                )
        return None

    def _time_to_end(self, candidate: Candidate) -> float:
        """Seconds that its last fit may take where it makes as few steps as it can."""
        return self.costs.seconds_left / self.costs.squeeze(candidate)

    def _too_dear(self, candidate: Candidate) -> str:
        need = self.race.plan.fewest * self.costs.of_block(candidate)
        need += self.costs.to_register(candidate)
        left = max(self.costs.seconds_left, 0)
        return f"needs about {need:.0f} s, {left:.0f} s of the budget are left"

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

    # the decision

    def _decide(self) -> Choice:
        choice, race = self.choice, self.race
        found = [race.standing(each) for each in self.measured]
        choice.standings = sorted(
            (each for each in found if each is not None), key=lambda s: -s.score
        )
        controls = [c for c in self.measured if self._is_control(c)]
        choice.best_control = max(controls, key=self._score, default=None)
        for each in controls:
            choice.verdicts[each.key] = CONTROL
        able = [each for each in self._best_of_methods() if self._beats(each, controls)]
        if not able:
            choice.why = self._why_none(controls)
            return choice
        best = max(able, key=self._score)
        near = [each for each in able if each is best or self._within_error(best, each)]
        winner = min(near, key=lambda each: (each.method.rung, -self._score(each)))
        choice.winner = winner
        rest = sorted((e for e in able if e is not winner), key=lambda e: -self._score(e))
        choice.ranking = [winner, *rest]
        for each in able:
            choice.verdicts[each.key] = (
                "chosen" if each is winner else self._verdict(each, winner, best)
            )
        choice.why = self._why(winner, best)
        return choice

    def _is_control(self, candidate: Candidate) -> bool:
        name = candidate.method.name
        return name in CONTROLS and not (name == self.named == "nearest")

    def _best_of_methods(self) -> list[Candidate]:
        """Each method with the settings that did best."""
        best: dict[str, Candidate] = {}
        for each in self.measured:
            if self._is_control(each):
                continue
            if each.key in self.choice.verdicts and each.level:
                continue  # stopped early, so its score is of few blocks
            kept = best.get(each.method.name)
            if kept is None or self._gains(each, kept) > 0:
                best[each.method.name] = each
        return list(best.values())

    def _gains(self, one: Candidate, other: Candidate) -> float:
        return self.race.compare(one, other)[0]

    def _beats(self, candidate: Candidate, controls: Sequence[Candidate]) -> bool:
        if candidate.key in self.choice.verdicts:
            return False  # it lost the race
        beaten = all(self._gains(candidate, control) > 0 for control in controls)
        if not beaten:
            self.choice.verdicts[candidate.key] = "not above the controls"
        return beaten

    def _within_error(self, best: Candidate, other: Candidate) -> bool:
        gain, error, _ = self.race.compare(best, other)
        return gain <= error

    def _verdict(self, each: Candidate, winner: Candidate, best: Candidate) -> str:
        if each is best or self._within_error(best, each):
            return "no better than the chosen one by more than one standard error, and dearer"
        return f"{self._gains(best, each):.3f} behind {best.label}"

    def _why(self, winner: Candidate, best: Candidate) -> str:
        said = f"{winner.label} scores {self._score(winner):.3f} on held-out rows"
        if best is not winner:
            gain, error, _ = self.race.compare(best, winner)
            said += (
                f"; {best.label} is {gain:.3f} better, within one standard error ({error:.3f}),"
                " and dearer"
            )
        return said

    def _why_none(self, controls: Sequence[Candidate]) -> str:
        best = self.choice.best_control
        if best is None:
            return "nothing was measured against a control"
        others = [s for s in self.choice.standings if not self._is_control(s.candidate)]
        reached = f"the best of the others {others[0].score:.3f}" if others else "nothing else ran"
        return f"the control {best.label} scores {self._score(best):.3f}, {reached}"
