"""Questions about tables, and new tables made of old ones.

Tools that only look have the effect `read`; each tool that saves takes `save_as`.
"""

from typing import Annotated

import polars as pl
from langchain_core.tools import BaseTool
from pydantic import Field

from tools.base import TABLE_SUFFIXES, Column, ExistingTable, Ground, NewTable, Value, tool
from tools.comparison import Comparison, Order, matches, mentioned, period_hint
from tools.context import ToolContext
from tools.data_steps import (
    Keep,
    Operation,
    calculate_column,
    column_named,
    grouped,
    joined,
    ordered,
    partner_column,
    unmatched,
    value_counts,
)
from tools.errors import ToolRetry
from tools.table_files import table_bytes
from tools.table_show import count_of, count_text, one_row, show

TableColumn = Annotated[str, Column(of="path")]
FittingComparison = Annotated[Comparison, Ground("comparison", of="column")]
FittingOrder = Annotated[Order, Ground("order", of="column")]
ComparedValue = Annotated[
    str, Value(of="column", beside="comparison", when=("equals", "not_equals"))
]
SomeColumns = Annotated[list[TableColumn], Field(min_length=1, max_length=30)]

_SHOWN = 20
"""Rows printed by a tool that saves nothing."""
_EXTREMES: dict[Operation, Order] = {"maximum": "largest_first", "minimum": "smallest_first"}
"""Operations whose figure stands in a row, and the order that puts that row first."""


def get_tools(context: ToolContext) -> list[BaseTool]:
    """The family `data`."""
    workspace = context.workspace
    tables = context.tables

    def rows_where(
        path: str, column: str, comparison: FittingComparison, value: str
    ) -> pl.DataFrame:
        frame = tables.frame(path)
        series = frame[column_named(frame, column, path)]
        return frame.filter(matches(series, comparison, value))

    def values_of(path: str, column: str) -> str:
        frame = tables.frame(path)
        counts, empty = value_counts(frame[column_named(frame, column, path)])
        note = f"\n{count_text(empty, 'more row')} without a value." if empty else ""
        return f"{count_text(counts.height, 'different value')}.\n{show(counts, rows=100)}{note}"

    def save(frame: pl.DataFrame, save_as: str) -> str:
        if not save_as.lower().endswith(TABLE_SUFFIXES):
            raise ToolRetry(
                f"{save_as!r} is no table file; its name must end with {', '.join(TABLE_SUFFIXES)}"
            )
        workspace.write_bytes(save_as, table_bytes(save_as, frame))
        return f"Wrote {count_of(frame)} to {save_as}.\n{show(frame, rows=3)}"

    def save_elsewhere(frame: pl.DataFrame, save_as: str, *sources: str) -> str:
        """Save under a name that is none of the sources, which the result does not replace."""
        if save_as in sources:
            raise ToolRetry(f"{save_as} is the table that is read; save under another name")
        return save(frame, save_as)

    @tool(effect="read", family="data", says="look at {path}")
    def preview_table(path: ExistingTable) -> str:
        """Show how many rows a table has, its columns and its first rows.

        Args:
            path: the table.
        """
        frame = tables.frame(path)
        return f"{path}: {count_of(frame)}.\n{show(frame, rows=5)}"

    @tool(effect="read", family="data", says="list the values of {column} in {path}")
    def column_values(path: ExistingTable, column: TableColumn) -> str:
        """List the different values of a column, with how many rows have each.

        Args:
            path: the table.
            column: the column.
        """
        return values_of(path, column)

    @tool(effect="read", family="data", says="count rows of {path}")
    def count_rows(
        path: ExistingTable,
        column: TableColumn,
        comparison: FittingComparison,
        value: ComparedValue,
    ) -> str:
        """Count the rows of a table where a column meets a condition.

        Args:
            path: the table.
            column: the column to compare.
            comparison: use contains for a word inside a text, in_month for the dates of a month.
            value: text, a number, a date such as 2024-05-31 or a month such as 2024-05.
        """
        found, total = rows_where(path, column, comparison, value).height, tables.rows(path)
        return f"{found} of {total} rows"

    @tool(effect="read", family="data", says="count rows of {path} that mention {text}")
    def count_mentions(path: ExistingTable, text: str) -> str:
        """Count the rows of a table that mention a word or text in any column.

        Args:
            path: the table.
            text: the word or text to look for.
        """
        frame = tables.frame(path)
        return f"{mentioned(frame, text).sum()} of {frame.height} rows"

    @tool(effect="read", family="data", says="look for rows of {path}")
    def find_rows(
        path: ExistingTable,
        column: TableColumn,
        comparison: FittingComparison,
        value: ComparedValue,
    ) -> str:
        """Show the rows of a table where a column meets a condition.

        Args:
            path: the table.
            column: the column to compare.
            comparison: use contains for a word inside a text, in_month for the dates of a month.
            value: text, a number, a date such as 2024-05-31 or a month such as 2024-05.
        """
        frame = rows_where(path, column, comparison, value)
        return f"{frame.height} of {tables.rows(path)} rows\n{show(frame, rows=_SHOWN)}"

    @tool(effect="read", family="data", says="show the top rows of {path}")
    def top_rows(path: ExistingTable, column: TableColumn, order: FittingOrder) -> str:
        """Show the rows with the largest or the smallest values of a column.

        Args:
            path: the table.
            column: the column to sort by.
            order: which end comes first.
        """
        frame = tables.frame(path)
        by = column_named(frame, column, path)
        found = ordered(frame, by, order)
        return (
            f"First is {one_row(found)}\n{show(found, rows=10)}"
            if found.height
            else show(found, rows=0)
        )

    @tool(effect="read", family="data", says="calculate over {path}")
    def calculate(path: ExistingTable, column: TableColumn, operation: Operation) -> str:
        """Calculate one number over a whole column: its sum, average, minimum and so on.

        Args:
            path: the table.
            column: the column with the numbers.
            operation: what to calculate.
        """
        frame = tables.frame(path)
        by = column_named(frame, column, path)
        said = calculate_column(frame, by, operation)
        order = _EXTREMES.get(operation)
        return f"{said}\nIts row: {one_row(ordered(frame, by, order))}" if order else said

    @tool(effect="read", family="data", says="calculate over {path} by {group_by}")
    def calculate_groups(
        path: ExistingTable, group_by: TableColumn, column: TableColumn, operation: Operation
    ) -> str:
        """Show a number for each group of rows, such as the sum of amounts for each city.

        Args:
            path: the table.
            group_by: the column that makes the groups.
            column: the column with the numbers.
            operation: what to calculate for each group.
        """
        frame = tables.frame(path)
        by, of = column_named(frame, group_by, path), column_named(frame, column, path)
        return show(grouped(frame, by, of, operation), rows=100)

    @tool(effect="write", idempotent=True, family="data", says="write {save_as}")
    def filter_rows(
        path: ExistingTable,
        column: TableColumn,
        comparison: FittingComparison,
        value: ComparedValue,
        save_as: NewTable,
    ) -> str:
        """Save the rows of a table where a column meets a condition as a new table.

        Args:
            path: the table.
            column: the column to compare.
            comparison: use contains for a word inside a text, in_month for the dates of a month.
            value: text, a number, a date such as 2024-05-31 or a month such as 2024-05.
            save_as: the table file to write.
        """
        found = rows_where(path, column, comparison, value)
        if found.is_empty():
            series = tables.frame(path)[column]
            hint = period_hint(series, comparison, value)
            seen = hint or f"{column} has {values_of(path, column)}"
            raise ToolRetry(f"no row matches, so nothing was saved. {seen}")
        return save(found, save_as)

    @tool(effect="write", idempotent=True, family="data", says="write {save_as}")
    def sort_rows(
        path: ExistingTable, column: TableColumn, order: FittingOrder, save_as: NewTable
    ) -> str:
        """Save a table sorted by a column as a new table.

        Args:
            path: the table.
            column: the column to sort by.
            order: which end comes first.
            save_as: the table file to write.
        """
        frame = tables.frame(path)
        return save(ordered(frame, column_named(frame, column, path), order), save_as)

    @tool(effect="write", idempotent=True, family="data", says="write {save_as}")
    def aggregate(
        path: ExistingTable,
        group_by: TableColumn,
        column: TableColumn,
        operation: Operation,
        save_as: NewTable,
    ) -> str:
        """Save one row for each group of rows, such as the sum of amounts for each city.

        Args:
            path: the table.
            group_by: the column that makes the groups.
            column: the column with the numbers.
            operation: what to calculate for each group.
            save_as: the table file to write.
        """
        frame = tables.frame(path)
        by, of = column_named(frame, group_by, path), column_named(frame, column, path)
        return save_elsewhere(grouped(frame, by, of, operation), save_as, path)

    @tool(effect="write", idempotent=True, family="data", says="write {save_as}")
    def join_tables(
        left: ExistingTable,
        column: Annotated[str, Column(of="left")],
        right: ExistingTable,
        keep: Keep,
        save_as: NewTable,
    ) -> str:
        """Put the rows of two tables side by side where a column has the same value; save them.

        Args:
            left: the first table.
            column: the column that both tables share, such as an id.
            right: the second table.
            keep: matching keeps rows found in both; all_left keeps every row of the first table.
            save_as: the table file to write.
        """
        first, second = tables.frame(left), tables.frame(right)
        on = column_named(first, column, left)
        other = partner_column(first[on], second, right)
        return save_elsewhere(joined(first, second, (on, other), keep), save_as, left, right)

    @tool(effect="write", idempotent=True, family="data", says="write {save_as}")
    def filter_rows_not_in(
        path: ExistingTable,
        column: TableColumn,
        other: ExistingTable,
        save_as: NewTable,
    ) -> str:
        """Save the rows of a table that are not in another table: customers without orders, say.

        Args:
            path: the table.
            column: the column that both tables share, such as an id.
            other: the table to look in.
            save_as: the table file to write.
        """
        frame, second = tables.frame(path), tables.frame(other)
        on = column_named(frame, column, path)
        there = partner_column(frame[on], second, other)
        return save_elsewhere(unmatched(frame, second, (on, there)), save_as, other)

    @tool(effect="write", idempotent=True, family="data", says="write {save_as}")
    def select_columns(path: ExistingTable, columns: SomeColumns, save_as: NewTable) -> str:
        """Save only some columns of a table, in the given order, as a new table.

        Args:
            path: the table.
            columns: the columns to keep.
            save_as: the table file to write.
        """
        frame = tables.frame(path)
        names = list(dict.fromkeys(column_named(frame, name, path) for name in columns))
        return save(frame.select(names), save_as)

    @tool(effect="write", idempotent=True, family="data", says="write {save_as}")
    def convert_table(path: ExistingTable, save_as: NewTable) -> str:
        """Save a table in another format, chosen by the ending: csv, tsv, jsonl or parquet.

        Args:
            path: the table.
            save_as: the table file to write.
        """
        return save(tables.frame(path), save_as)

    return [
        preview_table,
        column_values,
        count_rows,
        count_mentions,
        find_rows,
        top_rows,
        calculate,
        calculate_groups,
        filter_rows,
        sort_rows,
        aggregate,
        join_tables,
        filter_rows_not_in,
        select_columns,
        convert_table,
    ]
