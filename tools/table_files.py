"""Table files: the bytes of a CSV, TSV, JSONL or Parquet file made a data frame, and back.

Taken as they come: a byte order mark, UTF-16, cp1252, gb18030; `;`, tab or `|` for the comma; any
line ending; blank lines; rows shorter than the header (their last cells are empty).
Refused, with the line: rows longer than the header, two columns of one name, an open quote, a cell
of more than `CELL_LIMIT` characters.

The cells of a CSV stay the text that they are: `007` and `1.50` survive reading and writing.
"""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any, NoReturn

import polars as pl

from tools.errors import ToolFailed
from tools.table_text import text_of, typed
from tools.text_encoding import decode

CELL_LIMIT = 1_000_000
"""Characters in one cell; more is a quote left open, or no table."""
CELLS_LIMIT = 50_000_000
"""Cells in one table; a small Parquet file can claim any number."""

_DELIMITERS = ",;\t|"
_PLAIN = (pl.String, pl.Boolean, pl.Date, pl.Datetime, pl.Time)


class TableError(ToolFailed):
    """A file that is no table, or a broken one; says what is wrong in which line."""


def parse_table(path: str, data: bytes) -> pl.DataFrame:
    """The table in `data`; the ending of `path` says which format."""
    if not data.strip():
        raise TableError(f"{path} is empty")
    if path.lower().endswith(".parquet"):
        return _parse_parquet(path, data)
    text = decode(data)
    if text is None or "\0" in text:
        raise TableError(f"{path} is not a text file")
    if not text.strip():
        raise TableError(f"{path} is empty")
    if path.lower().endswith(".jsonl"):
        return _parse_jsonl(path, text)
    return _parse_csv(path, text)


def table_bytes(path: str, frame: pl.DataFrame) -> bytes:
    """The file for `path`: text cells for CSV and TSV, real numbers for JSONL and Parquet."""
    suffix = path.lower().rpartition(".")[2]
    out = io.BytesIO()
    if suffix == "jsonl":
        typed(frame).write_ndjson(out)
    elif suffix == "parquet":
        typed(frame, dates=True).write_parquet(out)
    else:
        text = frame.select(text_of(frame[name]) for name in frame.columns)
        text.write_csv(out, separator="\t" if suffix == "tsv" else ",")
    return out.getvalue()


def _parse_csv(path: str, text: str) -> pl.DataFrame:
    text = text.lstrip("\r\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    delimiter = "\t" if path.lower().endswith(".tsv") else delimiter_of(text)
    lines = io.StringIO(text, newline="")
    header = next(_records(path, lines, delimiter))[1]
    names = _names(path, header)
    body = text[lines.tell() :]
    plain = delimiter.join(f"c{i}" for i in range(len(names))) + "\n"
    try:
        frame = pl.read_csv((plain + body).encode(), separator=delimiter, infer_schema=False)
    except pl.exceptions.PolarsError:
        # Polars refuses more than it must (a lone `"` in a cell) and names no line.
        frame = _read_slowly(path, text, delimiter, len(names))
    frame.columns = names
    _check_cells(path, frame)
    return frame.filter(~pl.all_horizontal(pl.all().is_null())) if len(names) > 1 else frame


def delimiter_of(text: str) -> str:
    """The one that cuts the first lines into the most, and equally many, fields."""
    sample = io.StringIO(text[:100_000], newline="").readlines()[:6]
    best, most = ",", 1
    for delimiter in _DELIMITERS:
        widths = {len(row) for row in csv.reader(sample, delimiter=delimiter) if row}
        if len(widths) == 1 and (width := widths.pop()) > most:
            best, most = delimiter, width
    if most > 1:
        return best
    return max(_DELIMITERS, key=lambda d: len(next(csv.reader(sample, delimiter=d), [])))


def _names(path: str, header: list[str]) -> list[str]:
    names = [name.strip() or f"column_{i}" for i, name in enumerate(header, 1)]
    for i, name in enumerate(names):
        if name in names[:i]:
            first = names.index(name) + 1
            raise TableError(
                f"{path} line 1: columns {first} and {i + 1} are both named {name!r}; rename one"
            )
    return names


def _records(path: str, lines: io.StringIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each ends on; an open quote or a stray one is an error."""
    # readline, not iteration: the reader's position in the text must stay known.
    reader = csv.reader(iter(lines.readline, ""), delimiter=delimiter, strict=True)
    line = 0
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise TableError(f"{path} line {line + 1}: {_csv_problem(problem)}") from problem
        line = reader.line_num
        yield line, record


def _csv_problem(problem: csv.Error) -> str:
    said = str(problem)
    if "end of data" in said or "field larger" in said:
        return "a quote is opened and never closed"
    if "expected after" in said:
        return "text follows a closing quote"
    return said


def _read_slowly(path: str, text: str, delimiter: str, width: int) -> pl.DataFrame:
    rows: list[list[str | None]] = []
    for line, record in _records(path, io.StringIO(text, newline=""), delimiter):
        if len(record) > width:
            raise TableError(
                f"{path} line {line}: {len(record)} cells, but the header has {width} columns"
            )
        rows.append([*record, *[None] * (width - len(record))])
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * width
    return pl.DataFrame({f"c{i}": pl.Series(c, dtype=pl.String) for i, c in enumerate(columns)})


def _check_cells(path: str, frame: pl.DataFrame) -> None:
    for name in frame.columns:
        lengths = frame[name].str.len_bytes()
        row = lengths.arg_max()
        if row is not None and lengths[row] > CELL_LIMIT:
            raise TableError(
                f"{path} row {row + 1}, column {name!r}: a cell of {lengths[row]} bytes; "
                "probably a quote is opened and never closed"
            )


def _parse_jsonl(path: str, text: str) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for line, raw in enumerate(text.split("\n"), 1):
        if raw.strip():
            rows.append(_parse_line(path, line, raw))
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise TableError(f"{path} has no columns")
    return pl.DataFrame([_series(name, [row.get(name) for row in rows]) for name in names])


def _parse_line(path: str, line: int, raw: str) -> dict[str, Any]:
    try:
        return json_object(raw)
    except ValueError as problem:
        raise TableError(f"{path} line {line}: {problem}") from problem


def json_object(text: str) -> dict[str, Any]:
    """The object that a line of JSONL holds.

    Raises:
        ValueError: it is no JSON (NaN and infinity are none), or no object; says which.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        found = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as problem:
        said = str(problem).partition(": line ")[0]
        raise ValueError(f"not JSON ({said})") from problem
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__}, not an object")
    return found


def _series(name: str, values: list[Any]) -> pl.Series:
    """A column of numbers or truth values where all are; otherwise text."""
    kinds = {type(value) for value in values if value is not None}
    small = all(abs(v) < 2**53 for v in values if isinstance(v, int))
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and small:
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds <= {int, float} and kinds and small:
        return pl.Series(name, values, dtype=pl.Float64)
    return pl.Series(name, [_as_text(value) for value in values], dtype=pl.String)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _parse_parquet(path: str, data: bytes) -> pl.DataFrame:
    try:
        lazy = pl.scan_parquet(io.BytesIO(data))
        width, height = len(lazy.collect_schema()), lazy.select(pl.len()).collect().item()
        if width * height > CELLS_LIMIT:
            raise TableError(f"{path} is too large: {height} rows of {width} columns")
        frame = lazy.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
        raise TableError(f"{path} is not a readable Parquet file") from problem
    if not frame.columns:
        raise TableError(f"{path} has no columns")
    return frame.with_columns(_plain(frame[name]) for name in frame.columns)


def _plain(series: pl.Series) -> pl.Series:
    """Nested and rare types as text."""
    if series.dtype.is_numeric() or series.dtype in _PLAIN:
        return series
    if series.dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    return pl.Series(series.name, [_as_text(v) for v in series.to_list()], dtype=pl.String)
