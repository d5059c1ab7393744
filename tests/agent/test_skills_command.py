"""`tuneward skills`: what was tuned is listed, shown, applied, exported and taken in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.agent.tuning_cli import Done
from tests.tools.tuning.cards import card, weights
from tools.tuning.methods.majority import Majority
from tools.tuning.skill_store import SkillStore
from tools.tuning.task import Task

CLASSES = Task("classification", ("bad", "good"))


@pytest.fixture
def skill(home: Path) -> Any:
    def save(folder: Path) -> None:
        method = Majority(CLASSES)
        method._shares = [0.25, 0.75]
        method.save(folder)

    return SkillStore(home).register("sentiment", card(), save)


def test_skills_are_listed_and_shown_with_their_evidence(
    tuneward: Callable[..., Done], skill: Any
) -> None:
    listed = tuneward("skills", "list").out.splitlines()
    assert (
        "sentiment  1        classification  majority  accuracy 0.910 [0.870, 0.950]" in listed[1]
    )
    assert json.loads(tuneward("skills", "list", "--json").out)[0]["name"] == "sentiment"
    shown = tuneward("skills", "show", "sentiment").out
    for words in (
        "skill `sentiment` version 1: majority, accuracy 0.910 [0.870, 0.950] on 200 rows of the",
        "labels          bad, good",
        "macro_f1 0.900",
        "majority 0.500, nearest 0.800",
        "reviews.csv, 800 rows, sha256 000000000000",
        "sd 0.010 (0, 1, 2)",
        "good   0.900      0.800   0.850  100",
    ):
        assert words in shown
    facts = json.loads(tuneward("skills", "show", "sentiment", "--json").out)
    assert (facts["versions"], facts["test"]["value"]) == ([1], 0.91)


def test_texts_are_answered_a_line_each(tuneward: Callable[..., Done], skill: Any) -> None:
    done = tuneward("skills", "apply", "sentiment", "one", "two\x1b[2J")
    assert done.code == 0, done.err
    assert done.out == "good    0.750    one\ngood    0.750    two\\x1b[2J\n"
    lines = tuneward("skills", "apply", "sentiment", "one", "two", "--json").out.splitlines()
    assert json.loads(lines[1]) == {"text": "two", "label": "good", "score": 0.75}


def test_a_file_is_answered_row_by_row(
    tuneward: Callable[..., Done], skill: Any, tmp_path: Path
) -> None:
    words = ("skills", "apply", "sentiment", "--in", "reviews.csv", "--out", "out/labels.csv")
    done = tuneward(*words)
    assert (done.code, done.out) == (0, "out/labels.csv\n")
    assert done.last.startswith("done: 2 rows in ")
    assert "with predicted_label, score in out/labels.csv" in done.last
    text = (tmp_path / "out" / "labels.csv").read_text()
    assert text.splitlines()[0] == "text,label,predicted_label,score"
    facts = json.loads(tuneward(*words, "--json").out)
    assert (facts["rows"], facts["columns"]) == (2, ["predicted_label", "score"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["sentiment"], 2, "give texts, or a file"),
        (["sentiment", "x", "--in", "reviews.csv", "--out", "o.csv"], 2, "give texts, or a file"),
        (["sentiment", "--in", "reviews.csv"], 2, "--in and --out go together"),
        (["sentiment", "--out", "o.csv"], 2, "give texts, or a file"),
        (["sentiment", "--in", "no.csv", "--out", "o.csv"], 2, "no.csv: "),
        (["sentiment", "--in", "reviews.csv", "--out", "o.xlsx"], 2, "o.xlsx: "),
        (
            ["sentiment", "--in", "reviews.csv", "--out", "o.csv", "--text-column", "body"],
            2,
            "reviews.csv",
        ),
        (["other", "x"], 3, "there is no skill `other`; there are sentiment"),
        (["sentiment", "x", "--version", "9"], 3, "has no version 9; it has 1"),
    ],
)
def test_what_cannot_be_applied_is_one_line_and_writes_nothing(
    tuneward: Callable[..., Done],
    skill: Any,
    tmp_path: Path,
    words: list[str],
    code: int,
    said: str,
) -> None:
    done = tuneward("skills", "apply", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.last
    assert len(done.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


def test_a_skill_whose_file_has_changed_answers_nothing(
    tuneward: Callable[..., Done], skill: Any
) -> None:
    path = skill.folder / "counts.json"
    path.write_text(path.read_text().replace("0.75", "0.85"))
    done = tuneward("skills", "apply", "sentiment", "x")
    assert (done.code, done.out) == (3, "")
    assert "counts.json is not as it was registered" in done.last


def test_a_skill_goes_to_another_home_and_back_a_version(
    tuneward: Callable[..., Done], skill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = tuneward("skills", "export", "sentiment")
    assert (done.code, done.out) == (0, "sentiment-1.skill\n")
    assert tuneward("skills", "export", "sentiment").code == 3  # it is there already
    monkeypatch.setenv("TUNEWARD_HOME", str(tmp_path / "other"))
    for number in (1, 2):
        done = tuneward("skills", "import", "sentiment-1.skill")
        assert done.code == 0, done.err
        assert done.out.startswith(f"skill `sentiment` version {number}: majority")
    assert tuneward("skills", "apply", "sentiment", "x").code == 0
    assert tuneward("skills", "rollback", "sentiment").out.startswith("skill `sentiment` version 1")
    assert tuneward("skills", "rollback", "sentiment").code == 3
    facts = json.loads(tuneward("skills", "rollback", "sentiment", "--to", "2", "--json").out)
    assert facts == {"skill": "sentiment", "version": 2}
    assert tuneward("skills", "remove", "sentiment").out == "removed sentiment with 2 versions\n"
    assert "no skills yet" in tuneward("skills", "list").last


def test_an_archive_that_is_refused_is_exit_3(
    tuneward: Callable[..., Done], tmp_path: Path, home: Path
) -> None:
    (tmp_path / "bad.skill").write_bytes(b"PK\3\4 something")
    done = tuneward("skills", "import", "bad.skill")
    assert (done.code, done.out) == (3, "")
    assert done.last.startswith("unavailable: bad.skill ")
    assert SkillStore(home).names() == []


def test_a_broken_skill_does_not_hide_the_others(
    tuneward: Callable[..., Done], skill: Any, home: Path
) -> None:
    other = SkillStore(home).register("zebra", card(), weights())
    (other.folder / "card.json").write_text("{}")
    done = tuneward("skills", "list")
    assert (done.code, len(done.out.splitlines())) == (0, 2)
    assert "skill `zebra` cannot be used" in done.err
