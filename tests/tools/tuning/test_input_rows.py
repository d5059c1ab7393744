"""Rows to answer: every form, in order, one at a time, with what stands beside the text."""

import tracemalloc
from pathlib import Path

import polars as pl
import pytest

from tests.tools.tuning.files import csv, jsonl, write
from tools.tuning.errors import DataError
from tools.tuning.examples import TextInput, TokenInput
from tools.tuning.input_rows import read_inputs, text_input
from tools.tuning.task import Task

TEXTS = Task("classification", ("a", "b"))
PAIRS = Task("classification", ("a", "b"), pairs=True)
NER = Task("ner", ("PER",))
CHINESE = Task("ner", ("PER",), by_character=True)


def test_keeps_order_lines_and_other_columns(tmp_path: Path) -> None:
    path = csv(tmp_path, [("no", "text"), ("7", '"two\nlines"'), ("8", ""), ("9", "x")])
    found = list(read_inputs(path, TEXTS))
    assert [row.input for row in found] == [
        *(TextInput("two\nlines"), TextInput(""), TextInput("x")),
    ]
    assert [row.line for row in found] == [2, 4, 5]
    assert [row.cells["no"] for row in found] == ["7", "8", "9"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.tsv"])
def test_reads_other_tables(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"id": [1, 2], "review": ["x y", "z"]})
    if name == "a.jsonl":
        frame.write_ndjson(tmp_path / name)
    elif name == "a.parquet":
        frame.write_parquet(tmp_path / name)
    else:
        frame.write_csv(tmp_path / name, separator="\t")
    found = list(read_inputs(tmp_path / name, TEXTS))
    assert [row.input for row in found] == [TextInput("x y"), TextInput("z")]
    assert [str(row.cells["id"]) for row in found] == ["1", "2"]


def test_a_line_of_a_text_file_is_a_row_empty_ones_too(tmp_path: Path) -> None:
    found = list(read_inputs(write(tmp_path, "a.txt", "one, two\n\nthree"), TEXTS))
    assert [row.cells for row in found] == [{"text": "one, two"}, {"text": ""}, {"text": "three"}]
    assert [row.line for row in found] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "text,id\nx,1\n,\n\n  \ny,2\n"),
        ("a.tsv", "text\tid\nx\t1\n\t\n\n  \ny\t2\n"),
        ("one.csv", '\ntext\nx\n""\n\ny\n'),
    ],
)
def test_a_row_of_empty_cells_is_a_row_and_a_blank_line_is_none(
    tmp_path: Path, name: str, text: str
) -> None:
    found = list(read_inputs(write(tmp_path, name, text), TEXTS))
    assert [row.input for row in found] == [TextInput("x"), TextInput(""), TextInput("y")]


def test_the_only_column_is_the_text(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"id": 1, "remark": "x"}])
    assert next(read_inputs(path, TEXTS)).input == TextInput("x")
    assert next(read_inputs(path, TEXTS, "id")).input == TextInput("1")


def test_pairs_need_both_columns(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"premise": "p", "hypothesis": "h"}])
    assert next(read_inputs(path, PAIRS)).input == TextInput("p", "h")
    with pytest.raises(DataError, match="no two columns look like the two texts"):
        next(read_inputs(jsonl(tmp_path, [{"text": "p"}]), PAIRS))


def test_a_tagger_gets_words_with_their_places(tmp_path: Path) -> None:
    row = next(read_inputs(jsonl(tmp_path, [{"text": " Ann's flat"}]), NER))
    assert row.input == TokenInput(("Ann", "'s", "flat"))
    assert [row.text[w.start : w.end] for w in row.words] == ["Ann", "'s", "flat"]
    row = next(read_inputs(jsonl(tmp_path, [{"text": "他在"}]), CHINESE))
    assert row.input == TokenInput(("他", "在"))


def test_a_tagger_takes_tokens_as_they_are(tmp_path: Path) -> None:
    rows = [{"id": "a", "tokens": ["Ann's", "flat"], "text": "other"}]
    row = next(read_inputs(jsonl(tmp_path, rows), NER))
    assert row.input == TokenInput(("Ann's", "flat"))
    assert row.text == "Ann's flat"
    assert [row.text[w.start : w.end] for w in row.words] == ["Ann's", "flat"]
    found = list(read_inputs(write(tmp_path, "a.conll", "Ann B-PER\nmet O\n\nBob\n"), NER))
    assert [row.input for row in found] == [TokenInput(("Ann", "met")), TokenInput(("Bob",))]


def test_a_text_given_by_hand_is_a_row() -> None:
    assert text_input("x", TEXTS).input == TextInput("x")
    assert text_input("Ann met", NER).input == TokenInput(("Ann", "met"))


def test_a_broken_row_is_refused_where_it_stands(tmp_path: Path) -> None:
    path = csv(tmp_path, [("text", "n"), *[("a", "1")] * 500, ("b", "2", "3")])
    found = read_inputs(path, TEXTS)
    assert next(found).input == TextInput("a")
    with pytest.raises(DataError, match=r"data.csv:502: 3 cells, but the header has 2"):
        list(found)
    with pytest.raises(DataError, match=r"data.jsonl:1: the text is a list"):
        next(read_inputs(jsonl(tmp_path, [{"text": []}]), TEXTS))
    with pytest.raises(DataError, match="no column 'said'"):
        next(read_inputs(path, TEXTS, "said"))


def test_a_broken_line_far_down_is_refused_before_the_first_answer(tmp_path: Path) -> None:
    path = csv(tmp_path, [("text", "n"), *[("a", "1")] * 500, ("b\0", "2")])
    with pytest.raises(DataError, match=r"data.csv:502: a NUL byte"):
        read_inputs(path, TEXTS)


def test_a_long_file_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("text,n\n" + f"{'a text of some length ' * 40},1\n" * 8_000)
    tracemalloc.start()
    count = sum(1 for _ in read_inputs(path, TEXTS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 2_000_000
