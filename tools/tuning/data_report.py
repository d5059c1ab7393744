"""What is odd about labelled data, before anything is learned from them: counted, with lines.

    report(train, dev, longest_tokens=256, languages=("en",)).lines()

Two texts are the same where they differ only in case, spaces or width of letters.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from tools.tuning.data_findings import (
    Finding,
    Kind,
    estimated_tokens,
    finding_of,
    label_counts,
    label_findings,
    labels_of,
    leaks,
    row_findings,
    same_texts,
    texts_of,
)
from tools.tuning.examples import Dataset
from tools.tuning.label_doubts import label_doubts
from tools.tuning.scripts import main_scripts, scripts_of

LABELS_SHOWN = 20
NO_ENTITY = "(no entity)"


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """The size of one file."""

    split: str
    path: str
    sha256: str
    rows: int
    labels: dict[str, int]
    """Label to rows, or entity type to entities; all labels of the task, most frequent first."""


@dataclass(frozen=True, slots=True)
class DataReport:
    """Counts and findings of all files."""

    splits: tuple[SplitCounts, ...]
    findings: tuple[Finding, ...]
    agreeing: float | None = None
    """Share of training rows whose label is the one that the texts most like them have; None
    where that is not known (see `label_doubts`)."""

    def count(self, kind: Kind) -> int:
        """How many rows or labels have that oddity, over all files."""
        return sum(finding.count for finding in self.findings if finding.kind == kind)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For a terminal: a line for each file, then one for each finding."""
        return [*map(_counts_line, self.splits), *(_finding_line(self, f) for f in self.findings)]


def report(
    train: Dataset,
    dev: Dataset | None = None,
    test: Dataset | None = None,
    *,
    longest_tokens: int | None = None,
    count_tokens: Callable[[str], int] | None = None,
    languages: Sequence[str] = (),
) -> DataReport:
    """Everything odd about the files of one job.

    Args:
        train: what to learn from; all of the data where there is one file.
        longest_tokens: what the model reads of a text; longer ones are cut, so they are named.
        count_tokens: the model's own count; estimated from words where left out.
        languages: of the model, `en` say; the main one of the training texts where left out or
            not known.
    """
    files = [(n, d) for n, d in (("train", train), ("dev", dev), ("test", test)) if d is not None]
    count = count_tokens or estimated_tokens
    scripts = scripts_of(languages) or main_scripts(texts_of(train.examples))
    findings: list[Finding] = []
    for split, data in files:
        findings += same_texts(split, data)
        findings += row_findings(split, data, longest_tokens, count, scripts)
    doubts = label_doubts(train.examples)
    if doubts is not None and doubts.lines:
        text = (
            "conflicting labels: the texts most like them have another one "
            f"({len(doubts.lines) / doubts.rows:.0%} of the rows; {doubts.agreeing:.0%} agree)"
        )
        findings.append(finding_of("doubtful", "train", doubts.lines, text))
    findings += leaks(files)
    findings += label_findings(files)
    order = {kind: i for i, kind in enumerate(get_args(Kind))}
    findings.sort(key=lambda finding: order[finding.kind])
    return DataReport(
        tuple(_counts(split, data) for split, data in files),
        tuple(findings),
        doubts.agreeing if doubts else None,
    )


def _counts(split: str, data: Dataset) -> SplitCounts:
    counts = dict(sorted(label_counts(data).items(), key=lambda item: (-item[1], item[0])))
    none = sum(not labels_of(example) for example in data.examples)
    if none:
        counts[NO_ENTITY if data.task.kind == "ner" else "(no label)"] = none
    return SplitCounts(split, str(data.path), data.sha256, len(data), counts)


def _counts_line(counts: SplitCounts) -> str:
    shown = list(counts.labels.items())[:LABELS_SHOWN]
    more = len(counts.labels) - len(shown)
    labels = ", ".join(f"{label} {n}" for label, n in shown) + (f", {more} more" if more else "")
    return f"{counts.split}: {counts.rows} rows; {labels}"


def _finding_line(about: DataReport, finding: Finding) -> str:
    path = next(counts.path for counts in about.splits if counts.split == finding.split)
    noun = "line" if finding.count == 1 else "lines"
    shown = ", ".join(map(str, finding.lines))
    more = ", ..." if finding.count > len(finding.lines) else ""
    where = f" ({path} {noun} {shown}{more})" if shown else f" ({path})"
    return f"{finding.split}: {finding.count} {finding.kind}: {finding.text}{where}"
