"""The `table` check: does a table have these columns, so many rows, and rows with these values?"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from agent.check_specs import Cell, TableSpec
from agent.file_kinds import Miss
from tools.table_files import TableError, parse_table


def table_found(spec: TableSpec, data: bytes) -> str:
    """What the table has, if it is as the check says.

    Raises:
        Miss: it is not; says which part is wrong and what is there.
    """
    try:
        frame = parse_table(spec.path, data)
    except TableError as error:
        raise Miss(f"{spec.path} is no table: {error}") from None
    columns, rows = frame.columns, frame.height
    there = f"{spec.path} has {rows} rows and the columns {', '.join(columns)}"
    _columns(spec, columns, there)
    wrong_rows = (
        (spec.rows is not None and rows != spec.rows)
        or rows < (spec.min_rows or 0)
        or (spec.max_rows is not None and rows > spec.max_rows)
    )
    if wrong_rows:
        raise Miss(f"{there}; that is not the right number of rows")
    wanted, unwanted = spec.contains_rows or [], spec.lacks_rows or []
    needed = {column for row in [*wanted, *unwanted] for column in row}
    if lacking := needed - set(columns):
        raise Miss(f"{there}; {len(lacking)} expected columns are missing")
    cells = {column: _Column(frame[column].to_list()) for column in needed}

    def fitting(row: dict[str, Cell]) -> list[int]:
        left: Sequence[int] = range(rows)
        for column, value in row.items():
            left = cells[column].fits(value, left, spec.tolerance)
        return list(left)

    if any(fitting(row) for row in unwanted):
        raise Miss(f"{there}; a row is there that should not be")
    choices = [fitting(row) for row in wanted]
    met = _in_order(choices) if spec.ordered else _one_each(choices)
    if met < len(wanted):
        order = " or in the wrong order" if spec.ordered else ""
        missing = f"{len(wanted) - met} of {len(wanted)} expected rows"
        raise Miss(f"{there}; {missing} are missing{order}")
    return there


class _Column:
    """A column's cells, read as text or as numbers only where a row asks for that, and once."""

    def __init__(self, cells: list[Any]) -> None:
        self._cells = cells

    def fits(self, wanted: Cell, rows: Iterable[int], tolerance: float) -> list[int]:
        """Those of the rows whose cell holds the value; a CSV's text is read as what is wanted."""
        if wanted is None:
            return [i for i in rows if not self._texts[i]]
        if isinstance(wanted, bool):
            word = str(wanted).lower()
            return [i for i in rows if self._texts[i].lower() == word]
        if isinstance(wanted, int | float):
            near = max(tolerance, 1e-9 * abs(wanted)) * (1 + 1e-9)
            numbers = self._numbers
            return [i for i in rows if abs(numbers[i] - wanted) <= near]  # false for no number
        text = _plain(wanted)
        return [i for i in rows if self._texts[i] == text]

    @cached_property
    def _texts(self) -> list[str]:
        return ["" if cell is None else _plain(str(cell)) for cell in self._cells]

    @cached_property
    def _numbers(self) -> list[float]:
        return [_number(cell) for cell in self._cells]


def _columns(spec: TableSpec, columns: list[str], there: str) -> None:
    if spec.columns is None:
        return
    lacking = [column for column in spec.columns if column not in columns]
    if lacking:
        raise Miss(f"{there}; {len(lacking)} expected columns are missing")
    if spec.exact_columns and columns != spec.columns:
        raise Miss(f"{there}; there are too many, or they are in another order")


def _number(cell: Any) -> float:
    """NaN, which equals nothing, where the cell is no number."""
    if isinstance(cell, bool) or cell is None:
        return math.nan
    try:
        return float(cell.strip() if isinstance(cell, str) else cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _in_order(choices: list[list[int]]) -> int:
    """How many wanted rows are found one below the other."""
    last = -1
    for met, rows in enumerate(choices):
        later = next((row for row in rows if row > last), None)
        if later is None:
            return met
        last = later
    return len(choices)


def _one_each(choices: list[list[int]]) -> int:
    """For how many wanted rows there is a row of their own (maximum bipartite matching)."""
    owner: dict[int, int] = {}
    return sum(_give_row(wanted, choices, owner) for wanted in range(len(choices)))


def _give_row(wanted: int, choices: list[list[int]], owner: dict[int, int]) -> bool:
    """Find a row for this one, moving others to another row of theirs where that helps."""
    asked_by: dict[int, int] = {}
    held: dict[int, int] = {}
    queue = [wanted]
    while queue:
        current = queue.pop()
        for row in choices[current]:
            if row in asked_by:
                continue
            asked_by[row] = current
            if row in owner:
                held[owner[row]] = row
                queue.append(owner[row])
                continue
            while True:  # hand the rows on along the way that led here
                mover = asked_by[row]
                owner[row] = mover
                if mover == wanted:
                    return True
                row = held[mover]
    return False
