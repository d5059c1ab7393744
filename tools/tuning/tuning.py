"""The work of one tuning job, from its files to a registered skill; reads top to bottom.

    outcome = run(spec, job.folder, home)

Read, look over, split, choose, fit on all rows, measure on the sealed rows, register. Every step
leaves its trace in the job's folder, so a job that was killed goes on where it was: trials in
`race.jsonl`, unfinished fits in `checkpoints/`, the report in `report.json` and `report.html`. The
report is there before the skill is registered, so that no kill in between can cost it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory import durable
from memory.errors import StoreError
from models.errors import ModelError
from tools.tuning.blocks import apart, plan_blocks
from tools.tuning.card_facts import card_of
from tools.tuning.decision import Choice, undecided
from tools.tuning.entrants import candidates
from tools.tuning.errors import (
    BudgetSpent,
    Diverged,
    JobError,
    MethodUnsuitable,
    NotBetter,
    Stopped,
)
from tools.tuning.gate import Evidence, judge
from tools.tuning.job_data import JobData, read_data
from tools.tuning.job_events import progress_facts, read_events
from tools.tuning.job_folder import Job
from tools.tuning.job_report import PAGE_FILE, REPORT_FILE, Curves, JobReport
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
from tools.tuning.start import Start, skill_to_begin_from, start_of

RACE_FILE = "race.jsonl"
FINAL = "final"
MEASURE_SHARE = 0.1
"""Of the time that is left, kept for measuring on the sealed rows."""
GRACE_SHARE = 0.1
"""Of the budget: the last fit and measurement may overrun it by so much, before all is lost."""

BEGINS = "begins "
"""How a method's note on the skill that it was to begin from begins: `begins as`, `begins anew`."""

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
        SkillError: the skill that it begins from is not there, or broken.
        NotBetter: nothing beat the controls; the report says what was measured.
        BudgetSpent, MethodUnsuitable, Diverged, ModelError: no method had a result; the report says
            what was measured until then.
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
        self.budget = self.job.stored_state().budget_seconds
        self.started = time.monotonic()
        self.curves = Curves(read_events(self.job.events_path)[0])
        self.notes: list[str] = []
        self.start = Start()
        self.cross_validated = False
        self.choice = Choice()
        self.evidence: Evidence | None = None
        self._on_event = on_event

    def run(self) -> Outcome:
        store = SkillStore(self.home)
        if (skill := made_by(store, self.spec.skill, self.job.id)) is not None:
            return self._taken_up(store, skill)
        for name in (REPORT_FILE, PAGE_FILE):  # of an attempt that failed
            (self.job.folder / name).unlink(missing_ok=True)
        begun_from = skill_to_begin_from(store, self.spec.from_skill)
        self._phase("read")
        data = read_data(self.spec, self.bench)
        try:
            self.start = start_of(begun_from, data.test)
            return self._tuned(store, data)
        except Stopped:
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            with suppress(StoreError):  # a full disk, say: `error` is what matters
                self._report(data, said if isinstance(error, NotBetter) else f"failed: {said}")
            raise

    def _tuned(self, store: SkillStore, data: JobData) -> Outcome:
        self.notes += data.notes
        self.tell({"type": "data", "lines": data.report_lines, "rows": data.sizes})
        if self.start.note:
            self._note(self.start.note)
        self._phase("choose")
        race = self._choose(data)
        choice = self.choice
        if choice.winner is None:
            raise _not_better(choice.why)
        winner, method = self._fit(data, choice)
        self.evidence = evidence = self._judged(data, race, choice, winner, method)
        if evidence.refused:
            raise _not_better(evidence.refused)
        self._report(data, "measured, not yet registered")
        skill = self._registered(store, data, race, choice, evidence, method)
        self._report(data, _status(skill))
        return Outcome.of(skill, self._seconds(), choice.why)

    def _taken_up(self, store: SkillStore, skill: Skill) -> Outcome:
        """An earlier attempt registered it and was killed: do what that left undone."""
        store.take_up(skill.name, skill.version)
        with suppress(JobError):  # no report can be made without what was measured
            report = JobReport.read(self.job.folder)
            self._write(report.model_copy(update={"status": _status(skill)}))
        return Outcome.of(skill, self._seconds(), "registered by an earlier attempt")

    # choosing

    def _choose(self, data: JobData) -> Race:
        """Race the candidates; `self.choice` is what comes of it, also where it comes to no end."""
        plan = plan_blocks(data.train, dev=data.dev, seed=self.spec.seed)
        self.cross_validated = plan.cross_validated
        log = RaceLog(self.job.folder / RACE_FILE, budget_seconds=self.budget)
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
        try:
            choice = choose(data.task, entrants, race, costs, named=self.spec.method)
        except Exception:
            self.choice = undecided(race, entrants)
            raise
        self.choice = choice
        for skipped in choice.skipped:
            self.tell({"type": "skipped", "label": skipped.label, "why": skipped.why})
        self.tell(
            {
                "type": "chosen",
                "why": choice.why,
                "candidate": choice.winner.key if choice.winner else None,
            }
        )
        return race

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
                self._note(
                    f"{candidate.label} won, but its last fit failed: {error}; the next took over"
                )
        raise AssertionError("a winner is always ranked")

    def _fitted(self, candidate: Candidate, data: JobData, name: str) -> Method:
        """The candidate on all rows that may be learned from."""
        left = self.bench.seconds_left
        seconds = max((1 - MEASURE_SHARE) * left, min(left, 0.0) + self._grace / 2)
        checkpoints = self.bench.checkpoints
        said: list[str] = []
        tell = self._progress_of(name, candidate)

        def on_progress(progress: Progress) -> None:
            said.append(progress.note)
            tell(progress)

        bench = replace(
            self.bench,
            deadline=time.monotonic() + seconds,
            checkpoints=checkpoints / f"{name}-{candidate.key}" if checkpoints else None,
            start=self.start.folder if name == FINAL else None,
            on_progress=on_progress,
        )
        rows, stop = data.for_last_fit, data.stop_rows
        train, stop = (rows, stop) if stop else apart(rows, self.spec.seed)
        method = candidate.method(data.task, candidate.settings)
        method.fit(train, stop, bench)
        if name == FINAL:
            self._note_fit(method, said)
        return method

    def _note_fit(self, method: Method, said: Sequence[str]) -> None:
        """What the card should say of the last fit: what it began from, and that it was cut."""
        start = self.start
        if start.folder is not None:
            how = [note for note in said if note.startswith(BEGINS)]
            if not how and start.method != method.name:
                how = [f"begins anew: the skill was made by {start.method}"]
            for note in dict.fromkeys(how):
                self._note(f"--from {start.name}: {method.name} {note}")
        trained = getattr(method, "trained", None)  # of what is trained by steps
        if trained is not None and trained.note:
            self._note(f"the last fit: {trained.note}")

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
        return GRACE_SHARE * self.budget

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

    def _note(self, note: str) -> None:
        """For the log, the report and the card."""
        self.notes.append(note)
        self.tell({"type": "note", "note": note})

    def _report(self, data: JobData, status: str) -> None:
        """Write the report and its page, as far as the job has come."""
        report = report_of(
            self.spec,
            self.job.id,
            data,
            self.choice,
            self.evidence,
            cross_validated=self.cross_validated,
            status=status,
            seconds=self._seconds(),
            budget_seconds=self.budget,
            curves=self.curves.all(),
            notes=self.notes,
        )
        self._write(report)

    def _write(self, report: JobReport) -> None:
        report.write(self.job.folder)
        durable.replace(self.job.folder / PAGE_FILE, page(report).encode("utf-8", "replace"))

    def _seconds(self) -> float:
        """Of all attempts."""
        return max(self.job.seconds_used(), time.monotonic() - self.started)


def _not_better(why: str) -> NotBetter:
    """The error to raise; the report says what was measured."""
    return NotBetter(
        f"nothing was registered, since nothing beat the controls: {why}; more or cleaner labels "
        "may help"
    )


def _status(skill: Skill) -> str:
    return f"registered as version {skill.version} of `{skill.name}`"
