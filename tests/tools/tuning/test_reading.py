"""Reading labelled texts: every usual form gives the same examples, with their lines."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.tools.tuning.files import REVIEWS, csv, jsonl, reviews, write
from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, TextExample
from tools.tuning.reading import read_dataset


def read(path: Path, **options: str) -> Dataset:
    return read_dataset(path, "classification", **options)  # type: ignore[arg-type]


def pairs(data: Dataset) -> list[tuple[str, str]]:
    return [(e.input.text, e.labels[0]) for e in data.examples if isinstance(e, TextExample)]


def lines(data: Dataset) -> list[int]:
    return [example.line for example in data.examples]


def test_reads_csv_with_lines_that_count_breaks_inside_quotes(tmp_path: Path) -> None:
    text = 'id,text,label\n1,"two\nlines, one text",good\n\n2,short,bad\n3,x,bad\n4,y,good\n'
    data = read(write(tmp_path, "a.csv", text))
    assert pairs(data)[0] == ("two\nlines, one text", "good")
    assert lines(data) == [2, 5, 6, 7]
    assert data.task.labels == ("bad", "good")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_reads_any_one_encoding_and_line_end(tmp_path: Path, encoding: str, end: str) -> None:
    text = "text;label\ncafé crème;naïf\nMüller für alle;naïf\nwhy;no\nhow;no\n"
    data = read(write(tmp_path, "a.csv", text.replace("\n", end).encode(encoding)))
    assert pairs(data)[:2] == [("café crème", "naïf"), ("Müller für alle", "naïf")]
    assert lines(data) == [2, 3, 4, 5]


def test_reads_chinese_in_gb18030(tmp_path: Path) -> None:
    rows = "内容,标签\n" + "".join(
        f"物流很快东西很好{i},好评\n质量太差了{i},差评\n" for i in range(20)
    )
    data = read(write(tmp_path, "a.csv", rows.encode("gb18030")))
    assert pairs(data)[:2] == [("物流很快东西很好0", "好评"), ("质量太差了0", "差评")]


def test_reads_tsv_whose_texts_begin_with_a_quote(tmp_path: Path) -> None:
    text = 'sentence\tlabel\n"Great" it said\t1\n"a ""b"" c"\t0\n" open\t1\nx\t0\n'
    data = read(write(tmp_path, "a.tsv", text))
    assert pairs(data) == [('"Great" it said', "1"), ('a "b" c', "0"), ('" open', "1"), ("x", "0")]


def test_reads_jsonl_and_parquet_alike(tmp_path: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in REVIEWS]
    from_jsonl = read(jsonl(tmp_path, rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    from_parquet = read(tmp_path / "a.parquet")
    assert pairs(from_jsonl) == pairs(from_parquet) == REVIEWS
    assert lines(from_jsonl) == lines(from_parquet) == [1, 2, 3, 4]


def test_reads_the_names_that_a_hub_parquet_has_for_numbers(tmp_path: Path) -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    frame = pl.DataFrame({"text": list("abcd"), "label": [0, 1, 1, 0]})
    hint = json.dumps({"info": {"features": features}})
    frame.write_parquet(tmp_path / "a.parquet", metadata={"huggingface": hint})
    assert pairs(read(tmp_path / "a.parquet")) == [
        *(("a", "neg"), ("b", "pos"), ("c", "pos"), ("d", "neg")),
    ]


def test_numbers_and_truth_values_are_labels_too(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path, [{"text": c, "label": v} for c, v in zip("abcd", [1, 2.0, 2, 1.5], strict=True)]
    )
    assert read(path).task.labels == ("1", "1.5", "2")
    path = jsonl(
        tmp_path, [{"text": c, "label": v} for c, v in zip("abcd", [True, False] * 2, strict=True)]
    )
    assert read(path).task.labels == ("false", "true")


def test_labels_that_unicode_means_alike_are_one(tmp_path: Path) -> None:
    labels = ["caf\u00e9", "cafe\u0301 ", "thé", "thé"]
    path = jsonl(tmp_path, [{"text": c, "label": v} for c, v in zip("abcd", labels, strict=True)])
    assert read(path).task.labels == ("caf\u00e9", "thé")


@pytest.mark.parametrize("separator", ["|", ";"])
def test_cells_with_several_labels_make_a_multi_label_task(tmp_path: Path, separator: str) -> None:
    cells = ["red", f"red{separator}blue", "", "blue"]
    path = csv(tmp_path, [("text", "labels"), *zip("abcd", cells, strict=True)])
    data = read(path)
    assert data.task.multi_label
    assert data.task.labels == ("blue", "red")
    assert [e.labels for e in data.examples] == [("red",), ("blue", "red"), (), ("blue",)]  # type: ignore[union-attr]


def test_lists_make_a_multi_label_task_and_lists_of_one_do_not(tmp_path: Path) -> None:
    many = [
        {"text": c, "labels": v}
        for c, v in zip("abcd", [["x"], ["x", "y"], [], ["y", "y"]], strict=True)
    ]
    data = read(jsonl(tmp_path, many))
    assert data.task.multi_label
    assert data.examples[3].labels == ("y",)  # type: ignore[union-attr]
    one = [{"text": c, "labels": [v]} for c, v in zip("abcd", "xxyy", strict=True)]
    assert not read(jsonl(tmp_path, one)).task.multi_label


def test_a_separator_inside_one_label_cuts_nothing(tmp_path: Path) -> None:
    rows = [("text", "label"), ("a", "x;y"), ("b", "z"), ("c", "z"), ("d", "x;y")]
    data = read(csv(tmp_path, rows))
    assert not data.task.multi_label
    assert data.task.labels == ("x;y", "z")


def test_two_usual_columns_make_pairs(tmp_path: Path) -> None:
    rows = [
        {"premise": f"p{i}", "hypothesis": f"h{i}", "label": "yes" if i % 2 else "no"}
        for i in range(4)
    ]
    data = read(jsonl(tmp_path, rows))
    assert data.task.pairs
    assert data.examples[1].input.pair == "h1"  # type: ignore[union-attr]


def test_named_columns_go_before_usual_ones(tmp_path: Path) -> None:
    rows = [
        {"text": "x", "said": f"s{i}", "reply": f"r{i}", "label": "x", "mood": "ab"[i % 2]}
        for i in range(4)
    ]
    path = jsonl(tmp_path, rows)
    data = read(path, text_column="said", label_column="mood", pair_column="reply")
    assert data.task.labels == ("a", "b")
    assert data.examples[0].input.text == "s0"  # type: ignore[union-attr]
    assert data.examples[0].input.pair == "r0"  # type: ignore[union-attr]


def test_the_only_column_beside_the_label_is_the_text(tmp_path: Path) -> None:
    rows = [{"id": i, "remark": f"r{i}", "label": "ab"[i % 2]} for i in range(4)]
    assert read(jsonl(tmp_path, rows)).examples[2].input.text == "r2"  # type: ignore[union-attr]


def test_a_missing_column_is_told_what_there_is(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"one": "a", "two": "b"}] * 4)
    with pytest.raises(DataError, match=r"name it with --text-column, there are: 'one', 'two'"):
        read(path)
    with pytest.raises(DataError, match=r"no column 'mood'; there are: 'text', 'label'"):
        read(jsonl(tmp_path, reviews()), label_column="mood")


def test_a_file_without_a_header_is_not_read_as_if_it_had_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column looks like the text"):
        read(csv(tmp_path, REVIEWS))


def test_rows_without_text_are_left_out_and_listed(tmp_path: Path) -> None:
    rows = [*reviews(4), {"text": "  ", "label": "good"}, {"label": "bad"}]
    data = read(jsonl(tmp_path, rows))
    assert len(data) == 4
    assert data.empty_lines == (5, 6)


def test_a_second_file_keeps_to_the_task_of_the_first(tmp_path: Path) -> None:
    train = read(jsonl(tmp_path, reviews()))
    path = jsonl(tmp_path, [{"text": "only one", "label": "good"}], "dev.jsonl")
    dev = read_dataset(path, "classification", task=train.task)
    assert dev.task is train.task
    assert len(dev) == 1


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    import hashlib

    path = jsonl(tmp_path, reviews())
    assert read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
