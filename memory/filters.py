"""Metadata filters: what a caller asks, as SQL whose every value is a bound parameter.

    {"kind": "lesson", "uses": {"$gte": 3}, "run": {"$ne": "r1"}, "source": {"$in": ["a", "b"]}}

All conditions must hold. A plain value means equal; None means null or not there; `$ne` also holds
for notes without the key. Text and numbers compare with their own kind only; true is not 1.
Lists and objects in metadata are kept but cannot be asked for.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory.errors import BadFilter

Filter = Mapping[str, Any]
Cell = str | int | float | bytes

MAX_CONDITIONS = 100
"""SQLite joins 500 selects; nobody asks for more than a few."""
MAX_VALUES = 10_000
"""Values in all `$in` lists together; SQLite binds 32,766 in one statement."""
LONG_TEXT = 500
"""Characters up to which a text is filterable as itself; longer ones only as equal or not."""

_RANGES = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_NULL = b""
_OTHER = b"o"


@dataclass(frozen=True)
class Query:
    """A select of fids, ascending where it is one plain condition, and its parameters."""

    sql: str
    values: tuple[Cell, ...] = ()


def cell(value: Any) -> Cell:
    """How a metadata value stands in `note_keys`.

    Blobs are what SQL has no kind of its own for: null, true and false, numbers beyond 64 bits,
    long texts (their hash), and lists and objects, which only count as there.
    """
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return b"\x01" if value else b"\x00"
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else b"i%x" % abs(value) + b"-" * (value < 0)
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return value if len(value) <= LONG_TEXT else b"h" + _digest(value)
    return _OTHER


def cells(metadata: Mapping[str, Any]) -> list[tuple[str, Cell]]:
    """The rows of `note_keys` for a note's metadata."""
    return [(key, cell(value)) for key, value in metadata.items()]


def query(filter: Filter | None) -> Query | None:
    """The filter as a query; None where everything passes.

    Raises:
        BadFilter: it is no mapping of text to values, has an unknown operator, or is too long.
    """
    if filter is None:
        return None
    if not isinstance(filter, Mapping):
        raise BadFilter(
            f"a filter is a mapping such as {{'kind': 'note'}}, not {type(filter).__name__}"
        )
    if len(filter) > MAX_CONDITIONS:
        raise BadFilter(
            f"the filter has {len(filter)} keys, more than {MAX_CONDITIONS}; use fewer, or `$in`"
        )
    wanted: list[Query] = []
    barred: list[Query] = []
    for key, condition in filter.items():
        _check_text(key, "key")
        _take(key, condition, wanted, barred)
    if not wanted and not barred:
        return None
    if len(wanted) + len(barred) > MAX_CONDITIONS:
        raise BadFilter(f"the filter has more than {MAX_CONDITIONS} conditions")
    if not wanted:
        wanted = [Query("select fid from notes")]
    sql = " except ".join([" intersect ".join(q.sql for q in wanted), *(q.sql for q in barred)])
    values = tuple(value for q in (*wanted, *barred) for value in q.values)
    if len(values) > MAX_VALUES:
        raise BadFilter(f"the filter has {len(values)} values, more than {MAX_VALUES}")
    return Query(sql, values)


def _take(key: str, condition: Any, wanted: list[Query], barred: list[Query]) -> None:
    """Sort one key's condition into what must be there and what must not."""
    if not isinstance(condition, Mapping):
        condition = {"$in": [condition]}
    if not condition:
        raise BadFilter(f"the filter's condition for {key!r} is empty")
    start = "select fid from note_keys where key = ?"
    inner, bounds = "", []
    for operator, operand in condition.items():
        if operator in _RANGES:
            kind = "= 'text'" if isinstance(operand, str) else "in ('integer', 'real')"
            inner += f" and value {_RANGES[operator]} ? and typeof(value) {kind}"
            bounds.append(_bound(key, operator, operand))
        elif operator == "$in":
            values = _listed(key, operand)
            marks = ", ".join("?" * len(values))
            if _NULL in values:
                barred.append(Query(f"{start} and value not in ({marks})", (key, *values)))
            else:
                wanted.append(Query(f"{start} and value in ({marks})", (key, *values)))
        elif operator == "$ne":
            value = _asked(key, operand)
            if value == _NULL:
                wanted.append(Query(f"{start} and value <> ?", (key, value)))
            else:
                barred.append(Query(f"{start} and value = ?", (key, value)))
        else:
            known = ", ".join(["$in", "$ne", *_RANGES])
            raise BadFilter(f"the filter for {key!r} has {operator!r}; known are {known}")
    if inner:
        wanted.append(Query(start + inner, (key, *bounds)))


def _listed(key: str, operand: Any) -> list[Cell]:
    if isinstance(operand, str | bytes) or not isinstance(operand, Sequence | set | frozenset):
        raise BadFilter(f"`$in` for {key!r} takes a list, not {type(operand).__name__}")
    if len(operand) > MAX_VALUES:
        raise BadFilter(f"`$in` for {key!r} has {len(operand)} values, more than {MAX_VALUES}")
    return [_asked(key, value) for value in operand]


def _asked(key: str, value: Any) -> Cell:
    if isinstance(value, str):
        _check_text(value, f"value for {key!r}")
    found = cell(value)
    if found == _OTHER or (isinstance(found, float) and not math.isfinite(found)):
        raise BadFilter(
            f"the filter for {key!r} asks for {str(value)[:40]!r}; only text, finite numbers, true,"
            " false and None can be asked for"
        )
    return found


def _bound(key: str, operator: str, operand: Any) -> Cell:
    value = _asked(key, operand)
    if isinstance(value, bytes):
        raise BadFilter(
            f"`{operator}` for {key!r} takes a number of 64 bits or a text up to {LONG_TEXT}"
            f" characters, not {str(operand)[:40]!r}"
        )
    return value


def _check_text(text: Any, what: str) -> None:
    if not isinstance(text, str):
        raise BadFilter(f"the filter's {what} is {type(text).__name__}, not text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadFilter(f"the filter's {what} holds half a character: {text[:40]!r}") from None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
