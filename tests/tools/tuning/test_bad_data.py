"""Data that cannot be used: one line that says the file, the line and the way out."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.long_list import in_full
from tests.tools.tuning.files import csv, jsonl, reviews, write
from tools.tuning.data_report import report
from tools.tuning.errors import DataError
from tools.tuning.examples import TextExample
from tools.tuning.reading import read_dataset
from tools.tuning.task import TaskKind
from tools.tuning.text_file import LINE_BYTES

GOOD = "text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in reviews(6))


def texts(content: str | bytes, name: str = "d.csv") -> Callable[[Path], Path]:
    return lambda folder: write(folder, name, content)


def rows(*found: dict[str, Any]) -> Callable[[Path], Path]:
    return lambda folder: jsonl(folder, found, "d.jsonl")


def tagged(*found: dict[str, Any]) -> Callable[[Path], Path]:
    """After four good sentences, so that the bad row stands in line 5."""
    good = [{"tokens": [f"t{i}"], "tags": ["B-X"]} for i in range(4)]
    return lambda folder: jsonl(folder, [*good, *found], "d.jsonl")


def spans(text: str, *entities: object) -> Callable[[Path], Path]:
    good = [{"text": f"text {i}", "entities": [[0, 4, "X"]]} for i in range(4)]
    return lambda folder: jsonl(
        folder, [*good, {"text": text, "entities": list(entities)}], "d.jsonl"
    )


CLASSIFICATION = {
    "no rows": (texts("text,label\n"), "d.csv:1: no rows"),
    "nothing": (texts(""), "d.csv:1: no rows"),
    "one class": (
        rows(*[{**r, "label": "x"} for r in reviews(9)]),
        "jsonl:1: all 9 rows have the label 'x'",
    ),
    "one example": (rows(*reviews(1)), "jsonl:1: one example is too few"),
    "two texts": (rows(*reviews(2)), "2 different texts are too few"),
    "all duplicates": (
        rows(*[{"text": "Same ", "label": "ab"[i % 2]} for i in range(8)]),
        "jsonl:1: all 8 rows hold the same text",
    ),
    "no label": (rows(*reviews(6), {"text": "what is this"}), "jsonl:7: no label"),
    "empty label": (texts(GOOD + "and this,\n"), "d.csv:8: no label"),
    "ids as labels": (
        rows(*[{"text": f"t{i}", "label": i} for i in range(30)]),
        "30 different labels in 30 rows",
    ),
    "a text as label": (
        rows(*reviews(6), {"text": "x", "label": "y" * 300}),
        "jsonl:7: a label of 300",
    ),
    "an object as text": (
        rows(*reviews(6), {"text": {}, "label": "bad"}),
        "jsonl:7: the text is a dict",
    ),
    "an object as label": (
        rows(*reviews(6), {"text": "x", "label": {}}),
        "jsonl:7: the label is a dict",
    ),
    "a longer row": (texts(GOOD + "what, ever,bad\n"), "d.csv:8: 3 cells, but the header has 2"),
    "a shorter row": (texts(GOOD + "a line\nbreak,bad\n"), "d.csv:8: 1 cell, but the header has 2"),
    "an open quote": (texts(GOOD + '"open,bad\n' + GOOD), "d.csv:8: a quote is opened here"),
    "text after a quote": (texts(GOOD + '"Fine" film,good\n'), "d.csv:8: text follows a closing"),
    "a NUL": (texts(GOOD + "zero\0,bad\n"), "d.csv:8: a NUL byte"),
    "a NUL in a wide file": (
        texts((GOOD + "zero\0,bad\n").encode("utf-16")),
        "d.csv:8: a NUL byte",
    ),
    "a binary file": (texts(random.Random(0).randbytes(5000), "d.jsonl"), r"jsonl:\d+: "),
    "two encodings": (
        texts((GOOD + "José,good\nJürgen,good\n").encode() + "señor,bad\n".encode("cp1252")),
        r"d.csv:10: not in the encoding of the rest of the file \(UTF-8\)",
    ),
    "mostly another encoding": (
        texts((GOOD + "señor,bad\nGarçon,bad\n").encode("cp1252") + "José,good\n".encode()),
        r"d.csv:10: not in the encoding of the rest of the file \(cp125",
    ),
    "one column twice": (texts("text,text,label\na,b,c\n"), "d.csv:1: columns 1 and 2 are both"),
    "not JSON": (texts('{"text": "a", "label": "b"}\n{"text": \n', "d.jsonl"), "jsonl:2: not JSON"),
    "deep JSON": (texts('{"text": ' + "[" * 100_000 + "\n", "d.jsonl"), "jsonl:1: not JSON"),
    "NaN": (texts('{"text": "a", "label": NaN}\n', "d.jsonl"), "jsonl:1: not JSON"),
    "no object": (texts('["a", "b"]\n', "d.jsonl"), "jsonl:1: a list, not an object"),
    "half a character": (
        texts(r'{"text": "\ud83d", "label": "x"}' + "\n", "d.jsonl"),
        "jsonl:1: half of",
    ),
    "no table": (texts("PAR1", "d.parquet"), "d.parquet:1: not a readable Parquet file"),
    "another format": (texts("x", "d.xlsx"), "a file of type '.xlsx' has no rows"),
}
NER = {
    "no entity": (
        rows(*[{"tokens": [f"t{i}"], "tags": ["O"]} for i in range(5)]),
        "jsonl:1: every tag",
    ),
    "fewer tags": (tagged({"tokens": ["a", "b"], "tags": ["O"]}), "jsonl:5: 2 tokens but 1 tags"),
    "more tags": (tagged({"tokens": ["a"], "tags": ["O", "O"]}), "jsonl:5: 1 tokens but 2 tags"),
    "no tags": (tagged({"tokens": ["a"]}), "jsonl:5: 1 tokens but 0 tags"),
    "an empty token": (
        tagged({"tokens": ["a", ""], "tags": ["O", "O"]}),
        "jsonl:5: token 2 is empty",
    ),
    "tokens that are none": (
        tagged({"tokens": [{}], "tags": ["O"]}),
        "jsonl:5: the tokens are not",
    ),
    "illegal BIO": (
        tagged({"tokens": ["a", "b"], "tags": ["O", "I-X"]}),
        r"jsonl:5: token 2 \('b'\): 'I-X' cannot stand after 'O' in BIO; .* begins with 'B-X'",
    ),
    "illegal BIO in columns": (
        texts("a B-X\nb O\nc I-X\n", "d.conll"),
        r"d.conll:3: token 3 \('c'\): 'I-X' cannot stand after 'O'",
    ),
    "illegal BIOES": (
        texts("a S-X\n\nb B-X\nc O\n", "d.conll"),
        r"d.conll:4: token 2 \('c'\): 'O' cannot stand after 'B-X' in BIOES",
    ),
    "a broken tag": (texts("a B-X\nb PER\n", "d.conll"), "d.conll:2: 'PER' is no tag"),
    "a token without a tag": (texts("a B-X\nb\n", "d.conll"), "d.conll:2: 'b' has no tag"),
    "a ragged line": (
        texts("a N B-X\nb O\n", "d.conll"),
        "d.conll:2: 2 columns, but the lines before have 3",
    ),
    "a tag without a token": (
        texts("a\tB-X\n\tO\n", "d.conll"),
        "d.conll:2: a tag without a token",
    ),
    "a span outside": (
        spans("short", [0, 9, "X"]),
        "jsonl:5: X from 0 to 9 does not lie in a text of 5",
    ),
    "a span backwards": (spans("short", [3, 1, "X"]), "jsonl:5: X from 3 to 1"),
    "a span of spaces": (spans("a   b", [1, 3, "X"]), "jsonl:5: X from 1 to 3 holds no word"),
    "a span of another text": (
        spans("Ann Lee", {"start": 0, "end": 3, "label": "X", "text": "Lee"}),
        "jsonl:5: X from 0 to 3 is 'Ann' in the text, not 'Lee'",
    ),
    "no span": (spans("short", ["X"]), "jsonl:5: .* is no entity"),
    "neither tags nor spans": (
        rows({"text": "a", "label": "b"}),
        "no column holds tags like 'B-PER'",
    ),
}


def check(kind: TaskKind, make: Callable[[Path], Path], said: str, folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_dataset(make(folder), kind)
    assert re.search(said, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(folder) in caught.value.path


@pytest.mark.parametrize("case", CLASSIFICATION)
def test_bad_texts_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    check("classification", *CLASSIFICATION[case], tmp_path)


@pytest.mark.parametrize("case", NER)
def test_bad_tags_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    check("ner", *NER[case], tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none.csv: cannot be read: No such file"):
        read_dataset(tmp_path / "none.csv", "classification")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_dataset(tmp_path, "classification")


@pytest.mark.stress("huge-lines")
@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.conll"])
def test_a_huge_line_is_refused_without_being_read(tmp_path: Path, name: str) -> None:
    size = 100_000_000 if in_full() else 3 * LINE_BYTES
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"text,label\n")
        for _ in range(size // (1 << 20)):
            file.write(b"a" * (1 << 20))
    with pytest.raises(DataError, match=rf"{name}:2: a line of more than 8 MB"):
        read_dataset(path, "ner" if name == "d.conll" else "classification")


def test_a_long_cell_is_read_and_one_that_is_too_long_is_named_as_such(tmp_path: Path) -> None:
    good = "".join(f"{row['text']},{row['label']}\n" for row in reviews(6))
    long = "word " * 40_000  # more than the 131,072 characters that Python's csv takes by itself
    path = write(tmp_path, "d.csv", f"text,label\n{good}{long},good\n")
    found = read_dataset(path, "classification")
    example = found.examples[6]
    assert isinstance(example, TextExample)
    assert len(example.input.text) == len(long) - 1
    lines = ("x" * (1 << 20) + "\n") * 9
    path = write(tmp_path, "d.csv", f'text,label\n{good}"{lines}",good\n')
    with pytest.raises(DataError, match=r"d\.csv:8: a cell of more than 8 MB; .*close the quote"):
        read_dataset(path, "classification")


def test_a_named_column_that_is_absent_is_said_with_the_first_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path, reviews())
    for option in ("text_column", "label_column", "pair_column"):
        with pytest.raises(DataError, match=r"data\.jsonl:1: no column 'mood'; there are: 'text'"):
            read_dataset(path, "classification", **{option: "mood"})  # type: ignore[arg-type]


def test_labels_that_only_the_second_file_has_are_refused(tmp_path: Path) -> None:
    train = read_dataset(jsonl(tmp_path, reviews()), "classification")
    path = jsonl(tmp_path, [*reviews(3), {"text": "so so", "label": "mixed"}], "dev.jsonl")
    with pytest.raises(DataError, match=r"dev.jsonl:4: the label 'mixed' is not in the training"):
        read_dataset(path, "classification", task=train.task)
    path = jsonl(tmp_path, [{"text": "so so", "label": ["good", "bad"]}], "dev.jsonl")
    with pytest.raises(DataError, match=r"dev.jsonl:1: 2 labels where the others have one"):
        read_dataset(path, "classification", task=train.task)
    tags = jsonl(tmp_path, [{"tokens": [f"t{i}"], "tags": ["B-X"]} for i in range(4)])
    task = read_dataset(tags, "ner").task
    with pytest.raises(DataError, match=r"dev.bio:3: the label 'Y' is not in the training data"):
        read_dataset(write(tmp_path, "dev.bio", "a B-X\n\nb B-Y\n"), "ner", task=task)


def test_a_multi_label_cell_with_an_unknown_label_is_refused(tmp_path: Path) -> None:
    train = csv(tmp_path, [("text", "label"), *zip("abcd", ["x", "x|y", "y", ""], strict=True)])
    task = read_dataset(train, "classification").task
    dev = csv(tmp_path, [("text", "label"), ("e", "y|x"), ("f", "x|z")], "dev.csv")
    with pytest.raises(DataError, match=r"dev.csv:3: the label 'z'"):
        read_dataset(dev, "classification", task=task)


def test_forty_percent_noise_is_reported_as_conflicting_labels(tmp_path: Path) -> None:
    draw = random.Random(0)
    found = []
    for i in range(400):
        topic, words = draw.choice(
            [("food", "soup bread plate menu cook"), ("sport", "goal team ball match coach")]
        )
        label = topic if draw.random() < 0.6 else {"food": "sport", "sport": "food"}[topic]
        found.append({"text": " ".join(draw.sample(words.split(), 3)) + f" {i}", "label": label})
    same = [{"text": f"twice {i % 50}", "label": "food" if i < 70 else "sport"} for i in range(100)]
    about = report(read_dataset(jsonl(tmp_path, found + same), "classification"))
    assert about.count("conflict") == 60
    assert about.count("doubtful") > 40
    assert about.agreeing is not None
    assert about.agreeing < 0.75
    assert sum("conflicting labels" in line for line in about.lines()) == 2
