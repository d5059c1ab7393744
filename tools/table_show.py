"""A table as a few lines of text, for a reader with little room."""

import polars as pl

from tools.table_text import text_of

_CELL, _COLUMNS = 60, 20


def show(frame: pl.DataFrame, *, rows: int) -> str:
    """The first rows as `a | b | c` lines, long cells and wide tables cut, and what is left out."""
    part = frame.head(rows).select(frame.columns[:_COLUMNS])
    texts = [[_cell(v) for v in text_of(part[name]).to_list()] for name in part.columns]
    lines = [" | ".join(_cell(name) for name in part.columns)]
    lines += [" | ".join(row) for row in zip(*texts, strict=True)]
    if frame.height > rows:
        lines.append(f"({frame.height - rows} more rows)")
    if more := frame.columns[_COLUMNS:]:
        names = ", ".join(_cell(name) for name in more[:100])
        lines.append(f"({len(more)} more columns: {names}{', ...' if len(more) > 100 else ''})")
    return "\n".join(lines)


def one_row(frame: pl.DataFrame) -> str:
    """The first row in words, `a: 1, b: x`; a small model mistakes lines of cells."""
    names = frame.columns[:_COLUMNS]
    cells = [(name, text_of(frame[name].head(1))[0]) for name in names]
    return ", ".join(f"{_cell(name)}: {_cell(value)}" for name, value in cells)


def count_of(frame: pl.DataFrame) -> str:
    """`3 rows, 1 column`."""
    return f"{count_text(frame.height, 'row')}, {count_text(frame.width, 'column')}"


def number_text(number: float) -> str:
    """Without needless digits: `12`, `0.3`, `23.333333`."""
    return f"{round(number, 6):.6f}".rstrip("0").rstrip(".")


def count_text(count: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _cell(value: str | None) -> str:
    text = " ".join((value or "").split())
    return text if len(text) <= _CELL else text[: _CELL - 3] + "..."
