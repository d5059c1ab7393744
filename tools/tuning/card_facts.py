"""Fills in the evidence card of a skill that a job has made."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from models.catalogue import CATALOGUE
from tools.tuning.gate import Evidence
from tools.tuning.job_data import JobData
from tools.tuning.job_spec import JobSpec
from tools.tuning.methods.base import Method
from tools.tuning.skill_card import SkillCard
from tools.tuning.task import Task

LIBRARIES = ("tuneward", "torch", "transformers", "peft", "scikit-learn", "numpy")
LABELS_SHOWN = 12
"""Labels that the description names."""
LABEL_CHARACTERS = 40
NOTES = 40


def card_of(
    spec: JobSpec,
    job: str,
    data: JobData,
    method: Method,
    evidence: Evidence,
    *,
    seeds: Sequence[int],
    seed_spread: float | None,
    notes: Sequence[str],
) -> SkillCard:
    """The card; the store adds version, size and date."""
    base = method.base_facts()
    test = evidence.test
    return SkillCard(
        name=spec.skill,
        description=describe(data.task),
        task=data.task,
        method=method.name,
        settings=dict(method.settings),
        base=base,
        data=data.files,
        seeds=tuple(seeds),
        dev=evidence.dev.scores(evidence.dev_controls),
        test=test.scores(evidence.test_controls) if test else None,
        seed_spread=seed_spread,
        template_spread=evidence.template_spread,
        milliseconds_per_row=test.milliseconds_per_row if test else None,
        licence=licence_of(base, spec.licence),
        job=job,
        made_with=libraries(),
        notes=tuple(note[:500] for note in notes[:NOTES]),
    )


def describe(task: Task) -> str:
    """What the skill does, in a sentence that a planner reads."""
    shown = [_plain(label) for label in task.labels[:LABELS_SHOWN]]
    more = f" and {len(task.labels) - len(shown)} more" if len(task.labels) > len(shown) else ""
    labels = ", ".join(shown) + more
    if task.kind == "ner":
        return f"Finds {labels} in a text."
    what = "a pair of texts" if task.pairs else "a text"
    return f"Says which of {labels} {what} is{' (any number of them)' if task.multi_label else ''}."


def licence_of(base: dict[str, Any], data: str | None) -> str:
    """What is known: of the base model as the catalogue has it, of the training data as given."""
    said = f"training data {data or 'not stated'}"
    if not base:
        return said
    entry = CATALOGUE.get(str(base.get("name", "")))
    return f"base model {entry.licence if entry else 'not stated'}; {said}"


def libraries() -> dict[str, str]:
    """Versions of what it was made with."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(label: str) -> str:
    text = " ".join(label.split())
    return text if len(text) <= LABEL_CHARACTERS else f"{text[:LABEL_CHARACTERS]}..."
