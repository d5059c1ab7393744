"""The data report: each oddity is found, counted, and named with its lines."""

import json
from pathlib import Path

import pytest

from tests.tools.tuning.files import jsonl, reviews, write
from tools.tuning.data_findings import Finding, Kind
from tools.tuning.data_report import DataReport, report
from tools.tuning.examples import Dataset
from tools.tuning.reading import read_dataset


def read(folder: Path, rows: list[dict[str, str]], like: Dataset | None = None) -> Dataset:
    name = "train.jsonl" if like is None else "dev.jsonl"
    task = like.task if like else None
    return read_dataset(jsonl(folder, rows, name), "classification", task=task)


def finding(about: DataReport, kind: Kind) -> Finding:
    return next(f for f in about.findings if f.kind == kind)


def row(text: str, label: str = "good") -> dict[str, str]:
    return {"text": text, "label": label}


def test_sound_data_have_counts_and_no_findings(tmp_path: Path) -> None:
    about = report(read(tmp_path, reviews()), longest_tokens=100, languages=["en"])
    assert about.findings == ()
    assert about.splits[0].labels == {"bad": 20, "good": 20}
    assert about.lines() == ["train: 40 rows; bad 20, good 20"]


def test_finds_duplicates_whatever_their_case_and_spaces(tmp_path: Path) -> None:
    rows = [*reviews(), row("So  nice"), row("so nice"), row("SO NICE ")]
    found = finding(report(read(tmp_path, rows)), "duplicate")
    assert (found.count, found.lines) == (2, (42, 43))


def test_finds_conflicting_labels(tmp_path: Path) -> None:
    rows = [*reviews(), row("so so", "good"), row("So so", "bad")]
    about = report(read(tmp_path, rows))
    assert finding(about, "conflict").lines == (41, 42)
    assert about.count("duplicate") == 0
    assert any("train: 2 conflict: conflicting labels" in line for line in about.lines())


def test_finds_sentences_with_two_taggings(tmp_path: Path) -> None:
    text = "Bob B-X\n\nBob O\n\na B-X\n\nb O\n\nc O\n"
    about = report(read_dataset(write(tmp_path, "a.bio", text), "ner"))
    assert finding(about, "conflict").lines == (1, 3)
    assert about.splits[0].labels == {"X": 2, "(no entity)": 3}


def test_finds_leaks_between_files(tmp_path: Path) -> None:
    train = read(tmp_path, reviews())
    dev = read(tmp_path, [row("new"), row("AWFUL film number 0", "bad")], train)
    about = report(train, dev)
    found = finding(about, "leak")
    assert (found.split, found.count, found.lines) == ("dev", 1, (2,))
    assert "also in train" in found.text
    assert report(train, None, dev).findings[0].split == "test"


def test_names_empty_and_overlapping_rows(tmp_path: Path) -> None:
    about = report(read(tmp_path, [*reviews(), row("  ")]))
    assert finding(about, "empty").lines == (41,)
    rows = [
        {"text": f"at 8 tonight {i}", "entities": [[3, 12, "t"], [5, 12, "d"]]}
        for i in (0, 1, 2, 3)
    ]
    about = report(read_dataset(jsonl(tmp_path, rows), "ner"))
    assert finding(about, "overlap").count == 4


def test_names_texts_longer_than_the_model(tmp_path: Path) -> None:
    train = read(tmp_path, [*reviews(), row("word " * 300)])
    assert finding(report(train, longest_tokens=256), "long").lines == (41,)
    assert report(train, longest_tokens=600).count("long") == 0
    assert report(train).count("long") == 0
    counted = report(train, longest_tokens=256, count_tokens=lambda text: 10)
    assert counted.count("long") == 0


def test_long_sentences_of_words_are_said_to_go_in_pieces(tmp_path: Path) -> None:
    text = "Bob B-X\n\n" + "a O\n" * 300 + "\nc O\n\nd O\n"
    about = report(read_dataset(write(tmp_path, "a.bio", text), "ner"), longest_tokens=256)
    assert finding(about, "long").lines == (3,)
    assert finding(about, "long").text.endswith("they go in pieces")


@pytest.mark.parametrize("languages", [["en"], ["de_CH", "fr"], ["en", "tlh"], []])
def test_names_texts_in_other_letters(tmp_path: Path, languages: list[str]) -> None:
    train = read(tmp_path, [*reviews(), row("物流很快 ok"), row("очень хорошо"), row("123 :-)")])
    assert finding(report(train, languages=languages), "language").lines == (41, 42)


def test_the_language_of_the_model_decides(tmp_path: Path) -> None:
    chinese = [row(f"物流很快{i}", "ab"[i % 2]) for i in range(6)]
    train = read(tmp_path, chinese)
    assert report(train, languages=["en"]).count("language") == 6
    assert report(train, languages=["en", "zh"]).count("language") == 0
    several = ["en", "ru", "ar", "th"]
    assert "in any of its letters" in finding(report(train, languages=several), "language").text
    assert report(train).count("language") == 0


def test_names_rare_missing_and_similar_labels(tmp_path: Path) -> None:
    train = read(tmp_path, [*reviews(), row("x", "Good"), row("y", "good!")])
    dev = read(tmp_path, [row("z")], train)
    about = report(train, dev)
    assert "Good, good!" in finding(about, "few").text
    assert "'Good' = 'good' = 'good!'" in finding(about, "similar_labels").text
    assert finding(about, "missing").text.endswith("Good, bad, good!")
    assert about.splits[1].labels == {"good": 1, "Good": 0, "bad": 0, "good!": 0}


def test_shows_the_first_lines_and_a_count(tmp_path: Path) -> None:
    rows = [*reviews(), *[row("again")] * 10]
    line = report(read(tmp_path, rows)).lines()[-1]
    assert line.startswith("train: 9 duplicate: ")
    assert line.endswith("train.jsonl lines 42, 43, 44, 45, 46, ...)")


def test_is_plain_json(tmp_path: Path) -> None:
    about = report(read(tmp_path, [*reviews(), row("x", "rare")]))
    stored = json.loads(json.dumps(about.as_dict()))
    assert stored["findings"][0]["kind"] == "few"
    assert stored["splits"][0]["rows"] == 41
