"""What a chosen method is worth on the sealed rows, and whether that is enough to be registered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tools.tuning.decision import CONTROL, Choice
from tools.tuning.design import TEMPLATES
from tools.tuning.evaluation import Measured, measure, measured, template_spread
from tools.tuning.examples import Prediction
from tools.tuning.job_data import JobData
from tools.tuning.methods.base import Bench, Method
from tools.tuning.race import Candidate, Race
from tools.tuning.tally import difference, tally

CHANCE_AT = 0.05
"""Probability, over all held-out rows, that the majority control is as good: above it nothing is
registered. The nearest-examples control has only to be beaten, since it is a classifier itself."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of the chosen method."""

    winner: Candidate
    dev: Measured
    """On the rows that the choice was made on."""
    dev_controls: Mapping[str, float]
    test: Measured | None = None
    """On the sealed rows; None where there are none."""
    test_controls: Mapping[str, float] = field(default_factory=dict)
    template_spread: float | None = None
    refused: str = ""
    """Why it must not be registered; empty where it may."""


def judge(
    method: Method,
    winner: Candidate,
    data: JobData,
    race: Race,
    choice: Choice,
    bench: Bench,
    fit: Callable[[Candidate], Method],
) -> Evidence:
    """Measure the method, and each control beside it, on the sealed rows.

    Without sealed rows the held-out rows of the race alone must tell it from the controls.

    Args:
        fit: gives a control fitted on the same rows as the method.

    Raises:
        BudgetSpent, Stopped: see `Bench.check`.
    """
    controls = controls_of(choice)
    dev_controls = {each.method.name: race.score(each) for each in controls}
    dev = measured(data.task, *race.said(winner))
    test: Measured | None = None
    said: list[Prediction] = []
    if data.test:
        test, said = measure(method, data.task, data.test, bench)
    found: dict[str, float] = {}
    refused = ""
    for control in controls:
        theirs: list[Prediction] = []
        if data.test:
            figure, theirs = measure(fit(control), data.task, data.test, bench)
            found[control.method.name] = figure.metrics.score
        refused = refused or _why_refused(winner, control, race, data, said, theirs)
    spread = None if refused else _spread(winner, data, race, bench)
    return Evidence(winner, dev, dev_controls, test, found, spread, refused)


def controls_of(choice: Choice) -> list[Candidate]:
    """The controls that were measured."""
    return [
        s.candidate for s in choice.standings if choice.verdicts.get(s.candidate.key) == CONTROL
    ]


def _spread(winner: Candidate, data: JobData, race: Race, bench: Bench) -> float | None:
    """Over templates, where there is time to fit one of each without haste."""
    standing = race.standing(winner)
    assert standing is not None
    if 2 * len(TEMPLATES) * standing.seconds > bench.seconds_left:
        return None
    return template_spread(winner, data.task, race.plan, race.plan.blocks[0], bench)


def _why_refused(
    winner: Candidate,
    control: Candidate,
    race: Race,
    data: JobData,
    said: Sequence[Prediction],
    theirs: Sequence[Prediction],
) -> str:
    """Held-out rows of the race and sealed rows count together; empty where the winner passes."""
    before, beside = race.rows_beside(winner, control)
    gain, _, chance = difference(
        np.concatenate([before, tally(data.test, said)]),
        np.concatenate([beside, tally(data.test, theirs)]),
        seed=0,
    )
    if gain > 0 and not (control.method.name == "majority" and chance > CHANCE_AT):
        return ""
    return (
        f"{winner.label} is {gain:+.3f} from the control {control.label} over all held-out rows "
        f"(p {chance:.2f})"
    )
