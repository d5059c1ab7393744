"""Tables: what is read, from whatever program wrote it, and what a broken file is told."""

import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.errors import ToolFailed, WorkspaceError
from tools.table_files import CELL_LIMIT, parse_table, table_bytes
from tools.tables import Tables
from tools.workspace import Workspace

CITIES: list[tuple[str, ...]] = [("name", "city"), ("José", "Málaga"), ("Jürgen", "Köln")]
SHOPS: list[tuple[str, ...]] = [
    ("日期", "门店", "金额"),
    ("2024-01-02", "上海", "35"),
    ("2024-01-03", "北京", "40"),
]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(Workspace(tmp_path))


def rows_of(frame: pl.DataFrame) -> list[tuple[str, ...]]:
    return [tuple(frame.columns), *frame.rows()]


def csv_text(rows: list[tuple[str, ...]]) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


def read(data: bytes, name: str = "t.csv") -> pl.DataFrame:
    return parse_table(name, data)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_reads_western_text_in_any_encoding(encoding: str) -> None:
    assert rows_of(read(csv_text(CITIES).encode(encoding))) == CITIES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_reads_chinese_text_in_any_encoding(encoding: str) -> None:
    assert rows_of(read(csv_text(SHOPS).encode(encoding))) == SHOPS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_reads_any_line_ending(end: str) -> None:
    text = csv_text(CITIES).replace("\n", end)
    assert rows_of(read(text.encode())) == CITIES


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_finds_the_delimiter(delimiter: str) -> None:
    text = csv_text(CITIES).replace(",", delimiter)
    assert rows_of(read(text.encode())) == CITIES


def test_a_delimiter_inside_a_name_or_a_cell_does_not_count() -> None:
    data = b'id,size (S|M|L|XL),"note; or; more; words"\n1,S,"a; b"\n2,M|L,c\n'
    assert read(data).columns == ["id", "size (S|M|L|XL)", "note; or; more; words"]


def test_cells_stay_as_they_are_written() -> None:
    frame = read(b"code,price,flag\n007,1.50,true\n 8 ,1e3,NA\n")
    assert frame.rows() == [("007", "1.50", "true"), (" 8 ", "1e3", "NA")]


def test_quoted_cells_may_hold_anything() -> None:
    frame = read(b'a,"the ""b"""\r\n"x,\r\ny","he said ""hi"""\r\n5" disc,z\r\n')
    assert rows_of(frame) == [("a", 'the "b"'), ("x,\r\ny", 'he said "hi"'), ('5" disc', "z")]


def test_blank_lines_are_skipped_and_short_rows_filled() -> None:
    assert read(b"\n\na,b\n1,2\n\n3\n\n").rows() == [("1", "2"), ("3", None)]


def test_a_column_without_a_name_gets_one() -> None:
    assert read(b",b, c \n1,2,3\n").columns == ["column_1", "b", "c"]


def test_a_header_alone_is_a_table_without_rows() -> None:
    assert read(b"a,b").shape == (0, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "t.csv is empty"),
        (b" \n\n", "t.csv is empty"),
        (b"\xef\xbb\xbf", "t.csv is empty"),
        (b"a,b\n1,2\n3,4\n5,6,7\n", "t.csv line 4: 3 cells, but the header has 2 columns"),
        (b'a,b\n"x\ny",2\n5,6,7\n', "t.csv line 4: 3 cells, but the header has 2 columns"),
        (b"id,amount,note,amount\n", "line 1: columns 2 and 4 are both named 'amount'"),
        (b'a,b\n1,2\n3,"open\n4,5\n', "t.csv line 3: a quote is opened and never closed"),
        (b'a,b\n1,2\n"3"x,4\n', "t.csv line 3: text follows a closing quote"),
        (b"\x89PNG\r\n\x1a\n\x00\x01\x02", "t.csv is not a text file"),
    ],
)
def test_a_broken_csv_is_refused_with_its_line(data: bytes, said: str) -> None:
    with pytest.raises(ToolFailed) as refused:
        read(data)
    assert said in str(refused.value)


def test_a_huge_cell_is_refused_with_its_row() -> None:
    data = b"a,b\n1,2\n3," + b"x" * (CELL_LIMIT + 1) + b"\n"
    with pytest.raises(ToolFailed, match=r"t\.csv row 2, column 'b': a cell of 1000001 bytes"):
        read(data)
    assert read(data[:-2]).height == 2


def test_reads_jsonl_with_numbers_text_and_nested_values() -> None:
    first = b'{"n": 1, "t": "x", "f": 1}'
    second = b'{"n": 2, "t": {"a": [1]}, "f": 0.5, "b": true}'
    frame = read(b"\xef\xbb\xbf" + first + b"\r\n\r\n" + second + b"\n", "t.jsonl")
    assert rows_of(frame) == [
        ("n", "t", "f", "b"),
        (1, "x", 1.0, None),
        (2, '{"a": [1]}', 0.5, True),
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "t.jsonl is empty"),
        (b'{"a": 1}\n{"a": \n', "t.jsonl line 2: not JSON"),
        (b'{"a": 1}\n[1, 2]\n', "t.jsonl line 2: a list, not an object"),
        (b'{"a": NaN}\n', "t.jsonl line 1: not JSON (NaN is not a JSON number)"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "t.jsonl line 1: not JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", "t.jsonl line 1: not JSON"),
        (b"{}\n", "t.jsonl has no columns"),
    ],
)
def test_broken_jsonl_is_refused_with_its_line(data: bytes, said: str) -> None:
    with pytest.raises(ToolFailed) as refused:
        read(data, "t.jsonl")
    assert said in str(refused.value)


def test_large_integers_lose_no_digit() -> None:
    frame = read(b'{"id": 12345678901234567891}\n{"id": 12345678901234567892}\n', "t.jsonl")
    assert frame["id"].to_list() == ["12345678901234567891", "12345678901234567892"]


def test_reads_parquet_and_refuses_what_is_none(tmp_path: Path) -> None:
    nested = pl.DataFrame({"id": [1, 2], "tags": [["a"], ["b", "c"]]})
    nested.write_parquet(tmp_path / "t.parquet")
    data = (tmp_path / "t.parquet").read_bytes()
    assert read(data, "t.parquet").rows() == [(1, '["a"]'), (2, '["b", "c"]')]
    for broken in (data[: len(data) // 2], b"PAR1" + b"\x00" * 64 + b"PAR1", b"a,b\n1,2\n"):
        with pytest.raises(ToolFailed, match=r"t\.parquet is not a readable Parquet file"):
            read(broken, "t.parquet")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_what_is_written_reads_back_the_same(suffix: str) -> None:
    frame = read(b'code,n,x,day,text\n007,12,1.5,2024-01-02,"a, ""b""\nc"\nA1,-3,2,2024-02-03,\n')
    again = read(table_bytes(f"t.{suffix}", frame), f"t.{suffix}")
    assert read(table_bytes("t.csv", again)).rows()[0][:4] == ("007", "12", "1.5", "2024-01-02")
    assert again["text"].to_list() == ['a, "b"\nc', None]


def test_numbers_and_days_are_written_as_what_they_are() -> None:
    frame = read(b"code,n,x,day\n007,12,1.5,2024-01-02\n008,3,2,2024-01-03\n")
    line = table_bytes("t.jsonl", frame).splitlines()[0]
    assert line == b'{"code":"007","n":12,"x":1.5,"day":"2024-01-02"}'
    parquet = read(table_bytes("t.parquet", frame), "t.parquet")
    assert parquet.dtypes == [pl.String, pl.Int64, pl.Float64, pl.Date]


# A name that holds a delimiter may be two names: a table of one column cannot tell.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0,;\t|"), max_size=8)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@st.composite
def text_tables(draw: st.DrawFn) -> pl.DataFrame:
    names = draw(st.lists(NAMES.map(str.strip).filter(bool), min_size=1, max_size=4, unique=True))
    row = st.lists(CELLS, min_size=len(names), max_size=len(names)).filter(any)
    rows = draw(st.lists(row, min_size=1, max_size=6))
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


@pytest.mark.stress("tables")
@given(frame=text_tables(), suffix=st.sampled_from(["csv", "tsv"]))
def test_any_text_survives_writing_and_reading(frame: pl.DataFrame, suffix: str) -> None:
    again = read(table_bytes(f"t.{suffix}", frame), f"t.{suffix}")
    assert again.with_columns(pl.all().fill_null("")).equals(frame)


@pytest.mark.stress("tables")
@given(
    seed=st.sampled_from(
        [
            b'a,b,c\n1,"x, y",3\n4,"q ""w""\nz",6\n',
            b'{"a": 1, "b": [1, 2]}\n{"a": null, "b": "x"}\n',
            csv_text(SHOPS).encode("gb18030"),
            csv_text(CITIES).encode("utf-16"),
            table_bytes("t.parquet", pl.DataFrame({"a": [1, 2], "b": ["x", None]})),
        ]
    ),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=3)), max_size=4),
    suffix=st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
)
def test_a_damaged_file_is_a_table_or_a_clear_error(
    seed: bytes, cuts: list[tuple[float, int, bytes]], suffix: str
) -> None:
    data = bytearray(seed)
    for place, length, new in cuts:
        at = int(place * len(data))
        data[at : at + length] = new
    try:
        frame, said = read(bytes(data), f"t.{suffix}"), ""
    except ToolFailed as refused:
        frame, said = pl.DataFrame({"none": []}), str(refused)
    assert not said or said.startswith(f"t.{suffix} ")
    assert len(said) < 400
    assert frame.columns
    assert table_bytes("t.jsonl", frame) or not frame.height


def test_gives_columns_rows_and_values(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,state\n1,open\n2,\n3,closed\n4,open\n")
    assert tables.columns("t.csv") == ["id", "state"]
    assert tables.rows("t.csv") == 4
    assert tables.values("t.csv", "state") == ["open", "closed"]
    assert tables.values("t.csv", "id", limit=3) is None
    assert tables.values("t.csv", "nothing") == []


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(
    tables: Tables, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    first = tables.frame("t.csv")
    assert tables.frame("t.csv") is first
    tables._workspace.write_bytes("t.csv", b"a\n2\n")
    assert tables.frame("t.csv").rows() == [("2",)]


def test_a_missing_table_is_the_workspaces_error(tables: Tables) -> None:
    with pytest.raises(WorkspaceError):
        tables.frame("none.csv")


def test_a_table_of_1000_columns_is_fast(tables: Tables, tmp_path: Path) -> None:
    header = ",".join(f"column_{i}" for i in range(1000))
    row = ",".join(str(i % 7) for i in range(1000))
    (tmp_path / "wide.csv").write_text(header + "\n" + (row + "\n") * 1000)
    start = time.perf_counter()
    columns = tables.columns("wide.csv")
    assert all(tables.values("wide.csv", name) for name in columns)
    # About 0.4 s on two slow cores; each column read anew would take minutes.
    assert time.perf_counter() - start < 10
