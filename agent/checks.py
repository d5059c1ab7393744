"""Evaluates checks: the host decides whether a goal is reached, never the model.

`found` says what is there, and may be shown to the model; it never holds what was expected. Files
that this run did not write do not count, unless the check says `fresh: false`.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agent.check_specs import (
    AnswerCheck,
    AnswerSpec,
    Check,
    FileCheck,
    FileSpec,
    JsonCheck,
    JsonSpec,
    MetricCheck,
    MetricSpec,
    OnFile,
    TableCheck,
    TextCheck,
    TextRules,
    TextSpec,
    parts_of,
)
from agent.file_kinds import Miss, check_kind, text_of
from agent.json_values import (
    JsonError,
    SchemaError,
    has_json,
    misfit,
    parse_json,
    read_schema,
    same_json,
)
from agent.patterns import PatternError, count_words, found_in
from agent.table_check import table_found
from tools.errors import ToolError
from tools.tuning.errors import SkillError
from tools.workspace import Workspace

__all__ = ["Check", "CheckResult", "Evidence", "evaluate", "label"]

MAX_CHECKED_BYTES = 64 << 20
"""Larger files are not read by a check; it fails and says so."""


class Figures(Protocol):
    """What was measured of skills, as `tools/tuning/skill_shelf.py` has it."""

    def figure(self, name: str, metric: str, split: str) -> float:
        """Raises SkillError where there is no such skill or figure."""


@dataclass(frozen=True)
class Evidence:
    """What checks look at."""

    workspace: Workspace
    written: frozenset[str] = frozenset()
    """Paths that this run wrote."""
    answer: str | None = None
    """The final answer; None while the model has not finished."""
    folder: Path = Path()
    """Where schema files are looked for: the goal file's folder."""
    skills: Figures | None = None
    """None where the run has no skills."""


@dataclass(frozen=True)
class CheckResult:
    """One check's outcome."""

    check: str
    """What was checked, without the expected values: `table out/labels.csv`."""
    passed: bool
    found: str
    """What was found; safe to show to the model."""
    path: str | None = None
    """The file that was looked at, or `skill NAME`."""


def label(check: Check) -> str:
    """A check's name in lists and reports: its kind and its file."""
    kind, spec = parts_of(check)
    if isinstance(spec, MetricSpec):
        return f"{kind} {spec.skill} {spec.name}"
    return f"{kind} {spec.path}" if isinstance(spec, OnFile) else kind


def paths_to_write(checks: Iterable[Check]) -> list[str]:
    """The files that a run must write for these checks to hold, each once."""
    specs = [parts_of(check)[1] for check in checks]
    paths = [
        spec.path
        for spec in specs
        if isinstance(spec, OnFile) and spec.fresh and not getattr(spec, "absent", False)
    ]
    return list(dict.fromkeys(paths))


def evaluate(check: Check, evidence: Evidence) -> CheckResult:
    """Whether the check holds now, and what was found; broken files fail, they never raise."""
    spec = parts_of(check)[1]
    path = spec.path if isinstance(spec, OnFile) else None
    if isinstance(spec, MetricSpec):
        path = skill_place(spec.skill)
    try:
        match check:
            case FileCheck():
                found = _file(check.file, evidence)
            case TextCheck():
                found = _text(check.text, evidence)
            case TableCheck():
                found = table_found(check.table, _content(check.table, evidence))
            case JsonCheck():
                found = _json(check.json_, evidence)
            case AnswerCheck():
                found = _answer(check.answer, evidence)
            case MetricCheck():
                found = _metric(check.metric, evidence)
            case _:
                raise Miss("this kind of check is reserved for a later version")
    except Miss as error:
        return CheckResult(label(check), False, str(error), path)
    return CheckResult(label(check), True, found, path)


def _content(spec: OnFile, evidence: Evidence) -> bytes:
    """The file's bytes, if it counts."""
    space = evidence.workspace
    try:
        if not space.exists(spec.path):
            raise Miss(f"there is no file {spec.path}")
        if spec.fresh and spec.path not in evidence.written:
            raise Miss(f"{spec.path} was there before; this run has not written it")
        if space.size(spec.path) > MAX_CHECKED_BYTES:
            raise Miss(f"{spec.path} is over {MAX_CHECKED_BYTES >> 20} MiB, too large to check")
        return space.read_bytes(spec.path)
    except ToolError as error:
        raise Miss(str(error)) from None


def _file(spec: FileSpec, evidence: Evidence) -> str:
    if spec.absent:
        if evidence.workspace.exists(spec.path):
            raise Miss(f"there is a file {spec.path}")
        return f"there is no file {spec.path}"
    data = _content(spec, evidence)
    if spec.sha256 is not None:
        if hashlib.sha256(data).hexdigest() != spec.sha256.lower():
            raise Miss(f"{spec.path} has other content ({len(data)} bytes)")
        return f"{spec.path} has that content"
    check_kind(spec.path, data)
    return f"{spec.path} is there, {len(data)} bytes"


def _text(spec: TextSpec, evidence: Evidence) -> str:
    return _rules(spec, text_of(spec.path, _content(spec, evidence)), spec.path)


def _answer(spec: AnswerSpec, evidence: Evidence) -> str:
    if evidence.answer is None:
        raise Miss("there is no answer yet")
    if spec.schema_ is not None:
        try:
            value = parse_json(evidence.answer)
        except JsonError as error:
            raise Miss(f"the answer is not JSON: {error}") from None
        _fits(value, spec.schema_, evidence, "the answer")
    return _rules(spec, evidence.answer, "the answer")


def skill_place(name: str) -> str:
    """How a result says that it looked at a skill."""
    return f"skill {name}"


def _metric(spec: MetricSpec, evidence: Evidence) -> str:
    if evidence.skills is None:
        raise Miss(f"there is no skill {spec.skill}")
    try:
        value = evidence.skills.figure(spec.skill, spec.name, spec.split)
    except SkillError as error:
        raise Miss(str(error)) from None
    found = f"{spec.skill} has {spec.name} {value:.3f} on {spec.split}"
    if spec.at_least is not None and value < spec.at_least:
        raise Miss(f"{found}, which is too low")
    if spec.at_most is not None and value > spec.at_most:
        raise Miss(f"{found}, which is too high")
    return found


def _rules(rules: TextRules, text: str, name: str) -> str:
    """The text's measures, if all rules hold; else which kind of rule does not, and the text."""
    text = unicodedata.normalize("NFC", text)
    words, chars = count_words(text), len(text.strip())
    wrong: list[str] = []
    missing = sum(_nfc(part) not in text for part in rules.contains or [])
    if missing:
        wrong.append(f"lacks {missing} of {len(rules.contains or [])} texts that it must contain")
    if any(_nfc(part) in text for part in rules.lacks or []):
        wrong.append("contains a text that it must not contain")
    if rules.equals is not None and _nfc(rules.equals).strip() != text.strip():
        wrong.append("is not the expected text")
    if rules.matches is not None:
        try:
            if not found_in(rules.matches, text):
                wrong.append("does not have the expected form")
        except PatternError as error:
            wrong.append(f"cannot be compared ({error})")
    if words < (rules.min_words or 0):
        wrong.append("has too few words")
    if rules.max_words is not None and words > rules.max_words:
        wrong.append("has too many words")
    if rules.max_chars is not None and chars > rules.max_chars:
        wrong.append("is too long")
    size = f"{words} words, {chars} characters"
    if wrong:
        raise Miss(f"{name} {', '.join(wrong)}; it has {size}: {_excerpt(text)}")
    return f"{name} has {size}"


def _json(spec: JsonSpec, evidence: Evidence) -> str:
    text = text_of(spec.path, _content(spec, evidence))
    try:
        if spec.path.lower().endswith((".jsonl", ".ndjson")):
            lines = [line for line in text.splitlines() if line.strip()]
            values = [parse_json(line) for line in lines]
            value: Any = values
        else:
            value = parse_json(text)
            values = [value]
    except JsonError as error:
        raise Miss(f"{spec.path} is not JSON: {error}") from None
    if spec.schema_ is not None:
        for item in values:
            _fits(item, spec.schema_, evidence, spec.path)
    if "equals" in spec.model_fields_set and not same_json(spec.equals, value):
        raise Miss(f"{spec.path} is not the expected value: {_excerpt(text)}")
    if spec.contains is not None and not has_json(spec.contains, value):
        raise Miss(f"{spec.path} lacks an expected key or value: {_excerpt(text)}")
    return f"{spec.path} is JSON, {len(text)} characters"


def _fits(value: Any, schema: Any, evidence: Evidence, name: str) -> None:
    try:
        if isinstance(schema, str):
            schema = read_schema(schema, evidence.folder)
        wrong = misfit(value, schema)
    except SchemaError as error:
        raise Miss(f"{name} cannot be compared: {error}") from None
    if wrong is not None:
        raise Miss(f"{name} does not fit its schema: {wrong}")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _excerpt(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 160 else text[:160] + "...")
