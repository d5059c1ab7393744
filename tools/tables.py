"""The tables of a workspace: columns, rows, values and the data frame, read once and kept."""

from collections import OrderedDict
from dataclasses import dataclass, field

import polars as pl

from tools.comparison import CellKind, kind_of
from tools.table_files import parse_table
from tools.table_text import is_empty, text_of
from tools.workspace import Workspace

FILE_LIMIT = 256 * 2**20
"""Bytes of the largest table file that is read."""
KEEP_LIMIT = 512 * 2**20
"""Bytes of data frames kept; the ones used longest ago go first."""

Stamp = tuple[int, int, int]
"""`Workspace.stamp`: a file with the same one is unchanged."""


@dataclass
class _Kept:
    stamp: Stamp
    frame: pl.DataFrame
    values: dict[tuple[str, int], list[str] | None] = field(default_factory=dict)
    kinds: dict[str, CellKind] = field(default_factory=dict)
    """What was asked about columns: before every call the same is asked again."""


class Tables:
    """Reads CSV, TSV, JSONL and Parquet files; a file that changed is read again."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def columns(self, path: str) -> list[str]:
        return self.frame(path).columns

    def rows(self, path: str) -> int:
        return self.frame(path).height

    def first_row(self, path: str) -> dict[str, str]:
        """Each column with its value in the first row, as text; empty text where there is none."""
        frame = self.frame(path)
        return {
            name: "" if frame.is_empty() else text_of(frame[name].head(1))[0] or ""
            for name in frame.columns
        }

    def values(self, path: str, column: str, limit: int = 1000) -> list[str] | None:
        """The column's distinct values, as text and in order; None where more than `limit`."""
        table = self._table(path)
        if column not in table.frame.columns:
            return []
        if (column, limit) not in table.values:
            table.values[column, limit] = _distinct(table.frame[column], limit)
        return table.values[column, limit]

    def kind(self, path: str, column: str) -> CellKind:
        """What the column's cells are; `mixed` where there is no such column."""
        table = self._table(path)
        if column not in table.frame.columns:
            return "mixed"
        if column not in table.kinds:
            table.kinds[column] = kind_of(table.frame[column])
        return table.kinds[column]

    def frame(self, path: str) -> pl.DataFrame:
        """The whole table.

        Raises:
            TableError: the file is no table, or a broken one.
            WorkspaceError: there is no such file.
        """
        return self._table(path).frame

    def _table(self, path: str) -> _Kept:
        stamp = self._workspace.stamp(path)
        kept = self._kept.get(path)
        if kept is None or kept.stamp != stamp:
            data = self._workspace.read_bytes(path, limit=FILE_LIMIT)
            kept = self._keep(path, _Kept(stamp, parse_table(path, data)))
        self._kept.move_to_end(path)
        return kept

    def _keep(self, path: str, table: _Kept) -> _Kept:
        self._kept[path] = table
        self._kept.move_to_end(path)
        while len(self._kept) > 1 and self._size() > KEEP_LIMIT:
            self._kept.popitem(last=False)
        return table

    def _size(self) -> float:
        return sum(kept.frame.estimated_size() for kept in self._kept.values())


def _distinct(series: pl.Series, limit: int) -> list[str] | None:
    distinct = text_of(series.filter(~is_empty(series))).unique(maintain_order=True)
    return distinct.to_list() if len(distinct) <= limit else None
