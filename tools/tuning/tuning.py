"""The work of one tuning job, from its files to a registered skill; reads top to bottom.

    outcome = run(spec, job.folder, home)

Read, look over, split, choose, fit on all rows, measure on the sealed rows, register. Every step
leaves its trace in the job's folder, so a job that was killed goes on where it was: trials in
`race.jsonl`, unfinished fits in `checkpoints/`, the report in `report.json` and `report.html`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory import durable
from models.errors import ModelError
from tools.tuning.blocks import apart, plan_blocks
from tools.tuning.card_facts import card_of
from tools.tuning.decision import Choice
from tools.tuning.entrants import candidates
from tools.tuning.errors import BudgetSpent, Diverged, MethodUnsuitable, NotBetter
from tools.tuning.gate import Evidence, judge
from tools.tuning.job_data import JobData, read_data
from tools.tuning.job_events import progress_facts, read_events
from tools.tuning.job_folder import Job
from tools.tuning.job_report import PAGE_FILE, Curves
from tools.tuning.job_spec import JobSpec
from tools.tuning.kept_examples import write_examples
from tools.tuning.methods.base import Method, Progress
from tools.tuning.outcome import Outcome, made_by
from tools.tuning.race import Candidate, Race
from tools.tuning.race_log import RaceLog
from tools.tuning.report_making import report_of
from tools.tuning.report_page import page
from tools.tuning.selection import choose
from tools.tuning.selection_costs import Costs, mean_tokens
from tools.tuning.skill_store import Skill, SkillStore

RACE_FILE = "race.jsonl"
FINAL = "final"
MEASURE_SHARE = 0.1
"""Of the time that is left, kept for measuring on the sealed rows."""
GRACE_SHARE = 0.1
"""Of the budget: the last fit and measurement may overrun it by so much, before all is lost."""

OnEvent = Callable[[dict[str, Any]], object]


def run(
    spec: JobSpec,
    folder: Path,
    home: Path,
    on_event: OnEvent = lambda _: None,
    *,
    classes: Mapping[str, type[Method]] | None = None,
) -> Outcome:
    """Do the job, or go on with it.

    Args:
        folder: the job's, as `JobStore` makes it.
        on_event: told of everything that happens, as plain JSON.
        classes: the methods to choose among; the catalogue's where left out.

    Raises:
        DataError: the data cannot be used.
        NotBetter: nothing beat the controls; the report says what was measured.
        BudgetSpent, MethodUnsuitable, Diverged, ModelError: no method had a result.
        Stopped: somebody asked for it; the next call goes on.
    """
    return _Tuning(spec, folder, home, on_event, classes).run()


class _Tuning:
    """One call of `run`."""

    def __init__(
        self,
        spec: JobSpec,
        folder: Path,
        home: Path,
        on_event: OnEvent,
        classes: Mapping[str, type[Method]] | None,
    ) -> None:
        self.spec = spec
        self.job = Job(folder)
        self.home = home
        self.classes = classes
        self.bench = self.job.bench(spec)
        self.started = time.monotonic()
        self.curves = Curves(read_events(self.job.events_path)[0])
        self.notes: list[str] = []
        self._on_event = on_event

    def run(self) -> Outcome:
        store = SkillStore(self.home)
        if (skill := made_by(store, self.spec.skill, self.job.id)) is not None:
            return Outcome.of(skill, self._seconds(), "registered by an earlier attempt")
        self._phase("read")
        data = read_data(self.spec, self.bench)
        self.notes += data.notes
        self.tell({"type": "data", "lines": data.report_lines, "rows": data.sizes})
        self._phase("choose")
        race, choice = self._choose(data)
        if choice.winner is None:
            raise self._not_better(data, race, choice, choice.why)
        winner, method = self._fit(data, choice)
        evidence = self._judged(data, race, choice, winner, method)
        if evidence.refused:
            raise self._not_better(data, race, choice, evidence.refused, evidence)
        skill = self._registered(store, data, race, choice, evidence, method)
        status = f"registered as version {skill.version} of `{skill.name}`"
        self._report(data, race, choice, status, evidence)
        return Outcome.of(skill, self._seconds(), choice.why)

    def _not_better(
        self,
        data: JobData,
        race: Race,
        choice: Choice,
        why: str,
        evidence: Evidence | None = None,
    ) -> NotBetter:
        """The error to raise; the report says what was measured."""
        status = f"nothing was registered, since nothing beat the controls: {why}"
        self._report(data, race, choice, status, evidence)
        return NotBetter(f"{status}; more or cleaner labels may help")

    # choosing

    def _choose(self, data: JobData) -> tuple[Race, Choice]:
        plan = plan_blocks(data.train, dev=data.dev, seed=self.spec.seed)
        log = RaceLog(self.job.folder / RACE_FILE)
        race = Race(plan, self.bench, log, on_event=lambda event: self.tell(dict(event)))
        rows = len(data.train)
        entrants = candidates(
            data.task, rows, self.spec.method, self.spec.settings, classes=self.classes
        )
        costs = Costs(
            data.task,
            block_rows=plan.train_rows,
            held_rows=plan.held_rows,
            all_rows=len(data.for_last_fit),
            test_rows=len(data.test),
            tokens=mean_tokens(data.train[:2_000]),
            stops=bool(plan.blocks[0].dev),
            bench=self.bench,
        )
        choice = choose(data.task, entrants, race, costs, named=self.spec.method)
        for skipped in choice.skipped:
            self.tell({"type": "skipped", "label": skipped.label, "why": skipped.why})
        self.tell(
            {
                "type": "chosen",
                "why": choice.why,
                "candidate": choice.winner.key if choice.winner else None,
            }
        )
        return race, choice

    # the last fit

    def _fit(self, data: JobData, choice: Choice) -> tuple[Candidate, Method]:
        """The winner on all rows; the next best where it does not come to an end."""
        self._phase("fit")
        for candidate in choice.ranking:
            try:
                return candidate, self._fitted(candidate, data, FINAL)
            except (BudgetSpent, Diverged, MethodUnsuitable, ModelError) as error:
                if candidate is choice.ranking[-1]:
                    raise
                note = (
                    f"{candidate.label} won, but its last fit failed: {error}; the next took over"
                )
                self.notes.append(note)
                self.tell({"type": "note", "note": note})
        raise AssertionError("a winner is always ranked")

    def _fitted(self, candidate: Candidate, data: JobData, name: str) -> Method:
        """The candidate on all rows that may be learned from."""
        left = self.bench.seconds_left
        seconds = max((1 - MEASURE_SHARE) * left, min(left, 0.0) + self._grace / 2)
        checkpoints = self.bench.checkpoints
        bench = replace(
            self.bench,
            deadline=time.monotonic() + seconds,
            checkpoints=checkpoints / f"{name}-{candidate.key}" if checkpoints else None,
            on_progress=self._progress_of(name, candidate),
        )
        rows, stop = data.for_last_fit, data.stop_rows
        train, stop = (rows, stop) if stop else apart(rows, self.spec.seed)
        method = candidate.method(data.task, candidate.settings)
        method.fit(train, stop, bench)
        return method

    # measuring and registering

    def _judged(
        self, data: JobData, race: Race, choice: Choice, winner: Candidate, method: Method
    ) -> Evidence:
        self._phase("measure")
        bench = replace(
            self.bench,
            deadline=self.bench.deadline + self._grace,
            on_progress=self._progress_of("measure", winner),
        )

        def fit(control: Candidate) -> Method:
            return self._fitted(control, data, "control")

        return judge(method, winner, data, race, choice, bench, fit)

    def _registered(
        self,
        store: SkillStore,
        data: JobData,
        race: Race,
        choice: Choice,
        evidence: Evidence,
        method: Method,
    ) -> Skill:
        self._phase("register")
        winner = evidence.winner
        standing = race.standing(winner)
        card = card_of(
            self.spec,
            self.job.id,
            data,
            method,
            evidence,
            seeds=[block.seed for block in race.plan.blocks[: race.blocks_of(winner)]],
            seed_spread=standing.spread if standing else None,
            notes=[*self.notes, *(f"skipped {s.label}: {s.why}" for s in choice.skipped)],
        )

        def write(place: Path) -> None:
            method.save(place)
            write_examples(place, data.train)

        skill = store.register(self.spec.skill, card, write)
        self.tell({"type": "registered", "skill": skill.name, "version": skill.version})
        return skill

    @property
    def _grace(self) -> float:
        return GRACE_SHARE * self.spec.budget_seconds

    # telling

    def tell(self, event: dict[str, Any]) -> None:
        """Pass an event on, and keep what the report needs of it."""
        self.curves.take(event)
        self._on_event(event)

    def _phase(self, phase: str) -> None:
        self.tell({"type": "phase", "phase": phase})

    def _progress_of(self, name: str, candidate: Candidate) -> Callable[[Progress], None]:
        about = {"candidate": name, "method": candidate.method.name}
        return lambda progress: self.tell({**about, **progress_facts(progress)})

    def _report(
        self,
        data: JobData,
        race: Race,
        choice: Choice,
        status: str,
        evidence: Evidence | None = None,
    ) -> None:
        """Write the report and its page."""
        report = report_of(
            self.spec,
            self.job.id,
            data,
            race,
            choice,
            evidence,
            status=status,
            seconds=self._seconds(),
            curves=self.curves.all(),
            notes=self.notes,
        )
        report.write(self.job.folder)
        durable.replace(self.job.folder / PAGE_FILE, page(report).encode("utf-8", "replace"))

    def _seconds(self) -> float:
        """Of all attempts."""
        return max(self.job.seconds_used(), time.monotonic() - self.started)
