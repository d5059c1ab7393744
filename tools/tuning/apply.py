"""Lets a skill answer rows: a file of any length in batches, or texts given by hand.

    done = apply_file(skill, method, Path("new.csv"), Path("out.csv"), progress=print_rows)

Rows keep their order and their columns; the answer's columns come behind them: `label` and `score`
for a classifier, `entities` and `score` for a tagger. The file that is written appears whole when
all rows are answered, or not at all. No more than one batch of rows is in memory.
"""

import csv
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory import durable
from tools.tuning.bounded import take
from tools.tuning.cells import characters_of
from tools.tuning.errors import DataError
from tools.tuning.examples import ClassPrediction, Input, Prediction, TagPrediction, TokenInput
from tools.tuning.input_rows import InputRow, read_inputs
from tools.tuning.kept_examples import Explainer
from tools.tuning.methods.base import Method
from tools.tuning.tagging import entities
from tools.tuning.task import Task

BATCH_ROWS = 1_024
BATCH_CHARACTERS = 2_000_000
"""Of all cells; a batch of long rows has fewer of them."""
TOKEN_CHARACTERS = 64
"""That a word of a tagger weighs beside its letters: its place, its tag and its score."""
SUFFIXES = (".csv", ".tsv", ".jsonl")
BLOCK = 1 << 16
"""Characters that are written at once."""
DIGITS = 6
"""Of scores and probabilities."""

Answer = dict[str, Any]
"""The columns of an answer by name; values are plain JSON."""
Progress = Callable[[int], object]
"""Called with the number of rows that are answered."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done."""

    rows: int
    seconds: float
    columns: tuple[str, ...]
    """Those of the answer, as they are named in the file."""

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds > 0 else 0.0


def apply_file(
    method: Method,
    source: Path,
    target: Path,
    *,
    text_column: str | None = None,
    explainer: Explainer | None = None,
    probabilities: bool = False,
    progress: Progress = lambda _: None,
) -> Applied:
    """Answer every row of `source` into `target` (CSV, TSV or JSONL).

    Args:
        explainer: adds a column `nearest` with the nearest training examples.
        probabilities: adds a column with the probability of each label.

    Raises:
        DataError: a row is broken (with its line), or `target` cannot be such a file.
        DiskFull, WriteFailed: `target` is as it was.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"a file that ends in {target.suffix or 'nothing'!r} cannot be written; "
            f"take {', '.join(SUFFIXES)}",
            path=str(target),
        )
    if target.exists() and source.exists() and target.samefile(source):
        raise DataError("is the input; take another file for --out", path=str(target))
    counter = _Counter(progress)
    rows = read_inputs(source, method.task, text_column)
    first = _batch(rows)
    looked_at = len(first)
    own = list(dict.fromkeys(name for row in first for name in row.cells))
    wanted = answer_columns(method.task, probabilities, explainer is not None)
    names = {name: _free(name, own) for name in wanted}
    answered = (
        {**row.cells, **{names[key]: value for key, value in answer.items()}}
        for row, answer in answers(
            method, _chain(first, rows), explainer=explainer, probabilities=probabilities
        )
    )
    columns = {**dict.fromkeys(own, False), **{names[key]: key == "label" for key in wanted}}
    lines = _written(counter.over(answered), columns, source, target, looked_at)
    durable.replace(target.absolute(), lines, mode=0o666)
    return Applied(counter.count, counter.seconds, tuple(names.values()))


def answers(
    method: Method,
    rows: Iterable[InputRow],
    *,
    explainer: Explainer | None = None,
    probabilities: bool = False,
) -> Iterator[tuple[InputRow, Answer]]:
    """Each row with its answer, in order."""
    for batch in _batches(rows):
        inputs = [row.input for row in batch]
        nearest = explainer.nearest(inputs) if explainer else None
        for i, (row, said) in enumerate(zip(batch, predicted(method, inputs), strict=True)):
            answer = _answer(row, said, method.task)
            if probabilities and isinstance(said, ClassPrediction):
                answer["probabilities"] = {
                    label: round(p, DIGITS)
                    for label, p in zip(method.task.labels, said.probabilities, strict=True)
                }
            if nearest is not None:
                answer["nearest"] = [near.as_dict() for near in nearest[i]]
            yield row, answer


def predicted(method: Method, inputs: Sequence[Input]) -> list[Prediction]:
    """The method's predictions; a sentence without tokens has no tags, and nobody is asked."""
    asked = [each for each in inputs if not isinstance(each, TokenInput) or each.tokens]
    said = iter(method.predict(asked) if asked else [])
    return [
        TagPrediction((), ()) if isinstance(each, TokenInput) and not each.tokens else next(said)
        for each in inputs
    ]


def answer_columns(task: Task, probabilities: bool, nearest: bool) -> list[str]:
    """The columns of an answer, in order."""
    columns = ["entities" if task.kind == "ner" else "label", "score"]
    columns += ["probabilities"] * (probabilities and task.kind == "classification")
    return columns + ["nearest"] * nearest


def _answer(row: InputRow, said: Prediction, task: Task) -> Answer:
    if isinstance(said, TagPrediction):
        found = [
            {
                "type": type_,
                "text": row.text[row.words[start].start : row.words[end - 1].end],
                "start": row.words[start].start,
                "end": row.words[end - 1].end,
                "score": round(min(said.scores[start:end]), DIGITS),
            }
            for type_, start, end in entities(said.tags)
        ]
        # A row is as sure as its least sure word.
        return {"entities": found, "score": round(min(said.scores, default=1.0), DIGITS)}
    label: Any = list(said.labels) if task.multi_label else said.labels[0]
    return {"label": label, "score": round(said.score, DIGITS)}


def _batches(rows: Iterable[InputRow]) -> Iterator[list[InputRow]]:
    left = iter(rows)
    while batch := _batch(left):
        yield batch


def _batch(rows: Iterator[InputRow]) -> list[InputRow]:
    return take(rows, most=BATCH_ROWS, size=BATCH_CHARACTERS, size_of=_characters)


def _characters(row: InputRow) -> int:
    return characters_of(row.cells) + TOKEN_CHARACTERS * len(row.words)


def _written(
    rows: Iterable[dict[str, Any]],
    columns: dict[str, bool],
    source: Path,
    target: Path,
    looked_at: int,
) -> Iterator[bytes]:
    """The file's bytes, block by block.

    Args:
        columns: the names, and of each whether it holds our labels.
        looked_at: rows that the columns were found in.
    """
    suffix = target.suffix.lower()
    if suffix == ".jsonl":
        for row in rows:
            yield (json.dumps(row, ensure_ascii=False, default=str) + "\n").encode(errors="replace")
        return
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
    writer.writerow(columns)
    known = columns.keys()
    for number, row in enumerate(rows, 1):
        if not row.keys() <= known:
            odd = min(row.keys() - known)
            raise DataError(
                f"row {number} has a column {odd!r} that the first {looked_at} rows lack; "
                "take --out FILE.jsonl, whose rows may differ",
                path=str(source),
            )
        writer.writerow([_cell(row.get(n), is_label) for n, is_label in columns.items()])
        if out.tell() > BLOCK:
            yield out.getvalue().encode(errors="replace")
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode(errors="replace")


def _cell(value: Any, is_label: bool) -> str:
    """A value as the text of a cell; several labels are joined as our readers take them."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if is_label and isinstance(value, list):
        return "|".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _free(name: str, taken: list[str]) -> str:
    """The name, or another where the input has such a column already."""
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"predicted_{name}" if number == 1 else f"predicted_{name}_{number}"
    return free


def _chain(first: list[InputRow], rest: Iterator[InputRow]) -> Iterator[InputRow]:
    """Let go of the first rows as they are passed on."""
    first.reverse()
    while first:
        yield first.pop()
    yield from rest


class _Counter:
    """Counts rows and seconds while they pass."""

    def __init__(self, progress: Progress) -> None:
        self.count = 0
        self._began = time.monotonic()
        self._progress = progress

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def over(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            yield row
            self.count += 1
            if self.count % BATCH_ROWS == 0:
                self._progress(self.count)
