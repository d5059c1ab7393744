"""Cells as text, as numbers and as dates, so that each is compared as what it is.

A number is `12`, `-3.5`, `1e6`, `1,234.50` or `$12`; `007` and integers of more than 15 digits are
text (codes, not amounts). A date is `2024-05-31`, `2024/5/31`, `2024年5月31日`, with or without a
time after it. Offsets of time zones are compared as written.
"""

import polars as pl

_NUMBER = r"^[+-]?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"
_THOUSANDS = r"^[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?$"
_DATE = (
    r"^([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?"
    r"(?:[T ]+([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
_ISO_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def text_of(series: pl.Series) -> pl.Series:
    """Every cell as it would stand in a CSV file; null stays null."""
    if series.dtype == pl.String:
        return series
    if series.dtype.is_float():
        return series.fill_nan(None).cast(pl.String).str.replace(r"\.0$", "")
    if series.dtype == pl.Datetime:
        return series.dt.strftime("%Y-%m-%dT%H:%M:%S")
    return series.cast(pl.String)


def is_empty(series: pl.Series) -> pl.Series:
    """True where a cell holds nothing but spaces."""
    return text_of(series).str.strip_chars().fill_null("") == ""


def numbers(series: pl.Series) -> pl.Series:
    """Every cell as a number; null where it is none."""
    if series.dtype.is_numeric():
        found = series.cast(pl.Float64)
    else:
        name = series.name
        frame = pl.DataFrame({name: text_of(series)})
        cell = pl.col(name).str.strip_chars().str.replace(r"^([+-]?)[$€£¥] ?", "${1}")
        thousands = cell.str.contains(_THOUSANDS)
        bare = pl.when(thousands).then(cell.str.replace_all(",", "")).otherwise(cell)
        number = pl.when(bare.str.contains(_NUMBER)).then(bare).cast(pl.Float64, strict=False)
        found = frame.select(number.alias(name))[name]
    return found.set(~found.is_finite(), None)


def dates(series: pl.Series) -> pl.Series:
    """Every cell as `2024-05-31` or `2024-05-31T10:00`; null where it is no date."""
    name = series.name
    frame = pl.DataFrame({name: text_of(series)})
    part = pl.col(name).str.strip_chars().str.extract_groups(_DATE)
    year, month, date = (part.struct[n] for n in "123")
    day = pl.concat_str(year, month.str.zfill(2), date.str.zfill(2), separator="-")
    time = (pl.lit("T") + part.struct["4"]).fill_null("")
    real = day.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    return frame.select(pl.when(real).then(day + time).alias(name))[name]


def typed(frame: pl.DataFrame, *, dates: bool = False) -> pl.DataFrame:
    """Text columns that hold only numbers as numbers; with `dates`, days as dates too."""
    return frame.select(_typed(frame[name], dates) for name in frame.columns)


def _typed(series: pl.Series, with_dates: bool) -> pl.Series:
    if series.dtype.is_float():
        return series.fill_nan(None)
    if series.dtype != pl.String:
        return series
    full = series.set(is_empty(series), None)
    cells = full.drop_nulls()
    if cells.is_empty():
        return series
    if cells.str.contains(_NUMBER).all():
        whole = not cells.str.contains("[.eE]").any()
        return full.cast(pl.Int64 if whole else pl.Float64)
    if with_dates and cells.str.contains(_ISO_DAY).all():
        as_days = cells.str.to_date("%Y-%m-%d", strict=False)
        return full.str.to_date("%Y-%m-%d") if as_days.null_count() == 0 else series
    return series
