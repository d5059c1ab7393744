"""A skill answers every row of a file, in order and whole or not at all, whatever its length."""

import csv
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from models.hashing import HashingEmbedder
from tests import long_list
from tests.tools.tuning.cards import card
from tests.tools.tuning.keyword_method import Keyword
from tools.tuning import apply
from tools.tuning.apply import answers, apply_file
from tools.tuning.errors import DataError, SkillError
from tools.tuning.examples import Example, TagExample, TextExample, TextInput, TokenInput
from tools.tuning.input_rows import text_input
from tools.tuning.kept_examples import FILE, MOST, Explainer, chosen, write_examples
from tools.tuning.skill_store import Skill, SkillStore
from tools.tuning.task import Task

CLASSES = Task("classification", ("bad", "good"))
SEVERAL = Task("classification", ("cold", "late", "rude"), multi_label=True)
ENTITIES = Task("ner", ("LOC", "PER"))


class Vectors(HashingEmbedder):
    """An embedder without weights that counts what it is asked for."""

    asked = 0

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += len(texts)
        return np.array(self.embed_documents(list(texts)), np.float32)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


# files


def test_rows_keep_their_order_and_columns_and_get_label_and_score(tmp_path: Path) -> None:
    rows = "".join(f'{i},"a {"good" if i % 3 else "bad"}, thing",{i}.50\n' for i in range(3_000))
    source = write(tmp_path / "in.csv", "id,text,price\n" + rows)
    method = Keyword(CLASSES)
    done = apply_file(method, source, tmp_path / "out.csv")
    found = read(tmp_path / "out.csv")
    assert (done.rows, done.columns) == (3_000, ("label", "score"))
    assert list(found[0]) == ["id", "text", "price", "label", "score"]
    assert [row["id"] for row in found] == [str(i) for i in range(3_000)]
    assert [row["label"] for row in found] == ["good" if i % 3 else "bad" for i in range(3_000)]
    assert found[7] == {
        "id": "7",
        "text": "a good, thing",
        "price": "7.50",
        "label": "good",
        "score": "0.75",
    }
    assert method.most <= apply.BATCH_ROWS


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".CSV"])
@pytest.mark.parametrize("given", [".csv", ".tsv", ".jsonl", ".parquet", ".txt"])
def test_every_format_that_is_read_can_be_answered_in_every_one_that_is_written(
    tmp_path: Path, given: str, suffix: str
) -> None:
    frame = pl.DataFrame({"n": [1, 2, 3], "text": ["a good one", "", "a bad 一\t, “one”"]})
    source = tmp_path / f"in{given}"
    if given == ".txt":
        source.write_text("\n".join(frame["text"].str.replace("\t", " ")) + "\n", "utf-8")
    elif given == ".parquet":
        frame.write_parquet(source)
    elif given == ".tsv":
        frame.with_columns(pl.col("text").str.replace("\t", " ")).write_csv(source, separator="\t")
    elif given == ".jsonl":
        frame.write_ndjson(source)
    else:
        frame.write_csv(source)
    target = tmp_path / f"out{suffix}"
    apply_file(Keyword(CLASSES), source, target)
    if suffix == ".jsonl":
        found = read_lines(target)
    else:
        text = target.read_text("utf-8")
        found = list(csv.DictReader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ","))
    assert [row["label"] for row in found] == ["good", "bad", "bad"]
    assert found[2]["text"].startswith("a bad 一")


def test_several_labels_are_joined_in_a_cell_and_a_list_in_json(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", "text\nlate and rude\nfine\ncold\n")
    apply_file(Keyword(SEVERAL), source, tmp_path / "out.csv")
    assert [row["label"] for row in read(tmp_path / "out.csv")] == ["late|rude", "", "cold"]
    apply_file(Keyword(SEVERAL), source, tmp_path / "out.jsonl")
    found = read_lines(tmp_path / "out.jsonl")
    assert [row["label"] for row in found] == [["late", "rude"], [], ["cold"]]


def test_entities_name_their_place_in_the_text(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", 'n,text\n1,"Dear PERann PERlee, of LOCrome."\n2,\n3,none\n')
    apply_file(Keyword(ENTITIES), source, tmp_path / "out.csv")
    found = read(tmp_path / "out.csv")
    assert list(found[0]) == ["n", "text", "entities", "score"]
    entities = [json.loads(row["entities"]) for row in found]
    assert entities[0] == [
        {"type": "PER", "text": "PERann PERlee", "start": 5, "end": 18, "score": 0.6},
        {"type": "LOC", "text": "LOCrome", "start": 23, "end": 30, "score": 0.6},
    ]
    assert entities[1:] == [[], []]
    assert [row["score"] for row in found] == ["0.6", "1.0", "0.9"]
    text = found[0]["text"]
    assert all(text[e["start"] : e["end"]] == e["text"] for e in entities[0])


def test_a_column_of_the_input_is_never_replaced(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", "text,label,predicted_label,score\ngood,x,y,z\n")
    done = apply_file(Keyword(CLASSES), source, tmp_path / "out.csv", text_column="text")
    assert done.columns == ("predicted_label_2", "predicted_score")
    (row,) = read(tmp_path / "out.csv")
    assert (row["label"], row["predicted_label"], row["score"]) == ("x", "y", "z")
    assert (row["predicted_label_2"], row["predicted_score"]) == ("good", "0.75")


def test_a_file_with_a_head_only_gives_a_head_only(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", '{"text": "good"}\n')
    apply_file(Keyword(CLASSES), source, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "text,label,score\ngood,good,0.75\n"


def test_rows_of_jsonl_may_differ_where_json_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "BATCH_ROWS", 2)
    lines = ['{"text": "good"}', '{"text": "bad"}', '{"text": "good", "extra": [1]}']
    source = write(tmp_path / "in.jsonl", "\n".join(lines) + "\n")
    apply_file(Keyword(CLASSES), source, tmp_path / "out.jsonl")
    assert read_lines(tmp_path / "out.jsonl")[2]["extra"] == [1]
    with pytest.raises(DataError, match=r"row 3 has a column 'extra' .* take --out FILE\.jsonl"):
        apply_file(Keyword(CLASSES), source, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.parquet"])
def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "in.csv", "text\ngood\n")
    with pytest.raises(DataError, match=r"cannot be written; take \.csv, \.tsv, \.jsonl"):
        apply_file(Keyword(CLASSES), source, tmp_path / name)


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", "text\ngood\n")
    (tmp_path / "same.csv").symlink_to(source)
    for target in (source, tmp_path / "same.csv"):
        with pytest.raises(DataError, match="is the input"):
            apply_file(Keyword(CLASSES), source, target)
    assert source.read_text() == "text\ngood\n"


def test_what_breaks_half_way_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    lines = ['{"text": "good"}'] * 3_000 + ["{broken"]
    source = write(tmp_path / "in.jsonl", "\n".join(lines) + "\n")
    target = write(tmp_path / "out.jsonl", "before\n")
    with pytest.raises(DataError, match=r"in\.jsonl:3001"):
        apply_file(Keyword(CLASSES), source, target)
    assert target.read_text() == "before\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_a_method_that_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    class Failing(Keyword):
        def predict(self, inputs: Any) -> Any:
            if self.most:
                raise MemoryError
            return super().predict(inputs)

    source = write(tmp_path / "in.csv", "text\n" + "good\n" * 3_000)
    with pytest.raises(MemoryError):
        apply_file(Failing(CLASSES), source, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.stress("apply-memory")
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    def most(rows: int) -> int:
        source = tmp_path / f"{rows}{suffix}"
        with source.open("w") as file:
            if suffix == ".csv":
                file.write("n,text\n")
            for i in range(rows):
                text = f"row {i} is good " + "x" * 2_000
                file.write(
                    f"{i},{text}\n" if suffix == ".csv" else json.dumps({"text": text}) + "\n"
                )
        tracemalloc.start()
        done = apply_file(Keyword(CLASSES), source, tmp_path / f"out{suffix}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert done.rows == rows
        return peak

    # What is written of 6,000 rows is 12 MB, so a target that is put together whole shows.
    large = 100_000 if long_list.in_full() else 9_000
    assert most(large) < most(3_000) + 500_000


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_cells_beside_the_text_do_not_fill_the_memory(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"in{suffix}"
    cell = "x" * 500_000
    if suffix == ".parquet":
        frame = pl.DataFrame({"text": ["good"] * 120, "note": [cell] * 120})
        frame.write_parquet(source, compression="zstd")
    else:
        row = f"good,{cell}\n" if suffix == ".csv" else json.dumps({"text": "good", "note": cell})
        with source.open("w") as file:
            file.write("text,note\n" if suffix == ".csv" else "")
            for _ in range(120):
                file.write(row.rstrip() + "\n")
    tracemalloc.start()
    done = apply_file(Keyword(CLASSES), source, tmp_path / "out.jsonl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.rows == 120
    assert peak < 30_000_000  # 60 MB are read


def test_progress_counts_the_rows(tmp_path: Path) -> None:
    told: list[int] = []
    source = write(tmp_path / "in.csv", "text\n" + "good\n" * 2_500)
    apply_file(Keyword(CLASSES), source, tmp_path / "out.csv", progress=told.append)
    assert told == [1_024, 2_048]


def test_long_texts_come_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "BATCH_CHARACTERS", 1_000)
    method = Keyword(CLASSES)
    rows = [text_input("good " * 100, CLASSES, line=i) for i in range(20)]
    found = list(answers(method, rows))
    assert len(found) == 20
    assert method.most == 2
    wide = [replace(row, cells={"text": "good", "note": "x" * 600}) for row in rows]
    method = Keyword(CLASSES)
    assert len(list(answers(method, wide))) == 20
    assert method.most == 2, "what stands beside the text fills the memory too"


# explanations


def examples(count: int) -> list[Example]:
    """Reviews about two things, a label each, uneven."""
    return [
        TextExample(
            TextInput(f"the {'soup' if i % 10 else 'waiter'} number {i}"),
            ("good",) if i % 10 else ("bad",),
            i + 2,
        )
        for i in range(count)
    ]


@pytest.fixture
def skill(home: Path) -> Skill:
    def save(folder: Path) -> None:
        Keyword(CLASSES).save(folder)
        write_examples(folder, examples(40))

    return SkillStore(home).register("reviews", card(method="keyword"), save)


def test_an_explanation_has_probabilities_and_the_nearest_examples(
    skill: Skill, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.csv", "text\nthe waiter number 30 was bad\nsoup 7 good\n")
    explainer = Explainer(skill, Vectors())
    done = apply_file(
        Keyword(CLASSES), source, tmp_path / "out.csv", explainer=explainer, probabilities=True
    )
    assert done.columns == ("label", "score", "probabilities", "nearest")
    first, second = read(tmp_path / "out.csv")
    assert json.loads(first["probabilities"]) == {"bad": 0.75, "good": 0.25}
    nearest = json.loads(first["nearest"])
    assert nearest[0]["text"] == "the waiter number 30"
    assert (nearest[0]["labels"], nearest[0]["line"]) == (["bad"], 32)
    similarities = [near["similarity"] for near in nearest]
    assert len(similarities) == 3
    assert similarities == sorted(similarities, reverse=True)
    assert json.loads(second["nearest"])[0]["text"] == "the soup number 7"


def test_the_examples_vectors_are_made_once(skill: Skill) -> None:
    first, second = Vectors(), Vectors()
    one = Explainer(skill, first).nearest([TextInput("soup")])
    two = Explainer(skill, second).nearest([TextInput("soup")])
    assert one == two
    assert (first.asked, second.asked) == (41, 1)
    skill.check()  # what was made lies beside the version, not in it
    (cache,) = skill.folder.parent.glob(".vectors-*")
    cache.write_bytes(b"torn")
    third = Vectors()
    assert Explainer(skill, third).nearest([TextInput("soup")]) == one
    assert third.asked == 41


def test_sentences_are_explained_by_sentences(home: Path) -> None:
    def save(folder: Path) -> None:
        sentence = TokenInput(("Ann", "lives", "in", "Rome"))
        write_examples(folder, [TagExample(sentence, ("B-PER", "O", "O", "B-LOC"), 1)])

    made = SkillStore(home).register("names", card(task=ENTITIES), save)
    ((near,),) = Explainer(made, Vectors()).nearest([TokenInput(("Rome",))])
    assert (near.text, near.labels, near.line) == ("Ann lives in Rome", ("LOC", "PER"), 1)


def test_a_skill_without_examples_says_so(home: Path) -> None:
    made = SkillStore(home).register("bare", card(), Keyword(CLASSES).save)
    with pytest.raises(SkillError, match="came without its training examples"):
        Explainer(made, Vectors())


def test_of_many_examples_some_of_every_label_are_kept(tmp_path: Path) -> None:
    many = examples(20_000)
    kept = chosen(many, MOST)
    assert len(kept) == MOST
    assert sum(example.labels == ("bad",) for example in kept) == MOST // 2  # type: ignore[union-attr]
    assert [example.line for example in kept] == sorted(example.line for example in kept)
    write_examples(tmp_path, many)
    assert len((tmp_path / FILE).read_text().splitlines()) == MOST
    assert chosen(many[:5], MOST) == many[:5]
