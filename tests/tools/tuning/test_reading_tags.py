"""Reading tagged sentences: CoNLL columns, tokens with tags, texts with spans."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.tools.tuning.files import jsonl, write
from tools.tuning.errors import DataError
from tools.tuning.examples import Dataset, TagExample
from tools.tuning.reading import read_dataset

TOKENS = ["Ann", "Lee", "met", "Bob", "."]
TAGS = ["B-PER", "I-PER", "O", "B-PER", "O"]


def read(path: Path, **options: str) -> Dataset:
    return read_dataset(path, "ner", **options)  # type: ignore[arg-type]


def first(data: Dataset) -> tuple[list[str], list[str]]:
    example = data.examples[0]
    assert isinstance(example, TagExample)
    return list(example.input.tokens), list(example.tags)


def conll(tags: list[str], separator: str = " ", extra: str = "") -> str:
    """The sentence, and three more, so that there is something to learn."""
    lines = [f"{token}{separator}{extra}{tag}" for token, tag in zip(TOKENS, tags, strict=True)]
    more = [f"word{i}{separator}{extra}O\n" for i in range(3)]
    return "\n".join([*lines, "", *more])


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.bio", "a.iob", "a.tsv"])
@pytest.mark.parametrize("separator", ["\t", " "])
def test_reads_conll_with_tabs_and_spaces(tmp_path: Path, name: str, separator: str) -> None:
    data = read(write(tmp_path, name, conll(TAGS, separator)))
    assert first(data) == (TOKENS, TAGS)
    assert [example.line for example in data.examples] == [1, 7, 9, 11]
    assert data.task.labels == ("PER",)


def test_takes_the_first_and_the_last_of_four_columns(tmp_path: Path) -> None:
    text = "-DOCSTART- -X- -X- O\n\n" + conll(TAGS, " ", "NNP I-NP ")
    data = read(write(tmp_path, "a.conll", text))
    assert first(data) == (TOKENS, TAGS)
    assert data.examples[0].line == 3


@pytest.mark.parametrize(
    "tags",
    [
        ["I-PER", "I-PER", "O", "I-PER", "O"],
        ["B-PER", "E-PER", "O", "S-PER", "O"],
        ["B-PER", "L-PER", "O", "U-PER", "O"],
    ],
)
def test_makes_every_scheme_bio(tmp_path: Path, tags: list[str]) -> None:
    assert first(read(write(tmp_path, "a.conll", conll(tags)))) == (TOKENS, TAGS)


def test_skips_comments_but_no_hash_sign(tmp_path: Path) -> None:
    text = "# sent_id = 4\n# newdoc\n# O\n#Berlin B-TAG\n\n" + conll(TAGS)
    data = read(write(tmp_path, "a.conll", text))
    assert first(data) == (["#", "#Berlin"], ["O", "B-TAG"])


def test_reads_tokens_and_tags_from_jsonl_csv_and_parquet(tmp_path: Path) -> None:
    rows = [{"tokens": [*TOKENS[:4], f"{i}."], "tags": TAGS} for i in range(4)]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    cells = [f'"{" ".join(row["tokens"])}",{" ".join(TAGS)}' for row in rows]
    in_csv = write(tmp_path, "a.csv", "\n".join(["tokens,tags", *cells]))
    for path in (jsonl(tmp_path, rows), tmp_path / "a.parquet", in_csv):
        assert first(read(path)) == (rows[0]["tokens"], TAGS), path


def test_reads_the_names_of_numbered_tags(tmp_path: Path) -> None:
    names = {"feature": {"names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}}
    hint = json.dumps({"info": {"features": {"ner_tags": names}}})
    tokens = [[*TOKENS[:4], f"{i}."] for i in range(4)]
    frame = pl.DataFrame({"tokens": tokens, "ner_tags": [[1, 2, 0, 1, 0]] * 4})
    frame.write_parquet(tmp_path / "a.parquet", metadata={"huggingface": hint})
    assert first(read(tmp_path / "a.parquet")) == (tokens[0], TAGS)


def test_numbered_tags_without_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.jsonl:1: .*write their names for numbers"):
        read(jsonl(tmp_path, [{"tokens": ["a"], "tags": [0]}] * 4))


@pytest.mark.parametrize(
    "entities",
    [
        [[0, 7, "PER"], [12, 15, "PER"]],
        [{"start": 0, "end": 7, "label": "PER"}, {"start": 12, "end": 15, "label": "PER"}],
        [{"start": 12, "end": 15, "type": "PER", "text": "Bob"}, [0, 7, "PER"]],
    ],
)
def test_reads_spans(tmp_path: Path, entities: list[object]) -> None:
    rows = [{"text": "Ann Lee met Bob.", "entities": entities}]
    rows += [{"text": f"nobody {i}", "entities": []} for i in range(3)]
    assert first(read(jsonl(tmp_path, rows))) == (TOKENS, TAGS)


def test_places_count_the_spaces_before_the_text(tmp_path: Path) -> None:
    rows = [{"text": f"  Bob {i}", "spans": [[2, 5, "PER"]]} for i in range(4)]
    assert first(read(jsonl(tmp_path, rows))) == (["Bob", "0"], ["B-PER", "O"])


def test_chinese_is_read_by_character(tmp_path: Path) -> None:
    spans = [{"text": f"他在北京{'一二三四'[i]}", "entities": [[2, 4, "LOC"]]} for i in range(4)]
    data = read(jsonl(tmp_path, spans))
    assert data.task.by_character
    assert first(data) == (list("他在北京一"), ["O", "O", "B-LOC", "I-LOC", "O"])
    sentences = [f"他 O\n在 O\n北 B-LOC\n京 I-LOC\n{c} O\n" for c in "一二三四"]
    assert read(write(tmp_path, "a.bio", "\n".join(sentences))).task.by_character


def test_of_overlapping_entities_the_longest_stays_and_the_row_is_listed(tmp_path: Path) -> None:
    rows = [{"text": f"at 8:00 tonight {i}", "entities": [[3, 15, "time"]]} for i in range(4)]
    rows[1]["entities"] = [[8, 15, "date"], [3, 15, "time"]]
    data = read(jsonl(tmp_path, rows))
    assert data.overlap_lines == (2,)
    assert data.task.labels == ("time",)


def test_empty_sentences_are_left_out_and_listed(tmp_path: Path) -> None:
    rows = [{"tokens": [f"a{i}"], "tags": ["B-X"]} for i in range(4)]
    data = read(jsonl(tmp_path, [*rows, {"tokens": [], "tags": []}]))
    assert len(data) == 4
    assert data.empty_lines == (5,)


def test_named_columns_go_before_usual_ones(tmp_path: Path) -> None:
    rows = [{"tokens": ["x"], "tags": ["O"], "mine": [f"w{i}"], "marks": ["B-Z"]} for i in range(4)]
    data = read(jsonl(tmp_path, rows), text_column="mine", label_column="marks")
    assert first(data) == (["w0"], ["B-Z"])
