"""The data tools, called as the loop calls them, over real files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from langchain_core.tools import BaseTool

from tools.base import facts_of
from tools.context import ToolContext
from tools.data import get_tools
from tools.errors import ToolFailed, ToolRetry
from tools.tables import Tables
from tools.workspace import Workspace

ORDERS = """\
id,city,amount,day,note
1,Rome,10.50,2024-01-05,Please REFUND me
2,Paris,1,2024-02-05,
3,rome,n/a,2024-02-06 09:30,thank you
007,Oslo,"1,200",2023-12-31,refunded
5,Oslo,-3,2024/3/1,"line one
line two"
"""
CITIES = "city;country\nRome;Italy\nParis;France\nBerlin;Germany\n"

Call = Callable[..., str]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "orders.csv").write_text(ORDERS)
    (tmp_path / "cities.csv").write_text(CITIES)
    return tmp_path


@pytest.fixture
def tools(workspace: Path) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in get_tools(ToolContext(Workspace(workspace)))}


@pytest.fixture
def call(tools: dict[str, BaseTool]) -> Call:
    def call(name: str, path: str = "orders.csv", **arguments: Any) -> str:
        if name != "join_tables":
            arguments["path"] = path
        result = tools[name].invoke(arguments)
        assert isinstance(result, str)
        return result

    return call


def test_only_tools_that_save_have_an_effect(tools: dict[str, BaseTool]) -> None:
    for tool in tools.values():
        saves = "save_as" in tool.args
        facts = facts_of(tool)
        assert facts.effect == ("write" if saves else "read"), tool.name
        assert facts.idempotent == saves, tool.name
        assert facts.family == "data"


def test_arguments_carry_what_they_are(tools: dict[str, BaseTool]) -> None:
    arguments = tools["filter_rows"].args
    assert list(arguments) == ["path", "column", "comparison", "value", "save_as"]
    assert arguments["path"]["x-ground"]["kind"] == "file"
    assert arguments["column"]["x-ground"] == {"kind": "column", "of": "path"}
    assert arguments["value"]["x-ground"] == {
        "kind": "value",
        "of": "column",
        "beside": "comparison",
        "when": ("equals", "not_equals"),
    }
    assert arguments["save_as"]["x-ground"]["kind"] == "new_file"


def test_preview_shows_size_columns_and_first_rows(call: Call) -> None:
    assert call("preview_table").splitlines()[:3] == [
        "orders.csv: 5 rows, 5 columns.",
        "id | city | amount | day | note",
        "1 | Rome | 10.50 | 2024-01-05 | Please REFUND me",
    ]


def test_a_wide_or_long_table_is_shown_in_part(call: Call, workspace: Path) -> None:
    names = [f"column_{i}" for i in range(1000)]
    row = ",".join(["y" * 500] * 1000)
    (workspace / "wide.csv").write_text(",".join(names) + "\n" + (row + "\n") * 30)
    shown = call("preview_table", "wide.csv")
    assert "30 rows, 1000 columns" in shown
    assert "(25 more rows)" in shown
    assert "(980 more columns: column_20, " in shown
    assert len(shown) < 10_000


def test_lists_values_with_their_counts(call: Call) -> None:
    assert call("column_values", column="city").splitlines()[:3] == [
        "4 different values.",
        "city | rows",
        "Oslo | 2",
    ]
    assert call("column_values", column="note").endswith("1 more row without a value.")


@pytest.mark.parametrize(
    ("column", "comparison", "value", "count"),
    [
        ("city", "equals", "ROME", 2),
        ("city", "equals", " Oslo ", 2),
        ("city", "not_equals", "Oslo", 3),
        ("amount", "equals", "1200", 1),
        ("amount", "equals", "10.5", 1),
        ("id", "equals", "007", 1),
        ("id", "equals", "7", 0),
        ("amount", "equals", "N/A", 1),
        ("note", "contains", "refund", 2),
        ("note", "contains", "two", 1),
        ("note", "not_contains", "refund", 3),
        ("note", "contains", "r.fund", 0),
        ("amount", "greater", "10.5", 1),
        ("amount", "at_least", "10.5", 2),
        ("amount", "less", "1", 1),
        ("amount", "at_most", "$1.00", 2),
        ("day", "before", "2024-01-05", 1),
        ("day", "in_month", "2024-03", 1),
        ("day", "in_month", "2024-03-30", 1),
        ("day", "at_most", "2024-01-05", 2),
        ("day", "after", "2024-02-05", 2),
        ("day", "equals", "2024-02-06", 1),
        ("day", "after", "2024-01", 3),
        ("day", "before", "2024", 1),
        ("day", "equals", "2024-02", 2),
        ("day", "greater", "2024-02-06 09:00", 2),
        ("note", "is_empty", "-", 1),
        ("note", "is_not_empty", "-", 4),
    ],
)
def test_counts_rows_as_text_numbers_and_dates(
    call: Call, column: str, comparison: str, value: str, count: int
) -> None:
    counted = call("count_rows", column=column, comparison=comparison, value=value)
    assert counted == f"{count} of 5 rows"


def test_numbers_of_a_jsonl_file_compare_as_numbers(call: Call, workspace: Path) -> None:
    (workspace / "n.jsonl").write_text('{"n": 9}\n{"n": 10}\n{"n": null}\n{"n": 2.5}\n')
    assert call("count_rows", "n.jsonl", column="n", comparison="less", value="10") == "2 of 4 rows"
    assert call("count_rows", "n.jsonl", column="n", comparison="equals", value="9.0")[0] == "1"


def test_years_in_a_column_of_numbers_compare_as_numbers(call: Call, workspace: Path) -> None:
    (workspace / "y.csv").write_text("year\n1999\n2005\n2010\n")
    counted = call("count_rows", "y.csv", column="year", comparison="before", value="2005")
    assert counted == "1 of 3 rows"


def test_long_ids_that_differ_in_the_last_digit_differ(call: Call, workspace: Path) -> None:
    (workspace / "i.csv").write_text("id\n12345678901234567891\n12345678901234567892\n")
    counted = call(
        "count_rows", "i.csv", column="id", comparison="equals", value="12345678901234567891"
    )
    assert counted == "1 of 2 rows"


def test_composed_and_decomposed_letters_are_the_same(call: Call, workspace: Path) -> None:
    (workspace / "a.csv").write_text("name\nJose\u0301\n", encoding="utf-8")
    counted = call("count_rows", "a.csv", column="name", comparison="contains", value="jos\u00e9")
    assert counted == "1 of 1 rows"


def test_counts_rows_that_mention_a_text_anywhere(call: Call) -> None:
    assert call("count_mentions", text="refund") == "2 of 5 rows"
    assert call("count_mentions", text="2024") == "4 of 5 rows"
    with pytest.raises(ToolRetry, match="empty"):
        call("count_mentions", text=" ")


def test_finds_rows_and_says_how_many(call: Call) -> None:
    found = call("find_rows", column="city", comparison="equals", value="oslo")
    assert found.splitlines()[0] == "2 of 5 rows"
    assert "5 | Oslo | -3 | 2024/3/1 | line one line two" in found


@pytest.mark.parametrize(
    ("column", "order", "ids"),
    [
        ("amount", "largest_first", ["007", "1", "2", "5", "3"]),
        ("amount", "smallest_first", ["5", "2", "1", "007", "3"]),
        ("day", "largest_first", ["5", "3", "2", "1", "007"]),
        ("note", "smallest_first", ["5", "1", "007", "3", "2"]),
    ],
)
def test_sorts_numbers_dates_and_text(
    call: Call, workspace: Path, column: str, order: str, ids: list[str]
) -> None:
    call("sort_rows", column=column, order=order, save_as="out/sorted.csv")
    sorted_ids = pl.read_csv(workspace / "out/sorted.csv", infer_schema=False)["id"].to_list()
    assert sorted_ids == ids
    shown = call("top_rows", column=column, order=order).splitlines()
    assert shown[0].startswith(f"First is id: {ids[0]}, city: ")
    assert [line.split(" | ")[0] for line in shown[2:]] == ids


@pytest.mark.parametrize(
    ("column", "operation", "result"),
    [
        ("amount", "sum", "1208.5"),
        ("amount", "average", "302.125"),
        ("amount", "minimum", "-3"),
        ("amount", "maximum", "1200"),
        ("amount", "median", "5.75"),
        ("note", "count", "4"),
        ("city", "count_unique", "4"),
        ("day", "minimum", "2023-12-31"),
        ("day", "maximum", "2024-03-01"),
    ],
)
def test_calculates_over_a_column(call: Call, column: str, operation: str, result: str) -> None:
    said = call("calculate", column=column, operation=operation)
    assert said.splitlines()[0].partition(" (")[0] == f"{operation} of {column}: {result}"


def test_the_largest_and_the_smallest_come_with_their_row(call: Call) -> None:
    largest = call("calculate", column="amount", operation="maximum").splitlines()[1]
    assert largest.startswith("Its row: ")
    assert "amount: 1,200" in largest
    assert "amount: -3" in call("calculate", column="amount", operation="minimum")
    assert "row" not in call("calculate", column="amount", operation="sum")


def test_says_which_cells_were_no_numbers(call: Call) -> None:
    said = call("calculate", column="amount", operation="sum")
    assert said.endswith("(left out, since not a number: 1 cell, like 'n/a')")


def test_sums_do_not_show_binary_fractions(call: Call, workspace: Path) -> None:
    (workspace / "f.csv").write_text("x\n0.1\n0.2\n")
    assert call("calculate", "f.csv", column="x", operation="sum") == "sum of x: 0.3"


def test_calculates_for_each_group(call: Call, workspace: Path) -> None:
    by_city = {"group_by": "city", "column": "amount", "operation": "sum"}
    assert call("calculate_groups", **by_city).splitlines() == [
        "city | sum_amount",
        "Oslo | 1197",
        "Paris | 1",
        "Rome | 10.5",
        "rome | ",
    ]
    call("aggregate", **by_city, save_as="out/sums.csv")
    saved = (workspace / "out/sums.csv").read_text()
    assert saved == "city,sum_amount\nOslo,1197\nParis,1\nRome,10.5\nrome,\n"


def test_groups_may_be_of_the_column_itself(call: Call) -> None:
    counted = call("calculate_groups", group_by="city", column="city", operation="count")
    assert counted.splitlines()[:2] == ["city | count_city", "Oslo | 2"]


def test_saves_the_rows_that_match_as_they_were(call: Call, workspace: Path) -> None:
    said = call(
        "filter_rows", column="city", comparison="equals", value="oslo", save_as="out/oslo.csv"
    )
    assert said.startswith("Wrote 2 rows, 5 columns to out/oslo.csv.")
    assert (workspace / "out/oslo.csv").read_text() == (
        'id,city,amount,day,note\n007,Oslo,"1,200",2023-12-31,refunded\n'
        '5,Oslo,-3,2024/3/1,"line one\nline two"\n'
    )
    assert (workspace / "orders.csv").read_text() == ORDERS


def test_a_filter_that_matches_nothing_saves_nothing_and_shows_the_values(
    call: Call, workspace: Path
) -> None:
    with pytest.raises(ToolRetry, match=r"(?s)no row matches.*Oslo \| 2"):
        call("filter_rows", column="city", comparison="equals", value="Roma", save_as="a.csv")
    assert not (workspace / "a.csv").exists()


def join(call: Call, **changed: str) -> str:
    arguments = {
        "left": "orders.csv",
        "column": "city",
        "right": "cities.csv",
        "keep": "matching",
        "save_as": "joined.csv",
    }
    return call("join_tables", **{**arguments, **changed})


@pytest.mark.parametrize(
    ("keep", "rows"),
    [
        ("matching", ["1,Rome,Italy", "2,Paris,France"]),
        ("all_left", ["1,Rome,Italy", "2,Paris,France", "3,rome,", "007,Oslo,", "5,Oslo,"]),
    ],
)
def test_joins_two_tables(call: Call, workspace: Path, keep: str, rows: list[str]) -> None:
    join(call, keep=keep)
    names = ["id", "city", "country"][: len(rows[0].split(","))]
    call("select_columns", "joined.csv", columns=names, save_as="few.csv")
    assert (workspace / "few.csv").read_text().splitlines()[1:] == rows


def test_finds_the_rows_that_another_table_lacks(call: Call, workspace: Path) -> None:
    call("filter_rows_not_in", column="city", other="cities.csv", save_as="rest.csv")
    call("select_columns", "rest.csv", columns=["id", "city"], save_as="rest.csv")
    assert (workspace / "rest.csv").read_text() == "id,city\n3,rome\n007,Oslo\n5,Oslo\n"
    (workspace / "towns.csv").write_text("town\nrome\nOslo\n\n")
    call(
        "filter_rows_not_in",
        "rest.csv",
        column="city",
        other="towns.csv",
        save_as="rest.csv",
    )
    assert (workspace / "rest.csv").read_text() == "id,city\n"


def test_joins_numbers_however_they_are_written(call: Call, workspace: Path) -> None:
    (workspace / "a.jsonl").write_text('{"key": 1, "x": "one"}\n{"key": 2.0, "x": "two"}\n')
    (workspace / "b.csv").write_text("key,x\n1.0,eins\n2,zwei\n,leer\n")
    join(call, left="a.jsonl", column="key", right="b.csv")
    assert (workspace / "joined.csv").read_text() == "key,x,x_right\n1,one,eins\n2,two,zwei\n"


def test_joins_columns_of_different_names(call: Call, workspace: Path) -> None:
    (workspace / "towns.csv").write_text("id,town,size\n1,Rome,3\n2,Oslo,1\n")
    join(call, right="towns.csv")
    assert (workspace / "joined.csv").read_text().splitlines()[0] == (
        "id,city,amount,day,note,id_right,size"
    )


def test_a_join_without_a_match_shows_what_could_be_joined(call: Call, workspace: Path) -> None:
    (workspace / "other.csv").write_text("city,id\nLima,1\n")
    with pytest.raises(
        ToolRetry, match=r"'city' looks like Rome.*'city' like Lima. Both tables have: id, city"
    ):
        join(call, right="other.csv")
    (workspace / "rivers.csv").write_text("river\nPo\n")
    with pytest.raises(ToolRetry, match="no column 'city', and none of its columns holds values"):
        join(call, right="rivers.csv")
    assert not (workspace / "joined.csv").exists()


def test_a_filter_of_dates_that_finds_nothing_says_how_to_take_a_month(call: Call) -> None:
    with pytest.raises(ToolRetry, match="day runs from .* to .*in_month 2024-03 takes . row"):
        call("filter_rows", column="day", comparison="after", value="2024-03", save_as="x.csv")


def test_a_join_that_would_explode_is_refused(call: Call, workspace: Path) -> None:
    (workspace / "many.csv").write_text("x\n" + "same\n" * 3000)
    with pytest.raises(ToolRetry, match="would make 9000000 rows"):
        join(call, left="many.csv", column="x", right="many.csv")


def test_converts_to_every_format(call: Call, workspace: Path) -> None:
    call("convert_table", save_as="o.jsonl")
    call("convert_table", "o.jsonl", save_as="o.parquet")
    call("convert_table", "o.parquet", save_as="o.tsv")
    assert (
        call("preview_table", "o.tsv").splitlines()[1:] == (call("preview_table").splitlines()[1:])
    )


def test_selects_columns_in_the_order_asked_for(call: Call, workspace: Path) -> None:
    call("select_columns", columns=["city", "ID"], save_as="few.csv")
    assert (workspace / "few.csv").read_text().splitlines()[:2] == ["city,id", "Rome,1"]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("count_rows", {"column": "town"}, "no column 'town'; its columns are .*city"),
        ("count_rows", {"comparison": "greater", "value": "Rome"}, "a number or a date"),
        ("count_rows", {"comparison": "less", "value": "5"}, "holds no numbers.*Rome, Paris"),
        ("calculate", {"operation": "sum"}, "holds no numbers.*columns with numbers: id, amount"),
        ("convert_table", {"save_as": "o.txt"}, "must end with .csv, .tsv, .jsonl, .parquet"),
        ("aggregate", {"save_as": "orders.csv"}, "save under another name"),
        ("convert_table", {"save_as": "../o.csv"}, "o.csv"),
        ("convert_table", {"path": "none.csv", "save_as": "o.csv"}, "none.csv"),
    ],
)
def test_a_wrong_call_is_told_what_a_right_one_looks_like(
    tools: dict[str, BaseTool], workspace: Path, name: str, arguments: dict[str, str], said: str
) -> None:
    usual = {
        "path": "orders.csv",
        "column": "city",
        "group_by": "city",
        "comparison": "equals",
        "value": "Rome",
        "operation": "count",
    }
    known = {key: value for key, value in usual.items() if key in tools[name].args}
    with pytest.raises(ToolRetry, match=said):
        tools[name].invoke({**known, **arguments})
    assert sorted(path.name for path in workspace.iterdir()) == ["cities.csv", "orders.csv"]


def test_a_list_of_many_columns_is_cut(call: Call, workspace: Path) -> None:
    (workspace / "wide.csv").write_text(",".join(f"column_{i}" for i in range(1000)) + "\n")
    with pytest.raises(ToolRetry) as refused:
        call("column_values", "wide.csv", column="column_10000")
    assert "column_1000," not in str(refused.value)
    assert "column_100" in str(refused.value)
    assert str(refused.value).endswith("and 970 more")


def test_a_broken_table_is_not_to_be_tried_again(call: Call, workspace: Path) -> None:
    (workspace / "bad.csv").write_text("a,b\n1,2,3\n")
    with pytest.raises(ToolFailed, match=r"bad\.csv line 2: 3 cells"):
        call("preview_table", "bad.csv")


def test_what_a_column_holds_is_seen(workspace: Path) -> None:
    (workspace / "more.csv").write_text("number,mixed,empty\n1,1,\n2.5,two,\n")
    tables = Tables(Workspace(workspace))
    kinds = [tables.kind("orders.csv", "city"), tables.kind("orders.csv", "day")]
    kinds += [tables.kind("more.csv", name) for name in ("number", "mixed", "empty", "nothing")]
    assert kinds == ["text", "date", "number", "mixed", "mixed", "mixed"]
