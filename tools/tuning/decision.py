"""What comes of a race: who is chosen, and what is said of all the others.

Of the methods that score above the controls, those within one standard error of the best are as
good as it, and the cheapest of them is chosen. A method counts with the settings that did best.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.tuning.method_catalogue import CONTROLS
from tools.tuning.race import Candidate, Race, Standing

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


def undecided(race: Race, entrants: Sequence[Candidate]) -> Choice:
    """What is known of a race that came to no end."""
    choice = Choice()
    for each in entrants:
        race.recall(each)
        why, standing = race.log.skipped(each.key), race.standing(each)
        if standing is not None:
            choice.standings.append(standing)
            choice.verdicts[each.key] = why or "measured so far"
        elif why is not None:
            choice.skipped.append(Skipped(each.label, why))
    choice.standings.sort(key=lambda standing: -standing.score)
    return choice


class Decision:
    """Decides one race."""

    def __init__(
        self, race: Race, measured: Sequence[Candidate], choice: Choice, named: str
    ) -> None:
        """Args:
        measured: candidates with enough trials to be compared.
        choice: with the verdicts on those that lost on the way.
        named: the method that a person asked for; `nearest` is then no control.
        """
        self.race = race
        self.measured = list(measured)
        self.choice = choice
        self.named = named

    def decide(self) -> Choice:
        """Fill in the choice."""
        choice, race = self.choice, self.race
        found = [race.standing(each) for each in self.measured]
        choice.standings = sorted(
            (each for each in found if each is not None), key=lambda s: -s.score
        )
        controls = [c for c in self.measured if self._is_control(c)]
        choice.best_control = max(controls, key=self.race.score, default=None)
        for each in controls:
            choice.verdicts[each.key] = CONTROL
        able = [each for each in self._best_of_methods() if self._beats(each, controls)]
        if not able:
            choice.why = self._why_none(controls)
            return choice
        best = max(able, key=self.race.score)
        near = [each for each in able if each is best or self._within_error(best, each)]
        winner = min(near, key=lambda each: (each.method.rung, -self.race.score(each)))
        choice.winner = winner
        rest = sorted((e for e in able if e is not winner), key=lambda e: -self.race.score(e))
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
        said = f"{winner.label} scores {self.race.score(winner):.3f} on held-out rows"
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
        return f"the control {best.label} scores {self.race.score(best):.3f}, {reached}"
