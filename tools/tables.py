"""The tables of a workspace: columns, rows, values and the data frame, read once and kept."""

from collections import OrderedDict

import polars as pl

from tools.table_files import parse_table
from tools.table_text import is_empty, text_of
from tools.workspace import Workspace

FILE_LIMIT = 256 * 2**20
"""Bytes of the largest table file that is read."""
KEEP_LIMIT = 512 * 2**20
"""Bytes of data frames kept; the ones used longest ago go first."""

Stamp = tuple[int, int, int]
"""`Workspace.stamp`: a file with the same one is unchanged."""


class Tables:
    """Reads CSV, TSV, JSONL and Parquet files; a file that changed is read again."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._kept: OrderedDict[str, tuple[Stamp, pl.DataFrame]] = OrderedDict()

    def columns(self, path: str) -> list[str]:
        return self.frame(path).columns

    def rows(self, path: str) -> int:
        return self.frame(path).height

    def values(self, path: str, column: str, limit: int = 1000) -> list[str] | None:
        """The column's distinct values, as text and in order; None where more than `limit`."""
        frame = self.frame(path)
        if column not in frame.columns:
            return []
        series = frame[column]
        distinct = text_of(series.filter(~is_empty(series))).unique(maintain_order=True)
        return distinct.to_list() if len(distinct) <= limit else None

    def frame(self, path: str) -> pl.DataFrame:
        """The whole table.

        Raises:
            TableError: the file is no table, or a broken one.
            WorkspaceError: there is no such file.
        """
        stamp = self._workspace.stamp(path)
        kept = self._kept.get(path)
        if kept is not None and kept[0] == stamp:
            self._kept.move_to_end(path)
            return kept[1]
        data = self._workspace.read_bytes(path, limit=FILE_LIMIT)
        frame = parse_table(path, data)
        self._keep(path, stamp, frame)
        return frame

    def _keep(self, path: str, stamp: Stamp, frame: pl.DataFrame) -> None:
        self._kept[path] = (stamp, frame)
        self._kept.move_to_end(path)
        while len(self._kept) > 1 and self._size() > KEEP_LIMIT:
            self._kept.popitem(last=False)

    def _size(self) -> float:
        return sum(frame.estimated_size() for _, frame in self._kept.values())
