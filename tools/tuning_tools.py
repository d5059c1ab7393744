"""Tools with which a run trains skills for itself: look at the data, tune, measure on other data.

`tune_skill` starts a job in a process of its own and waits for it a while; called again with the
same arguments it waits on. What it answers is the evidence, so that the next step can follow from
it: another method, other data, or the measured reason to stop.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.tools import BaseTool
from pydantic import Field

from tools.base import Column, Ground, SkillName, tool
from tools.context import ToolContext
from tools.errors import ToolFailed, ToolRetry, TuningSpent
from tools.skills import APPLY_SECONDS, copied, said_plainly, shelf_of

if TYPE_CHECKING:
    from tools.tuning.job_folder import Job, JobState
    from tools.tuning.job_report import JobReport
    from tools.tuning.job_spec import JobSpec

DATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".conll", ".bio", ".iob", ".txt")
FINDINGS = 20
"""Lines of a data report that are shown."""
OTHERS = 4
"""Methods that are named beside the chosen one."""
WEAKEST = 3
WRONG = 3

Kind = Literal["classification", "ner"]
MethodName = Literal[
    "auto",
    "nearest",
    "zero_shot",
    "few_shot",
    "linear_head",
    "contrastive",
    "encoder",
    "encoder_lora",
    "soft_prompt",
    "kv_prefix",
    "lora",
    "full",
]
DataFileName = Annotated[str, Ground("file", suffixes=DATA_SUFFIXES)]
DataColumn = Annotated[str, Column(of="path")]
NewSkill = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{1,30}$")]


def get_tools(context: ToolContext) -> list[BaseTool]:
    """The family `tuning`; nothing where the run must not tune."""
    if context.tuning is None:
        return []
    tuning = context.tuning

    @tool(effect="read", family="tuning", says="look over the examples in {path}")
    def profile_dataset(
        path: DataFileName, kind: Kind, text_column: DataColumn = "", label_column: DataColumn = ""
    ) -> str:
        """Look over labelled examples before training: labels, duplicates, conflicts, odd rows.

        Args:
            path: the file with the examples.
            kind: classification gives each text a label; ner marks words in sentences.
            text_column: the column with the text, or the words.
            label_column: the column with the label, or the tags.
        """
        from tools.tuning.base_reading import base_reading
        from tools.tuning.data_report import report
        from tools.tuning.reading import read_dataset

        with copied(context, path) as file, said_plainly(path):
            data = read_dataset(
                file, kind, text_column=text_column or None, label_column=label_column or None
            )
            reads = base_reading(None, tuning.runner.home)  # what tune_skill builds on
            about = report(
                data,
                longest_tokens=reads.longest,
                count_tokens=reads.count,
                languages=reads.languages,
            )
            lines = [line.replace(str(file), path) for line in about.lines()]
        task = data.task
        what = "several labels a text" if task.multi_label else "one label a text"
        head = f"{path}: {len(data)} examples, {len(task.labels)} labels"
        head += "" if kind == "ner" else f", {what}"
        more = len(lines) - FINDINGS
        return "\n".join([head, *lines[:FINDINGS], *([f"... {more} more"] if more > 0 else [])])

    @tool(effect="train", idempotent=True, polls=True, family="tuning", says="train skill {skill}")
    def tune_skill(
        path: DataFileName,
        kind: Kind,
        skill: NewSkill,
        text_column: DataColumn = "",
        label_column: DataColumn = "",
        method: MethodName = "auto",
        seconds: Annotated[int, Field(ge=0, le=86_400)] = 0,
    ) -> str:
        """Train a skill on labelled examples. Call it again with the same arguments to wait on.

        Args:
            path: the file with the examples.
            kind: classification gives each text a label; ner marks words in sentences.
            skill: the name of the skill to make.
            text_column: the column with the text, or the words.
            label_column: the column with the label, or the tags.
            method: auto measures several methods and takes the best.
            seconds: time for this training; 0 takes half of what the run has left.
        """
        from tools.tuning.errors import BudgetSpent

        spec = _spec(context, path, kind, skill, text_column, label_column, method)
        with said_plainly():
            try:
                job, state, last = tuning.tune(spec, seconds=seconds)
            except BudgetSpent as error:
                raise TuningSpent(str(error)) from error
        return _told(job, state, last, spec, tuning.seconds_left)

    @tool(effect="read", family="tuning", says="measure {skill} on {path}")
    def evaluate_skill(
        skill: SkillName,
        path: DataFileName,
        text_column: DataColumn = "",
        label_column: DataColumn = "",
    ) -> str:
        """Measure a skill on labelled examples that it was not trained on.

        Args:
            skill: the skill.
            path: the file with the examples.
            text_column: the column with the text, or the words.
            label_column: the column with the label, or the tags.
        """
        from tools.tuning.evaluation import measure
        from tools.tuning.methods.base import Bench
        from tools.tuning.reading import read_dataset
        from tools.tuning.report_tables import classification_report, confusion_lines

        shelf = shelf_of(context)
        with copied(context, path) as file, said_plainly(path):
            found, fitted = shelf.method(skill)
            task = found.card.task
            data = read_dataset(
                file,
                task.kind,
                text_column=text_column or None,
                label_column=label_column or None,
                task=task,
            )
            bench = Bench(shelf.home, deadline=time.monotonic() + APPLY_SECONDS)
            figures, _ = measure(fitted, task, data.examples, bench)
        about = figures.metrics
        head = (
            f"{skill} on {path}: {about.name} {about.score:.3f} (95 % {figures.low:.3f}-"
            f"{figures.high:.3f}), {about.examples} examples"
        )
        wrong = [
            f"- line {each.line}: right {each.right}, said {each.said}: {each.text[:100]}"
            for each in figures.wrong[:WRONG]
        ]
        worst = ["surest errors:", *wrong] if wrong else []
        return "\n".join([head, *classification_report(about), *confusion_lines(about), *worst])

    return [profile_dataset, tune_skill, evaluate_skill]


def _spec(
    context: ToolContext,
    path: str,
    kind: Kind,
    skill: str,
    text_column: str,
    label_column: str,
    method: str,
) -> "JobSpec":
    """What the job is to do, with the file as it is now."""
    from tools.tuning.job_spec import DataFile, JobSpec

    digest = context.workspace.digest(path)
    if digest is None:
        raise ToolRetry(f"there is no file {path!r}; list_files shows the files")
    if not path.lower().endswith(DATA_SUFFIXES):
        raise ToolRetry(f"{path} is no file of examples; take {', '.join(DATA_SUFFIXES)}")
    return JobSpec(
        kind=kind,
        skill=skill,
        # The job reads the file only if its bytes are still these.
        train=DataFile(path=str(context.workspace.root / path), sha256=digest),
        text_column=text_column or None,
        label_column=label_column or None,
        method=method,
        device=context.tuning.device if context.tuning else None,
    )


def _told(
    job: "Job", state: "JobState", last: Mapping[str, Any], spec: "JobSpec", left: float
) -> str:
    """Where the job stands, or the evidence of what came of it."""
    budget = f"{max(left, 0):.0f} s are left for training."
    if state.status in ("queued", "running"):
        where = ", ".join(
            f"{name} {last[name]}" for name in ("phase", "method", "block", "step") if name in last
        )
        return (
            f"Still training after {job.seconds_used():.0f} of {state.budget_seconds:.0f} s"
            f"{f' ({where})' if where else ''}. Call tune_skill again with the same arguments."
        )
    report = _report(job)
    if state.status != "done":
        lines = [f"No skill: {state.message}", *(_evidence(report) if report else ())]
        raise ToolFailed("\n".join([*lines, budget]))
    result = state.result
    head = f"Skill {result.get('skill', spec.skill)} is ready: {result.get('method', '')}"
    return "\n".join([head, *(_evidence(report) if report else ()), budget])


def _report(job: "Job") -> "JobReport | None":
    from tools.tuning.errors import JobError
    from tools.tuning.job_report import JobReport

    try:
        return JobReport.read(job.folder)
    except JobError:
        return None


def _evidence(report: "JobReport") -> list[str]:
    """The figures that a next step can follow from, in a few lines."""
    lines = []
    for name, figures in (("test", report.test), ("dev", report.dev)):
        if figures is None:
            continue
        found = figures.read()
        controls = ", ".join(f"{key} {value:.2f}" for key, value in figures.controls.items())
        lines.append(
            f"{found.name} on {name}: {found.score:.3f} (95 % {figures.low:.2f}-{figures.high:.2f},"
            f" {found.examples} rows); controls {controls or 'none'}"
        )
    best = report.test or report.dev
    if best is not None:
        rows = sorted(best.read().rows, key=lambda row: row.f1)[:WEAKEST]
        weakest = ", ".join(f"{row.label} F1 {row.f1:.2f} of {row.support}" for row in rows)
        lines.append(f"weakest labels: {weakest}")
    others = [row for row in report.race if row.label != report.chosen][:OTHERS]
    if others:
        told = ", ".join(f"{row.label} {row.score:.2f}" for row in others)
        lines.append(f"other methods on held-out rows: {told}")
    lines += [f"left out: {label}: {why}" for label, why in report.skipped[:OTHERS]]
    lines += [f"data: {line.strip()}" for line in report.data[1:6]]
    return lines
