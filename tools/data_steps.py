"""What the data tools do to a data frame: name a column, sort, calculate, group, join."""

import difflib
from typing import Literal, NamedTuple

import polars as pl

from tools.comparison import FALLING, Order
from tools.errors import ToolRetry
from tools.table_show import count_text, number_text
from tools.table_text import dates, is_empty, numbers, text_of

Operation = Literal["sum", "average", "minimum", "maximum", "median", "count", "count_unique"]
Keep = Literal["matching", "all_left"]

JOIN_LIMIT = 2_000_000
"""Rows that a join may make; two columns with few different values multiply."""


def column_named(frame: pl.DataFrame, name: str, path: str) -> str:
    """The column of this name, in whatever case it is written."""
    if name in frame.columns:
        return name
    alike = [c for c in frame.columns if c.strip().lower() == name.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(name, frame.columns, n=30, cutoff=0.5)
    listed = list(dict.fromkeys([*near, *frame.columns]))[:30]
    more = f" and {frame.width - len(listed)} more" if frame.width > len(listed) else ""
    raise ToolRetry(f"{path} has no column {name!r}; its columns are {', '.join(listed)}{more}")


def value_counts(series: pl.Series) -> tuple[pl.DataFrame, int]:
    """The distinct values with their counts, most frequent first, and how many cells are empty."""
    empty = is_empty(series)
    full = text_of(series.filter(~empty)).alias(series.name)
    name = "rows" if series.name != "rows" else "rows_"
    counts = full.value_counts(name=name)
    return counts.sort(name, series.name, descending=[True, False]), int(empty.sum())


def ordered(frame: pl.DataFrame, column: str, order: Order) -> pl.DataFrame:
    """Sorted as numbers or dates where most cells are, else as text; the others come last."""
    places = pl.DataFrame({"key": _sort_key(frame[column])}).with_row_index("row")
    rows = places.sort("key", descending=order in FALLING, nulls_last=True, maintain_order=True)[
        "row"
    ]
    return frame[rows]


def _sort_key(series: pl.Series) -> pl.Series:
    full = ~is_empty(series)
    for cells in (numbers(series), dates(series)):
        if cells.count() * 2 > full.sum():
            return cells
    return text_of(series).str.to_lowercase().set(~full, None)


def calculate_column(frame: pl.DataFrame, column: str, operation: Operation) -> str:
    """One figure over a column, and what was left out of it."""
    figure = _figures(frame, column, operation)
    result = pl.DataFrame({"cells": figure.cells}).select(_figure("cells", operation)).item()
    shown = number_text(result) if isinstance(result, int | float) else str(result)
    return f"{operation} of {column}: {shown}{figure.note}"


def grouped(frame: pl.DataFrame, group_by: str, column: str, operation: Operation) -> pl.DataFrame:
    """One row for each value of `group_by`, sorted by it, with the figure over `column`."""
    figure = _figures(frame, column, operation)
    name = f"{operation}_{column}"
    while name == group_by:
        name += "_"
    key = text_of(frame[group_by]).fill_null("").str.strip_chars().alias("group")
    groups = pl.DataFrame([key, figure.cells.alias("cells")]).group_by("group", maintain_order=True)
    figures = groups.agg(_figure("cells", operation).alias(name))
    result = figures.rename({"group": group_by})
    return ordered(_rounded(result, name), group_by, "smallest_first")


class _Figures(NamedTuple):
    cells: pl.Series
    note: str = ""


def _figure(name: str, operation: Operation) -> pl.Expr:
    cells = pl.col(name).drop_nulls()
    if operation == "sum":
        return pl.when(cells.count() > 0).then(cells.sum())
    if operation == "average":
        return cells.mean()
    if operation == "minimum":
        return cells.min()
    if operation == "maximum":
        return cells.max()
    if operation == "median":
        return cells.median()
    return cells.count() if operation == "count" else cells.n_unique()


def _figures(frame: pl.DataFrame, column: str, operation: Operation) -> _Figures:
    """The cells to calculate with: text to count, else numbers, or dates for the extremes."""
    series = frame[column]
    full = ~is_empty(series)
    if operation in ("count", "count_unique"):
        return _Figures(text_of(series).str.strip_chars().set(~full, None))
    amounts = numbers(series)
    if operation in ("minimum", "maximum") and amounts.null_count() == len(series):
        days = dates(series)
        if days.null_count() < len(series):
            return _Figures(days)
    if amounts.null_count() == len(series):
        fitting = [n for n in frame.columns if numbers(frame[n]).null_count() < frame.height]
        raise ToolRetry(
            f"column {column!r} holds no numbers to calculate the {operation} of; "
            f"columns with numbers: {', '.join(fitting[:30]) or 'none'}"
        )
    odd = series.filter(full & amounts.is_null())
    note = ""
    if len(odd):
        note = f" (left out, since not a number: {count_text(len(odd), 'cell')}, like {odd[0]!r})"
    return _Figures(amounts, note)


def _rounded(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    if not frame[column].dtype.is_float():
        return frame
    texts = [None if v is None else number_text(v) for v in frame[column].to_list()]
    return frame.with_columns(pl.Series(column, texts, dtype=pl.String))


def joined(
    left: pl.DataFrame, right: pl.DataFrame, on: tuple[str, str], keep: Keep
) -> pl.DataFrame:
    """Rows of `left` with those of `right` whose cell in `on` is the same; left's order is kept."""
    key = "\x00key"
    first = left.with_columns(_join_key(left[on[0]]).alias(key))
    second = right.with_columns(_join_key(right[on[1]]).alias(key))
    _check_size(first[key], second[key])
    second = second.drop(on[1])
    taken = set(left.columns)
    names: dict[str, str] = {}
    for name in second.columns:
        if name != key:
            new = name
            while new in taken:
                new += "_right"
            names[name] = new
            taken.add(new)
    how: Literal["inner", "left"] = "inner" if keep == "matching" else "left"
    both = first.join(second.rename(names), on=key, how=how, maintain_order="left_right").drop(key)
    if both.is_empty():
        shared = [name for name in left.columns if name in right.columns]
        hint = f". Both tables have: {', '.join(shared)}" if shared else ""
        raise ToolRetry(
            f"no value of {on[0]!r} is found in {on[1]!r}, so nothing was saved; "
            f"{on[0]!r} looks like {_examples(left[on[0]])}, "
            f"{on[1]!r} like {_examples(right[on[1]])}{hint}"
        )
    return both


def unmatched(left: pl.DataFrame, right: pl.DataFrame, on: tuple[str, str]) -> pl.DataFrame:
    """Rows of `left` whose cell in `on` no row of `right` has; the order is kept."""
    wanted = _join_key(left[on[0]])
    return left.filter(
        ~wanted.is_in(_join_key(right[on[1]]).drop_nulls().implode()).fill_null(False)
    )


def partner_column(column: pl.Series, right: pl.DataFrame, path: str) -> str:
    """The column of `right` to compare with: of the same name, else with most of the same values.

    Raises:
        ToolRetry: no column of `right` holds any of the values.
    """
    if column.name in right.columns:
        return column.name
    wanted = _join_key(column).drop_nulls().unique()
    shares = {n: int(wanted.is_in(_join_key(right[n]).implode()).sum()) for n in right.columns}
    best = max(shares, key=lambda name: shares[name], default="")
    if not shares.get(best):
        raise ToolRetry(
            f"{path} has no column {column.name!r}, and none of its columns holds values of it; "
            f"it has: {', '.join(right.columns)}"
        )
    return best


def _join_key(series: pl.Series) -> pl.Series:
    """The cell as text; a number as the same text however it is written; empty matches nothing."""
    amounts = numbers(series)
    text = text_of(series).str.strip_chars()
    same = pl.select(pl.when(amounts.is_not_null()).then(amounts.cast(pl.String)).otherwise(text))
    return same.to_series().set(is_empty(series), None)


def _check_size(left: pl.Series, right: pl.Series) -> None:
    counts = [s.drop_nulls().alias("key").value_counts(name="n") for s in (left, right)]
    both = counts[0].join(counts[1], on="key")
    rows = both.select((pl.col("n").cast(pl.UInt64) * pl.col("n_right")).sum()).item()
    if rows > JOIN_LIMIT:
        raise ToolRetry(
            f"this join would make {rows} rows; at most {JOIN_LIMIT} are made. "
            "Join on columns that name one row each, such as an id"
        )


def _examples(series: pl.Series) -> str:
    cells = text_of(series.filter(~is_empty(series))).unique(maintain_order=True)
    return ", ".join(cells.head(3).to_list()) or "empty cells"
