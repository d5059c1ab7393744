"""Puts the report of a job together from what was measured."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tools.tuning.decision import Choice
from tools.tuning.evaluation import Measured
from tools.tuning.gate import Evidence
from tools.tuning.job_data import JobData
from tools.tuning.job_report import Curve, Figures, JobReport, RaceRow
from tools.tuning.job_spec import JobSpec


def report_of(
    spec: JobSpec,
    job: str,
    data: JobData,
    choice: Choice,
    evidence: Evidence | None,
    *,
    cross_validated: bool,
    status: str,
    seconds: float,
    budget_seconds: float,
    curves: Sequence[Curve],
    notes: Sequence[str],
) -> JobReport:
    """The report; without evidence where nothing was chosen.

    Args:
        choice: an empty one where the race had not begun.
        budget_seconds: the job's now, which a resume may have raised.
    """
    shown: Measured | None = (evidence.test or evidence.dev) if evidence else None
    dev = Figures.of(evidence.dev, evidence.dev_controls) if evidence else None
    test = Figures.of(evidence.test, evidence.test_controls) if evidence and evidence.test else None
    return JobReport(
        job=job,
        skill=spec.skill,
        kind=spec.kind,
        status=status,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        budget_seconds=budget_seconds,
        rows=data.sizes,
        data=tuple(data.report_lines),
        why=choice.why,
        race=race_rows(choice),
        skipped=tuple((each.label, each.why) for each in choice.skipped),
        cross_validated=cross_validated,
        chosen=evidence.winner.label if evidence else "",
        dev=dev,
        test=test,
        template_spread=evidence.template_spread if evidence else None,
        curves=tuple(curves),
        wrong=shown.wrong if shown else (),
        notes=tuple(notes),
    )


def race_rows(choice: Choice) -> tuple[RaceRow, ...]:
    """One a candidate, the best first."""
    return tuple(
        RaceRow(
            each.candidate.label,
            each.score,
            each.low,
            each.high,
            each.spread,
            each.blocks,
            each.seconds,
            choice.verdicts.get(each.candidate.key, "other settings did better"),
        )
        for each in choice.standings
    )
