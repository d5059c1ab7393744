"""Candidates measured block by block, and compared on the blocks that they share.

A candidate is a method with settings. Each block that it has run gives a trial; trials are kept in
the job's folder (`race_log.py`), so a resumed job repeats none. A fit's checkpoints are removed as
soon as its trial is kept.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tools.tuning.blocks import Block, Plan
from tools.tuning.errors import BudgetSpent
from tools.tuning.examples import Example, Input, Prediction, inputs_of
from tools.tuning.methods.base import Bench, Method, Progress
from tools.tuning.race_log import RaceLog, Trial
from tools.tuning.tally import Numbers, difference, interval, mean_score, tally

PROBE_ROWS = 16
"""So many rows are predicted first, to see how long the rest will take."""
PREDICT_ROWS = 256
"""Rows that are predicted between two looks at the clock."""

OnEvent = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method and what of its settings differs from the defaults."""

    method: type[Method]
    settings: Mapping[str, Any]
    level: int = 0
    """Its place in the method's grid; 0 is the likeliest."""

    @property
    def key(self) -> str:
        """Its name in files: `contrastive-1`."""
        return f"{self.method.name}-{self.level}"

    @property
    def label(self) -> str:
        """For people: `contrastive (body_lr=2e-05)`."""
        told = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.method.name} ({told})" if told else self.method.name


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a candidate stands in the race."""

    candidate: Candidate
    score: float
    low: float
    high: float
    """The 95 % interval over held-out rows."""
    spread: float
    """Standard deviation over the blocks, each with a seed of its own."""
    blocks: int
    seconds: float
    """Mean seconds of a block, fit and prediction."""


class Race:
    """Fits and scores candidates on the blocks of one plan."""

    def __init__(
        self, plan: Plan, bench: Bench, log: RaceLog, *, on_event: OnEvent = lambda _: None
    ) -> None:
        """Args:
        bench: its seed is replaced by each block's; checkpoints lie below its `checkpoints`.
            Without a start: what that has learned may be among the held-out rows (`start.py`).
        """
        self.plan = plan
        self.log = log
        self._bench = bench
        self._tell = on_event
        self._trials: dict[str, dict[int, Trial]] = {}
        self._tallies: dict[tuple[str, int], Numbers] = {}

    def run(self, candidate: Candidate, block: Block, task: Any, *, deadline: float) -> Trial:
        """The candidate's trial of a block; one that the log holds is not made again.

        Raises:
            what `Method.fit` raises; BudgetSpent also where predicting would take too long.
        """
        trial = self.log.trial(candidate.key, block.number)
        if trial is None:
            trial = self._made(candidate, block, task, deadline)
            self.log.add(trial)
        self._clear(candidate, block)
        counts = self._take(trial)
        self._tell(
            {
                "type": "scored",
                "candidate": candidate.key,
                "method": candidate.method.name,
                "label": candidate.label,
                "block": block.number,
                "blocks": len(self.plan.blocks),
                "score": round(mean_score(counts), 6),
                "seconds": round(trial.seconds, 3),
            }
        )
        return trial

    def recall(self, candidate: Candidate) -> None:
        """Take up the trials that an earlier attempt made before the candidate was left out."""
        for block in self.plan.blocks:
            if (trial := self.log.trial(candidate.key, block.number)) is not None:
                self._take(trial)

    def _take(self, trial: Trial) -> Numbers:
        block = self.plan.blocks[trial.block]
        gold = [self.plan.pool[place] for place in block.held]
        counts = tally(gold, trial.predictions())
        self._trials.setdefault(trial.candidate, {})[trial.block] = trial
        self._tallies[trial.candidate, trial.block] = counts
        return counts

    def leave(self, candidate: Candidate) -> None:
        """Forget the unfinished fits of a candidate that is not gone on with."""
        for block in self.plan.blocks:
            self._clear(candidate, block)

    def _clear(self, candidate: Candidate, block: Block) -> None:
        """Remove a fit's checkpoints; a kill may have left some of one whose trial is kept."""
        if (folder := self._checkpoints(candidate, block)) is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _checkpoints(self, candidate: Candidate, block: Block) -> Path | None:
        folder = self._bench.checkpoints
        return folder / f"{candidate.key}-{block.number}" if folder else None

    def _made(self, candidate: Candidate, block: Block, task: Any, deadline: float) -> Trial:
        bench = replace(
            self._bench,
            seed=block.seed,
            deadline=min(deadline, self._bench.deadline),
            checkpoints=self._checkpoints(candidate, block),
            on_progress=self.progress(candidate, block.number),
        )
        bench.check()
        started = time.monotonic()
        method = candidate.method(task, candidate.settings)
        method.fit(block.train, block.dev, bench)
        fitted = time.monotonic()
        held = [self.plan.pool[place] for place in block.held]
        said = predict_all(method, inputs_of(held), bench)
        now = time.monotonic()
        return Trial.of(candidate.key, block.number, said, now - started, now - fitted)

    def progress(self, candidate: Candidate, block: int) -> Callable[[Any], None]:
        """Passes a fit's progress on, with what is being fitted."""

        def tell(progress: Any) -> None:
            self._tell(
                {
                    "type": "progress",
                    "candidate": candidate.key,
                    "method": candidate.method.name,
                    "block": block,
                    "stage": progress.stage,
                    "step": progress.step,
                    "steps": progress.steps,
                    "loss": progress.loss,
                    "score": progress.score,
                    "note": progress.note,
                }
            )

        return tell

    def blocks_of(self, candidate: Candidate) -> int:
        """How many blocks it has run."""
        return len(self._trials.get(candidate.key, {}))

    @property
    def deadline(self) -> float:
        """When the whole job must have come to an end."""
        return self._bench.deadline

    def score(self, candidate: Candidate) -> float:
        """Its main metric over all blocks that it has run; -1 where it has run none."""
        trials = self._trials.get(candidate.key)
        return mean_score(self._rows(candidate, sorted(trials))) if trials else -1.0

    def standing(self, candidate: Candidate) -> Standing | None:
        """None where it has run no block."""
        trials = self._trials.get(candidate.key)
        if not trials:
            return None
        rows = self._rows(candidate, sorted(trials))
        low, high = interval(rows, seed=0)
        each = [mean_score(self._tallies[candidate.key, number]) for number in trials]
        return Standing(
            candidate,
            mean_score(rows),
            low,
            high,
            float(np.std(each, ddof=1)) if len(each) > 1 else 0.0,
            len(trials),
            float(np.mean([trial.seconds for trial in trials.values()])),
        )

    def compare(self, better: Candidate, other: Candidate) -> tuple[float, float, float]:
        """Over the blocks that both have run: see `tally.difference`."""
        shared = sorted(self._trials[better.key].keys() & self._trials[other.key].keys())
        if not shared:
            return 0.0, 0.0, 1.0
        return difference(self._rows(better, shared), self._rows(other, shared), seed=0)

    def rows(self, candidate: Candidate) -> Numbers:
        """Its counts for each row of the pool that it was scored on, summed over its blocks."""
        return self._rows(candidate, sorted(self._trials[candidate.key]))

    def rows_beside(self, one: Candidate, other: Candidate) -> tuple[Numbers, Numbers]:
        """The counts of two on the rows and blocks that they share."""
        shared = sorted(self._trials[one.key].keys() & self._trials[other.key].keys())
        return self._rows(one, shared), self._rows(other, shared)

    def _rows(self, candidate: Candidate, numbers: Sequence[int]) -> Numbers:
        """A row that was held out more often counts more, in every candidate alike."""
        sums = np.zeros((len(self.plan.pool), 3))
        touched = np.zeros(len(self.plan.pool), dtype=bool)
        for number in numbers:
            places = list(self.plan.blocks[number].held)
            sums[places] += self._tallies[candidate.key, number]
            touched[places] = True
        rows: Numbers = sums[touched]
        return rows

    def said(self, candidate: Candidate) -> tuple[list[Example], list[Prediction]]:
        """Held-out rows and what the candidate said, of its first round over the pool."""
        gold: list[Example] = []
        found: list[Prediction] = []
        for number in sorted(self._trials[candidate.key])[: self.plan.round]:
            gold += [self.plan.pool[place] for place in self.plan.blocks[number].held]
            found += self._trials[candidate.key][number].predictions()
        return gold, found

    @property
    def seconds(self) -> dict[str, list[float]]:
        """Seconds of every trial by candidate."""
        return {key: [t.seconds for t in trials.values()] for key, trials in self._trials.items()}


def predict_all(method: Method, inputs: Sequence[Input], bench: Bench) -> list[Prediction]:
    """All predictions, with a look at the clock now and then.

    Raises:
        BudgetSpent: the time is over, or would be long before the last row.
        Stopped: somebody asked for it.
    """
    found: list[Prediction] = []
    started = time.monotonic()
    while len(found) < len(inputs):
        bench.check()
        count = PREDICT_ROWS if found else PROBE_ROWS
        found += method.predict(inputs[len(found) : len(found) + count])
        spent = time.monotonic() - started
        left = spent / len(found) * (len(inputs) - len(found))
        if left > 2 * bench.seconds_left:
            raise BudgetSpent(
                f"predicting {len(inputs)} rows would take about {spent + left:.0f} s, "
                f"{bench.seconds_left:.0f} s are left"
            )
        bench.on_progress(Progress("infer", len(found), len(inputs)))
    return found
