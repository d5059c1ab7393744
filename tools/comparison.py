"""Which rows meet a condition; text, numbers and dates are each compared as what they are."""

from typing import Literal, get_args

import polars as pl

from tools.errors import ToolRetry
from tools.table_text import dates, is_empty, numbers, text_of

Comparison = Literal[
    "equals",
    "not_equals",
    "contains",
    "not_contains",
    "greater",
    "at_least",
    "less",
    "at_most",
    "before",
    "after",
    "in_month",
    "is_empty",
    "is_not_empty",
]
COMPARISONS: tuple[Comparison, ...] = get_args(Comparison)

_EMPTY: tuple[Comparison, ...] = ("is_empty", "is_not_empty")
_ORDER: tuple[Comparison, ...] = ("greater", "at_least", "less", "at_most")
_NUMBERS: tuple[Comparison, ...] = ("equals", "not_equals", *_ORDER, *_EMPTY)
_DATES: tuple[Comparison, ...] = (
    *("equals", "not_equals", "contains", "not_contains"),
    *("at_least", "at_most", "before", "after", "in_month", *_EMPTY),
)
_TEXTS: tuple[Comparison, ...] = ("equals", "not_equals", "contains", "not_contains", *_EMPTY)
CellKind = Literal["number", "date", "text", "mixed"]
FITTING: dict[CellKind, tuple[Comparison, ...]] = {
    "number": _NUMBERS,
    "date": _DATES,
    "text": _TEXTS,
    "mixed": COMPARISONS,
}
"""The comparisons that make sense for what a column holds."""
Order = Literal[
    "largest_first", "smallest_first", "a_to_z", "z_to_a", "newest_first", "oldest_first"
]
FALLING: tuple[Order, ...] = ("largest_first", "z_to_a", "newest_first")
FITTING_ORDERS: dict[CellKind, tuple[Order, ...]] = {
    "number": ("largest_first", "smallest_first"),
    "date": ("newest_first", "oldest_first"),
    "text": ("a_to_z", "z_to_a"),
    "mixed": get_args(Order),
}
"""The orders in the words that fit what a column holds; a small model sorts names largest first."""
_SAMPLE = 200
"""So many cells show what a column holds."""

_PERIOD = r"^[0-9]{4}(-[0-9]{2})?$"


def kind_of(column: pl.Series) -> CellKind:
    """What the column's cells are, as far as the first ones show."""
    cells = column.filter(~is_empty(column)).head(_SAMPLE)
    if cells.is_empty():
        return "mixed"
    are_dates, are_numbers = dates(cells).is_not_null(), numbers(cells).is_not_null()
    if are_dates.all():
        return "date"
    if are_numbers.all():
        return "number"
    return "mixed" if are_dates.any() or are_numbers.any() else "text"


def matches(column: pl.Series, comparison: Comparison, value: str) -> pl.Series:
    """True for each cell that meets the condition.

    Text is compared without regard to case and outer spaces. A date such as `2024-05` stands for
    the whole month: `before` it means before its first day, `after` it after its last.

    Raises:
        ToolRetry: an order is asked of a value or a column that is neither number nor date.
    """
    if comparison == "is_empty":
        return is_empty(column)
    if comparison == "is_not_empty":
        return ~is_empty(column)
    if comparison in ("equals", "not_equals"):
        same = _equals(column, value)
        return same if comparison == "equals" else ~same
    if comparison == "in_month":
        return _in_month(column, value)
    if comparison in ("contains", "not_contains"):
        found = mentions(column, value)
        return found if comparison == "contains" else ~found
    return _ordered(column, comparison, value)


def period_hint(column: pl.Series, comparison: Comparison, value: str) -> str:
    """What a column of dates holds, and how a whole month is taken; empty for other columns."""
    days = dates(column).drop_nulls()
    if days.is_empty():
        return ""
    hint = f"{column.name} runs from {days.min()!s} to {days.max()!s}"
    moment = _moment(value)
    if moment is not None and len(moment) >= len("2024-05") and comparison != "in_month":
        hint += f"; in_month {moment[:7]} takes {int(_in_month(column, moment).sum())} rows"
    return hint


def mentioned(frame: pl.DataFrame, text: str) -> pl.Series:
    """True for each row that has `text` in one of its cells, in any case."""
    found = pl.repeat(False, frame.height, eager=True)
    for name in frame.columns:
        found |= mentions(frame[name], text)
    return found


def mentions(column: pl.Series, text: str) -> pl.Series:
    """True for each cell that has `text` in it, in any case."""
    if not text.strip():
        raise ToolRetry("the text to look for is empty")
    wanted: str = _folded(pl.Series([text]))[0]
    return _folded(column).str.contains(wanted, literal=True)


def _folded(series: pl.Series) -> pl.Series:
    return text_of(series).fill_null("").str.normalize("NFC").str.strip_chars().str.to_lowercase()


def _equals(column: pl.Series, value: str) -> pl.Series:
    wanted: str = _folded(pl.Series([value]))[0]
    same = _folded(column) == wanted
    number = numbers(pl.Series([value]))[0]
    if number is not None:
        same |= (numbers(column) == number).fill_null(False)
    moment = _moment(value)
    if moment is not None:
        same |= (dates(column).str.slice(0, len(moment)) == moment).fill_null(False)
    return same


def _in_month(column: pl.Series, value: str) -> pl.Series:
    moment = _moment(value)
    if moment is None or len(moment) < len("2024-05"):
        raise ToolRetry(f"`in_month` compares with a month such as 2024-05, not {value!r}")
    month = moment[: len("2024-05")]
    return (dates(column).str.slice(0, len(month)) == month).fill_null(False)


def _ordered(column: pl.Series, comparison: Comparison, value: str) -> pl.Series:
    number, moment = numbers(pl.Series([value]))[0], _moment(value)
    if number is None and moment is None:
        raise ToolRetry(
            f"`{comparison}` compares with a number or a date such as 2024-05-31, not {value!r}; "
            "for text use equals or contains"
        )
    if moment is not None and (days := dates(column)).null_count() < len(column):
        return _compare(days.str.slice(0, len(moment)), comparison, moment)
    if number is not None and (amounts := numbers(column)).null_count() < len(column):
        return _compare(amounts, comparison, number)
    what = "numbers" if number is not None else "dates such as 2024-05-31"
    seen = text_of(column.filter(~is_empty(column))).unique(maintain_order=True).head(5).to_list()
    raise ToolRetry(
        f"column {column.name!r} holds no {what}, so `{comparison}` cannot compare them; "
        f"its values look like: {', '.join(seen) or 'all empty'}"
    )


def _compare(cells: pl.Series, comparison: Comparison, limit: float | str) -> pl.Series:
    if comparison in ("greater", "after"):
        found = cells > limit
    elif comparison in ("less", "before"):
        found = cells < limit
    elif comparison == "at_least":
        found = cells >= limit
    else:
        found = cells <= limit
    return found.fill_null(False)


def _moment(value: str) -> str | None:
    """The value as a day, a moment, or a year or month of which days are part."""
    series = pl.Series([value.strip()])
    if series.str.contains(_PERIOD)[0]:
        return str(series[0])
    found = dates(series)[0]
    return None if found is None else str(found)
