"""What is odd about labelled data, before anything is learned from them: counted, with lines.

    report(train, dev, longest_tokens=256, language="en").lines()

Two texts are the same where they differ only in case, spaces or width of letters.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tools.tuning.examples import Dataset, Example, TagExample, TextInput
from tools.tuning.fingerprint import fingerprint
from tools.tuning.label_doubts import label_doubts
from tools.tuning.scripts import is_written_in, main_scripts, scripts_of
from tools.tuning.tagging import entities
from tools.tuning.words import words

Kind = Literal[
    "conflict",
    "doubtful",
    "duplicate",
    "leak",
    "empty",
    "overlap",
    "long",
    "language",
    "few",
    "missing",
    "similar_labels",
]
LINES_SHOWN = 5
FEW_EXAMPLES = 8
"""Labels with fewer are named: the smallest number that few-shot methods are published with."""
LABELS_SHOWN = 20
NO_ENTITY = "(no entity)"
TOKENS_A_WORD = 1.4
"""Of subword vocabularies over a few languages; only for estimates without a tokenizer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One oddity of one file."""

    kind: Kind
    split: str
    """`train`, `dev` or `test`."""
    count: int
    """Rows, or labels where it is about labels."""
    lines: tuple[int, ...]
    """The first `LINES_SHOWN` of them; for `doubtful` the most doubtful ones."""
    text: str
    """What it means, in a sentence without the lines."""


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
    language: str | None = None,
) -> DataReport:
    """Everything odd about the files of one job.

    Args:
        train: what to learn from; all of the data where there is one file.
        longest_tokens: what the model reads of a text; longer ones are cut, so they are named.
        count_tokens: the model's own count; estimated from words where left out.
        language: of the model, `en` say; the main one of the training texts where left out or
            not known.
    """
    files = [(n, d) for n, d in (("train", train), ("dev", dev), ("test", test)) if d is not None]
    count = count_tokens or _estimated_tokens
    scripts = scripts_of(language) if language else None
    scripts = scripts or main_scripts(_texts(train.examples))
    findings: list[Finding] = []
    for split, data in files:
        findings += _same_texts(split, data)
        findings += _plain_findings(split, data, longest_tokens, count, scripts)
    doubts = label_doubts(train.examples)
    if doubts is not None and doubts.lines:
        text = (
            "conflicting labels: the texts most like them have another one "
            f"({len(doubts.lines) / doubts.rows:.0%} of the rows; {doubts.agreeing:.0%} agree)"
        )
        findings.append(_finding("doubtful", "train", doubts.lines, text))
    findings += _leaks(files)
    findings += _label_findings(files)
    order = {kind: i for i, kind in enumerate(Kind.__args__)}  # type: ignore[attr-defined]
    findings.sort(key=lambda finding: order[finding.kind])
    return DataReport(
        tuple(_counts(split, data) for split, data in files),
        tuple(findings),
        doubts.agreeing if doubts else None,
    )


def label_counts(data: Dataset) -> Counter[str]:
    """Rows of each label, or entities of each type; labels of the task that have none as well."""
    counts: Counter[str] = Counter(dict.fromkeys(data.task.labels, 0))
    for example in data.examples:
        counts.update(_labels(example))
    return counts


def _labels(example: Example) -> list[str]:
    if isinstance(example, TagExample):
        return [entity.type for entity in entities(example.tags)]
    return list(example.labels)


def _counts(split: str, data: Dataset) -> SplitCounts:
    counts = dict(sorted(label_counts(data).items(), key=lambda item: (-item[1], item[0])))
    none = sum(not _labels(example) for example in data.examples)
    if none:
        counts[NO_ENTITY if data.task.kind == "ner" else "(no label)"] = none
    return SplitCounts(split, str(data.path), data.sha256, len(data), counts)


def _same_texts(split: str, data: Dataset) -> Iterator[Finding]:
    """Rows with a text that stood before, and rows whose text has two answers."""
    groups: defaultdict[str, list[Example]] = defaultdict(list)
    for example in data.examples:
        groups[fingerprint(example.input)].append(example)
    repeated: list[int] = []
    conflicting: list[int] = []
    for group in groups.values():
        if len({_answer(example) for example in group}) > 1:
            conflicting += [example.line for example in group]
        first_with: set[object] = set()
        for example in group:
            if _answer(example) in first_with:
                repeated.append(example.line)
            first_with.add(_answer(example))
    if conflicting:
        text = "conflicting labels: the same text has another one elsewhere in the file"
        yield _finding("conflict", split, sorted(conflicting), text)
    if repeated:
        yield _finding("duplicate", split, sorted(repeated), "the same text and label stood before")


def _answer(example: Example) -> tuple[str, ...]:
    return example.tags if isinstance(example, TagExample) else example.labels


def _plain_findings(
    split: str,
    data: Dataset,
    longest_tokens: int | None,
    count_tokens: Callable[[str], int],
    scripts: tuple[str, ...],
) -> Iterator[Finding]:
    """What one row alone shows."""
    if data.empty_lines:
        yield _finding("empty", split, data.empty_lines, "no text; left out")
    if data.overlap_lines:
        text = "entities that share a word; of those the longest was kept"
        yield _finding("overlap", split, data.overlap_lines, text)
    texts = list(zip((e.line for e in data.examples), _texts(data.examples), strict=True))
    if longest_tokens is not None:
        long = [line for line, text in texts if _exceeds(text, longest_tokens, count_tokens)]
        if long:
            text = f"longer than the {longest_tokens} tokens that the model reads; the rest is cut"
            yield _finding("long", split, long, text)
    foreign = [line for line, text in texts if not is_written_in(text, scripts)]
    if foreign:
        text = f"mostly not in {' or '.join(scripts)} letters, so outside the model's language"
        yield _finding("language", split, foreign, text)


def _exceeds(text: str, limit: int, count_tokens: Callable[[str], int]) -> bool:
    # A token has at least one character, so short texts need no counting.
    return len(text) > limit and count_tokens(text) > limit


def _leaks(files: Sequence[tuple[str, Dataset]]) -> Iterator[Finding]:
    """Rows of a later file whose text an earlier one has too."""
    seen: list[tuple[str, set[str]]] = []
    for split, data in files:
        prints = [(example.line, fingerprint(example.input)) for example in data.examples]
        for earlier, known in seen:
            lines = [line for line, text in prints if text in known]
            if lines:
                text = f"also in {earlier}, so figures measured here are too good; take them out"
                yield _finding("leak", split, lines, text)
        seen.append((split, {text for _, text in prints}))


def _label_findings(files: Sequence[tuple[str, Dataset]]) -> Iterator[Finding]:
    """Labels that are rare, absent, or written in two ways."""
    for split, data in files:
        counts = label_counts(data)
        few = sorted(label for label, n in counts.items() if 0 < n < FEW_EXAMPLES)
        missing = sorted(label for label, n in counts.items() if not n)
        lines = {label: e.line for e in reversed(data.examples) for label in _labels(e)}
        if few and split == "train":
            text = f"labels with fewer than {FEW_EXAMPLES} examples: {_listed(few)}"
            yield Finding("few", split, len(few), _first([lines[label] for label in few]), text)
        if missing:
            text = f"labels without any example here: {_listed(missing)}"
            yield Finding("missing", split, len(missing), (), text)
        if split == "train":
            yield from _similar(split, data.task.labels, lines)


def _similar(split: str, labels: Sequence[str], lines: dict[str, int]) -> Iterator[Finding]:
    by_plain: defaultdict[str, list[str]] = defaultdict(list)
    for label in labels:
        by_plain["".join(c for c in label.casefold() if c.isalnum())].append(label)
    same = [group for plain, group in by_plain.items() if plain and len(group) > 1]
    if same:
        names = "; ".join(" = ".join(map(repr, group)) for group in same[:LINES_SHOWN])
        rows = [lines[label] for group in same for label in group if label in lines]
        text = f"labels that differ only in case or punctuation: {names}"
        yield Finding("similar_labels", split, len(same), _first(rows), text)


def _texts(examples: Iterable[Example]) -> Iterator[str]:
    for example in examples:
        if isinstance(example.input, TextInput):
            yield f"{example.input.text} {example.input.pair}".strip()
        else:
            yield " ".join(example.input.tokens)


def _estimated_tokens(text: str) -> int:
    return round(TOKENS_A_WORD * len(words(text)))


def _finding(kind: Kind, split: str, lines: Sequence[int], text: str) -> Finding:
    return Finding(kind, split, len(lines), _first(lines), text)


def _first(lines: Sequence[int]) -> tuple[int, ...]:
    return tuple(lines[:LINES_SHOWN])


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else ""
    return ", ".join(labels[:LABELS_SHOWN]) + more


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
