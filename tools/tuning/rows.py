"""Rows of a CSV, TSV, JSONL or Parquet file, one by one, each with its line.

A CSV cell is text and may hold line breaks inside quotes. In a tab-separated file a line is a row,
whatever quotes its texts have. A row of more or fewer cells than the header is refused: half a
text in the wrong column would be learned as it stands.
"""

import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.table_files import delimiter_of, json_object
from tools.tuning.bounded import take
from tools.tuning.errors import DataError
from tools.tuning.text_file import LINE_BYTES, Survey, lines

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
PARQUET_ROWS = 5_000
"""Read at a time at most, so that a long file needs little memory."""
PARQUET_FIRST = 16
PARQUET_BYTES = 8 << 20
"""Of rows read at a time; how many these are is told by those before, at first `PARQUET_FIRST`."""
SAMPLE_LINES = 20
SAMPLE_CHARACTERS = 100_000
"""Of the lines that the delimiter is found from."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: column names to what stands there."""

    line: int
    """Where it begins, from 1; in a Parquet file the number of the row."""
    cells: dict[str, Any]
    """Text in CSV and TSV; whatever JSON or Parquet has elsewhere."""


def rows(path: Path, about: Survey) -> Iterator[Row]:
    """The rows of a file, in order; blank lines are left out, rows of empty cells are not.

    Raises:
        DataError: a row is broken, or the file has none of these formats.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix == ".jsonl":
        return _jsonl(path, lines(path, about.encoding))
    if suffix in (".csv", ".tsv"):
        return _delimited(path, lines(path, about.encoding))
    raise DataError(
        f"a file of type {suffix or 'unknown'!r} has no rows; use {', '.join(SUFFIXES)}",
        path=str(path),
    )


def _delimited(path: Path, numbered: Iterator[tuple[int, str]]) -> Iterator[Row]:
    head = take(
        numbered, most=SAMPLE_LINES, size=SAMPLE_CHARACTERS, size_of=lambda line: len(line[1])
    )
    sample = "".join(line for _, line in head).lstrip()
    tabs = path.suffix.lower() == ".tsv" or delimiter_of(sample) == "\t"
    everything = itertools.chain(head, numbered)
    if tabs:
        records = _tab_records(everything)
    else:
        records = _csv_records(path, everything, delimiter_of(sample))
    names: list[str] | None = None
    for line, record in records:
        is_blank = not any(cell.strip() for cell in record)
        if names is None:
            if is_blank:
                continue
            names = _header(path, line, record)
            continue
        if is_blank and len(record) == 1 < len(names):
            continue
        if len(record) != len(names):
            raise DataError(
                f"{_cells(len(record))}, but the header has {len(names)} columns; "
                "put a text that holds the delimiter or a line break in quotes",
                path=str(path),
                line=line,
            )
        yield Row(line, dict(zip(names, record, strict=True)))


def _csv_records(
    path: Path, numbered: Iterable[tuple[int, str]], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    last = 0

    def plain() -> Iterator[str]:
        nonlocal last
        for number, line in numbered:
            last = number
            yield line

    csv.field_size_limit(LINE_BYTES)  # a setting of the whole process, 128 KB by itself
    reader = csv.reader(plain(), delimiter=delimiter, strict=True)
    begin = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise DataError(_csv_problem(problem), path=str(path), line=begin) from problem
        if record:
            yield begin, record
        begin = last + 1


def _csv_problem(problem: csv.Error) -> str:
    said = str(problem)
    if "end of data" in said:
        return "a quote is opened here and never closed"
    if "field larger" in said:
        return (
            f"a cell of more than {LINE_BYTES >> 20} MB; break it up or leave it out, or close the "
            "quote that opens it"
        )
    if "expected after" in said:
        return 'text follows a closing quote; a quote inside quotes is written twice ("")'
    return said


def _tab_records(numbered: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    for line, text in numbered:
        if text.rstrip("\r\n"):
            yield line, [_unquoted(cell) for cell in text.rstrip("\r\n").split("\t")]


def _unquoted(cell: str) -> str:
    """A cell without the quotes that a spreadsheet puts around it."""
    inner = cell[1:-1]
    if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"' or '"' in inner.replace('""', ""):
        return cell
    return inner.replace('""', '"')


def _header(path: Path, line: int, record: list[str]) -> list[str]:
    names = [name.strip() or f"column_{i}" for i, name in enumerate(record, 1)]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise DataError(
                f"columns {names.index(name) + 1} and {i + 1} are both named {name!r}; rename one",
                path=str(path),
                line=line,
            )
    return names


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _jsonl(path: Path, numbered: Iterable[tuple[int, str]]) -> Iterator[Row]:
    for line, text in numbered:
        if text.strip():
            yield Row(line, _object(path, line, text))


def _object(path: Path, line: int, text: str) -> dict[str, Any]:
    try:
        return json_object(text)
    except ValueError as problem:
        hint = ' like {"text": ...}' if "not an object" in str(problem) else ""
        raise DataError(f"{problem}{hint}", path=str(path), line=line) from problem


def _parquet(path: Path) -> Iterator[Row]:
    import polars as pl

    names = _class_names(path)
    try:
        lazy = pl.scan_parquet(path)
        count = lazy.select(pl.len()).collect().item()
        start, size = 0, PARQUET_FIRST
        while start < count:
            frame = lazy.slice(start, size).collect()
            for i, cells in enumerate(frame.iter_rows(named=True), start + 1):
                _check_cells(path, i, cells)
                yield Row(i, {**cells, **_named(cells, names)})
            start += size
            each = max(1, int(frame.estimated_size()) // max(1, len(frame)))
            size = min(PARQUET_ROWS, max(1, PARQUET_BYTES // each))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
        raise DataError("not a readable Parquet file", path=str(path), line=1) from problem


def _check_cells(path: Path, row: int, cells: dict[str, Any]) -> None:
    for name, value in cells.items():
        if isinstance(value, str | bytes) and len(value) > LINE_BYTES:
            raise DataError(
                f"a cell of more than {LINE_BYTES >> 20} MB in {name!r}", path=str(path), line=row
            )


def _class_names(path: Path) -> dict[str, list[str]]:
    """Columns whose numbers stand for names, as the data sets of the hub keep them."""
    import polars as pl

    try:
        features = json.loads(pl.read_parquet_metadata(path)["huggingface"])["info"]["features"]
        items = {name: about.get("feature", about) for name, about in features.items()}
        return {name: item["names"] for name, item in items.items() if "names" in item}
    except Exception:  # whatever is wrong with a hint, there is none
        return {}


def _named(cells: dict[str, Any], names: dict[str, list[str]]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for column, known in names.items():
        value = cells.get(column)
        if isinstance(value, list):
            named[column] = [_name(number, known) for number in value]
        else:
            named[column] = _name(value, known)
    return named


def _name(number: Any, known: list[str]) -> Any:
    is_index = isinstance(number, int) and 0 <= number < len(known)
    return known[number] if is_index else number
