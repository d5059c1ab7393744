"""Reads a file of labelled examples, whatever its format, and says in one line what is wrong.

    train = read_dataset(Path("reviews.csv"), "classification")
    dev = read_dataset(Path("dev.jsonl"), "classification", task=train.task)

CSV, TSV, JSONL and Parquet for both kinds; for ner also CoNLL columns (.conll, .bio, .iob, .txt).
Columns are found by their usual names or named. The first file defines the task, its labels
included; files read with `task=` must keep to it. Rows without any text are left out and listed.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from tools.tuning import read_conll, rows
from tools.tuning.cells import text_of
from tools.tuning.columns import find_columns
from tools.tuning.data_check import check_known, check_trainable
from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, TagExample, TextExample, TextInput, TokenInput
from tools.tuning.input_rows import InputRow, read_inputs
from tools.tuning.read_conll import Sentence
from tools.tuning.read_labels import labels_of, separator_of
from tools.tuning.read_sentences import tagged_columns, tagged_sentences
from tools.tuning.rows import Row
from tools.tuning.tagging import (
    Scheme,
    first_illegal,
    scheme_of,
    split_tag,
    to_bio,
    types_of,
    why_illegal,
)
from tools.tuning.task import Task, TaskKind
from tools.tuning.text_file import Survey, lines, survey
from tools.tuning.words import is_unspaced

__all__ = ["InputRow", "read_dataset", "read_inputs"]

_ONE_CHARACTER = 0.95
"""Share of tokens of one character above which a Chinese file is tagged by character."""


def read_dataset(
    path: Path,
    kind: TaskKind,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    pair_column: str | None = None,
    task: Task | None = None,
) -> Dataset:
    """The labelled examples of a file.

    Args:
        kind: what the labels are for.
        text_column: of the text, or of the tokens; found where left out.
        label_column: of the label, the tags or the entities; found where left out.
        pair_column: of the second text, for tasks about two.
        task: the task of the training file, for files to measure on.

    Raises:
        DataError: the file cannot be used as it is; with its line and the way out. A training
            file must also have something to learn: two classes or an entity, and several texts.
    """
    about = survey(path)
    if kind == "ner":
        found = _read_tagged(path, about, text_column, label_column, task)
    else:
        found = _read_classified(path, about, text_column, label_column, pair_column, task)
    if task is None:
        check_trainable(found)
    else:
        check_known(found)
    return found


def _read_classified(
    path: Path,
    about: Survey,
    text: str | None,
    label: str | None,
    pair: str | None,
    task: Task | None,
) -> Dataset:
    found = _all_rows(path, about)
    known = list(dict.fromkeys(name for row in found for name in row.cells))
    columns = find_columns(
        known, path, text=text, label=label, pair=pair, may_pair=task is None or task.pairs
    )
    if task is not None and task.pairs and not columns.pair:
        raise DataError("no second text; name its column", path=str(path), line=1)
    cells = [row.cells.get(columns.label) for row in found]
    separator = separator_of(cells) if task is None else _separator_for(task, cells)
    read = [
        labels_of(cell, separator, path, row.line, whole=task.labels if task else ())
        for row, cell in zip(found, cells, strict=True)
    ]
    if task is None:
        listed = any(isinstance(cell, list) for cell in cells)
        is_multi = separator is not None or (listed and any(len(one) != 1 for one in read))
        labels = tuple(sorted({label for one in read for label in one}))
        task = Task("classification", labels, multi_label=is_multi, pairs=bool(columns.pair))
    examples: list[TextExample] = []
    empty: list[int] = []
    for row, one in zip(found, read, strict=True):
        first = text_of(row.cells.get(columns.text), path, row.line)
        second = text_of(row.cells.get(columns.pair), path, row.line) if columns.pair else ""
        if not first and not second:
            empty.append(row.line)
            continue
        if not task.multi_label and len(one) != 1:
            raise DataError(
                f"{len(one)} labels where the others have one"
                if one
                else "no label; give it one or take the row out",
                path=str(path),
                line=row.line,
            )
        examples.append(TextExample(TextInput(first, second), one, row.line))
    return Dataset(task, tuple(examples), path, about.sha256, tuple(empty))


def _separator_for(task: Task, cells: Sequence[object]) -> str | None:
    """What cuts the cells of a file to measure on, whose task is known."""
    if not task.multi_label:
        return None
    texts = [cell for cell in cells if isinstance(cell, str)]
    return "|" if any("|" in text for text in texts) else ";"


def _read_tagged(
    path: Path, about: Survey, text: str | None, label: str | None, task: Task | None
) -> Dataset:
    by_character = task.by_character if task else None
    sentences = _sentences(path, about, text, label, by_character)
    scheme = _scheme(sentences, path)
    examples: list[TagExample] = []
    for sentence in sentences:
        if sentence.tokens:
            tags = _bio(sentence, scheme, path)
            tokens = tuple(sentence.tokens)
            examples.append(TagExample(TokenInput(tokens), tags, sentence.lines[0]))
    if task is None:
        types = types_of(example.tags for example in examples)
        task = Task("ner", types, by_character=_is_by_character(examples))
    empty = tuple(sentence.lines[0] for sentence in sentences if not sentence.tokens)
    overlaps = tuple(sentence.lines[0] for sentence in sentences if sentence.dropped)
    return Dataset(task, tuple(examples), path, about.sha256, empty, overlaps)


def _sentences(
    path: Path, about: Survey, text: str | None, label: str | None, by_character: bool | None
) -> list[Sentence]:
    suffix = path.suffix.lower()
    is_table = suffix in rows.SUFFIXES
    if suffix == ".tsv":
        is_table = not read_conll.looks_like_conll(islice(lines(path, about.encoding), 100))
    if not is_table and suffix not in read_conll.SUFFIXES:
        raise DataError(
            f"a file of type {suffix or 'unknown'!r}; use "
            f"{', '.join((*rows.SUFFIXES, *read_conll.SUFFIXES))}",
            path=str(path),
        )
    if not is_table:
        return list(read_conll.sentences(path, lines(path, about.encoding)))
    found = _all_rows(path, about)
    columns = tagged_columns(found, path, text=text, label=label)
    read = tagged_sentences(found, columns, path, by_character=by_character)
    for row, sentence in zip(found, read, strict=True):
        sentence.lines = sentence.lines or [row.line]
    return read


def _all_rows(path: Path, about: Survey) -> list[Row]:
    found = list(rows.rows(path, about))
    if not found:
        raise DataError("no rows", path=str(path), line=max(1, about.lines))
    return found


def _scheme(sentences: Sequence[Sentence], path: Path) -> Scheme:
    for sentence in sentences:
        for tag, line in zip(sentence.tags, sentence.lines, strict=False):
            try:
                split_tag(tag)
            except DataError as error:
                raise DataError(str(error), path=str(path), line=line) from error
    return scheme_of(sentence.tags for sentence in sentences)


def _bio(sentence: Sentence, scheme: Scheme, path: Path) -> tuple[str, ...]:
    bad = first_illegal(sentence.tags, scheme)
    if bad is not None:
        place = f"token {bad + 1} ({sentence.tokens[bad][:40]!r}): "
        raise DataError(
            place + why_illegal(sentence.tags, bad, scheme),
            path=str(path),
            line=sentence.lines[bad],
        )
    return to_bio(sentence.tags, scheme)


def _is_by_character(examples: Sequence[TagExample]) -> bool:
    tokens = [token for example in examples for token in example.input.tokens]
    single = sum(len(token) == 1 for token in tokens)
    return single >= _ONE_CHARACTER * len(tokens) and is_unspaced(tokens)
