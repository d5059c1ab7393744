"""Rows without labels, for a skill to answer: a file of any length, one row at a time.

    for row in read_inputs(Path("new.csv"), task):
        row.input, row.cells          # what the skill gets, what is written beside its answer

CSV, TSV, JSONL, Parquet; `.txt` with a text on each line; for taggers also CoNLL columns, of which
only the tokens are read. Every row gives one answer, empty ones too, so that lines stay together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tools.tuning.bounded import take
from tools.tuning.cells import characters_of, listed, text_of, tokens_of
from tools.tuning.columns import TEXT, TOKENS, find_text, pick
from tools.tuning.examples import Input, TextInput, TokenInput
from tools.tuning.read_conll import sentences
from tools.tuning.rows import Row, rows
from tools.tuning.task import Task
from tools.tuning.text_file import lines, survey
from tools.tuning.words import Word, words

_PEEK = 100
_PEEK_CHARACTERS = 1_000_000
"""Rows looked at to find the columns of a JSONL file."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row to answer."""

    line: int
    """Where it begins, from 1."""
    input: Input
    """May be empty."""
    cells: dict[str, Any]
    """All columns of the row, in order."""
    text: str = ""
    """For a tagger: the raw text; its entities are `text[start:end]`."""
    words: tuple[Word, ...] = ()
    """For a tagger: where each token stands in `text`."""


def read_inputs(path: Path, task: Task, text_column: str | None = None) -> Iterator[InputRow]:
    """The rows of a file, in order.

    Raises:
        DataError: as the file is opened or at the row that is broken, with its line.
    """
    about = survey(path)
    suffix = path.suffix.lower()
    if suffix in (".conll", ".bio", ".iob", ".iob2") and task.kind == "ner":
        found = sentences(path, lines(path, about.encoding), tagged=False)
        return (_from_tokens(s.tokens, Row(s.lines[0], {"tokens": s.tokens}), task) for s in found)
    if suffix == ".txt":
        return _each(_text_rows(lines(path, about.encoding)), path, task, text_column)
    return _each(rows(path, about), path, task, text_column)


def text_input(text: str, task: Task, *, line: int = 1) -> InputRow:
    """A text given by hand as a row."""
    return _row(Row(line, {"text": text}), Path("-"), task, "text", "")


def _text_rows(numbered: Iterable[tuple[int, str]]) -> Iterator[Row]:
    for line, raw in numbered:
        yield Row(line, {"text": raw.rstrip("\r\n")})


def _each(
    found: Iterator[Row], path: Path, task: Task, text_column: str | None
) -> Iterator[InputRow]:
    first = take(
        found, most=_PEEK, size=_PEEK_CHARACTERS, size_of=lambda row: characters_of(row.cells)
    )
    known = list(dict.fromkeys(name for row in first for name in row.cells))
    if not known:
        return
    text, pair = _columns(known, first[0], path, task, text_column)
    for row in chain(first, found):
        yield _row(row, path, task, text, pair)


def _columns(
    known: list[str], first: Row, path: Path, task: Task, text_column: str | None
) -> tuple[str, str]:
    if task.kind == "ner":
        by_list = [name for name in known if isinstance(listed(first.cells.get(name)), list)]
        usual = [name.lower() for name in by_list if name.lower() in TOKENS] or TEXT
        return pick(known, path, text_column, usual, what="text"), ""
    return find_text(known, path, text_column, pairs=task.pairs)


def _row(row: Row, path: Path, task: Task, text: str, pair: str) -> InputRow:
    value = row.cells.get(text)
    if task.kind == "classification":
        second = text_of(row.cells.get(pair), path, row.line) if pair else ""
        return InputRow(row.line, TextInput(text_of(value, path, row.line), second), row.cells)
    if isinstance(listed(value), list):
        return _from_tokens(tokens_of(value, path, row.line), row, task)
    text_of(value, path, row.line)
    raw = value if isinstance(value, str) else ""
    cut = tuple(words(raw, task.by_character))
    return InputRow(row.line, TokenInput(tuple(w.text for w in cut)), row.cells, raw, cut)


def _from_tokens(tokens: list[str], row: Row, task: Task) -> InputRow:
    """Tokens put together to a text, so that entities have places as those of raw texts do."""
    gap = "" if task.by_character else " "
    cut: list[Word] = []
    place = 0
    for token in tokens:
        cut.append(Word(token, place, place + len(token)))
        place += len(token) + len(gap)
    return InputRow(row.line, TokenInput(tuple(tokens)), row.cells, gap.join(tokens), tuple(cut))
