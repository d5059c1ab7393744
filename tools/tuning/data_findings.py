"""Finds what is odd about labelled data: same texts, leaks, foreign letters, rare labels.

Each finder gives findings with the lines they are about; `data_report` puts them together.
Two texts are the same where they differ only in case, spaces or width of letters.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tools.tuning.examples import Dataset, Example, TagExample, TextInput
from tools.tuning.fingerprint import fingerprint
from tools.tuning.scripts import is_written_in
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
SCRIPTS_SHOWN = 3
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


def same_texts(split: str, data: Dataset) -> Iterator[Finding]:
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
        yield finding_of("conflict", split, sorted(conflicting), text)
    if repeated:
        text = "the same text and label stood before"
        yield finding_of("duplicate", split, sorted(repeated), text)


def _answer(example: Example) -> tuple[str, ...]:
    return example.tags if isinstance(example, TagExample) else example.labels


def row_findings(
    split: str,
    data: Dataset,
    longest_tokens: int | None,
    count_tokens: Callable[[str], int],
    scripts: tuple[str, ...],
) -> Iterator[Finding]:
    """What one row alone shows."""
    if data.empty_lines:
        yield finding_of("empty", split, data.empty_lines, "no text; left out")
    if data.overlap_lines:
        text = "entities that share a word; of those the longest was kept"
        yield finding_of("overlap", split, data.overlap_lines, text)
    texts = list(zip((e.line for e in data.examples), texts_of(data.examples), strict=True))
    if longest_tokens is not None:
        long = [line for line, text in texts if _exceeds(text, longest_tokens, count_tokens)]
        if long:
            rest = "they go in pieces" if data.task.kind == "ner" else "the rest is cut"
            text = f"longer than the {longest_tokens} tokens that the model reads at once; {rest}"
            yield finding_of("long", split, long, text)
    foreign = [line for line, text in texts if not is_written_in(text, scripts)]
    if foreign:
        letters = " or ".join(scripts) if len(scripts) <= SCRIPTS_SHOWN else "any of its"
        text = f"mostly not in {letters} letters, so outside the model's language"
        yield finding_of("language", split, foreign, text)


def _exceeds(text: str, limit: int, count_tokens: Callable[[str], int]) -> bool:
    # A token has at least one character, so short texts need no counting.
    return len(text) > limit and count_tokens(text) > limit


def leaks(files: Sequence[tuple[str, Dataset]]) -> Iterator[Finding]:
    """Rows of a later file whose text an earlier one has too."""
    seen: list[tuple[str, set[str]]] = []
    for split, data in files:
        prints = [(example.line, fingerprint(example.input)) for example in data.examples]
        for earlier, known in seen:
            lines = [line for line, text in prints if text in known]
            if lines:
                text = f"also in {earlier}, so figures measured here are too good; take them out"
                yield finding_of("leak", split, lines, text)
        seen.append((split, {text for _, text in prints}))


def label_findings(files: Sequence[tuple[str, Dataset]]) -> Iterator[Finding]:
    """Labels that are rare, absent, or written in two ways."""
    for split, data in files:
        counts = label_counts(data)
        few = sorted(label for label, n in counts.items() if 0 < n < FEW_EXAMPLES)
        missing = sorted(label for label, n in counts.items() if not n)
        lines = {label: e.line for e in reversed(data.examples) for label in labels_of(e)}
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


def texts_of(examples: Iterable[Example]) -> Iterator[str]:
    for example in examples:
        if isinstance(example.input, TextInput):
            yield f"{example.input.text} {example.input.pair}".strip()
        else:
            yield " ".join(example.input.tokens)


def estimated_tokens(text: str) -> int:
    return round(TOKENS_A_WORD * len(words(text)))


def label_counts(data: Dataset) -> Counter[str]:
    """Rows of each label, or entities of each type; labels of the task that have none as well."""
    counts: Counter[str] = Counter(dict.fromkeys(data.task.labels, 0))
    for example in data.examples:
        counts.update(labels_of(example))
    return counts


def labels_of(example: Example) -> list[str]:
    if isinstance(example, TagExample):
        return [entity.type for entity in entities(example.tags)]
    return list(example.labels)


def finding_of(kind: Kind, split: str, lines: Sequence[int], text: str) -> Finding:
    return Finding(kind, split, len(lines), _first(lines), text)


def _first(lines: Sequence[int]) -> tuple[int, ...]:
    return tuple(lines[:LINES_SHOWN])


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - LABELS_SHOWN} more" if len(labels) > LABELS_SHOWN else ""
    return ", ".join(labels[:LABELS_SHOWN]) + more
