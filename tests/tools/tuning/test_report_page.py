"""Tests of a job's report: the page needs nothing else, nothing in it is markup, tables agree."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tools.tuning.errors import JobError
from tools.tuning.evaluation import Wrong, measured
from tools.tuning.examples import (
    ClassPrediction,
    Prediction,
    TagExample,
    TagPrediction,
    TextExample,
    TextInput,
    TokenInput,
)
from tools.tuning.job_report import Curve, Curves, Figures, JobReport, Point, RaceRow
from tools.tuning.report_page import page
from tools.tuning.report_tables import beside, report_lines, table
from tools.tuning.task import Task

HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J"


class Reader(HTMLParser):
    """Notes tags, links and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.outside += [str(v) for k, v in attrs if k in ("src", "href", "action", "onclick")]
        if tag not in ("meta", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "line", "circle", "polyline"):
            assert self.open.pop() == tag


def class_figures(labels: tuple[str, ...] = ("bad", "good")) -> Figures:
    task = Task("classification", labels)
    gold = [TextExample(TextInput(f"t{i}"), (labels[i % len(labels)],), i + 2) for i in range(20)]
    said: list[Prediction] = [
        ClassPrediction((labels[(i * i) % len(labels)],), (0.9, 0.1)) for i in range(20)
    ]
    return Figures.of(measured(task, gold, said, 1.5), {"majority": 0.5})


def tag_figures() -> Figures:
    task = Task("ner", ("LOC", "PER"))
    gold = [TagExample(TokenInput(("a", "b")), ("B-PER", "I-PER"), i) for i in range(5)]
    said: list[Prediction] = [TagPrediction(("B-PER", "O"), (1.0, 1.0)) for _ in range(5)]
    return Figures.of(measured(task, gold, said), {})


def report(name: str = "mood", figures: Figures | None = None) -> JobReport:
    return JobReport(
        job="20260101-000000-abcd",
        skill=name,
        kind="classification",
        status="registered as version 1",
        made="2026-01-01T00:00:00",
        seconds=12.0,
        budget_seconds=60.0,
        rows={"train": 80, "test": 20},
        data=(f"train: 80 rows; {name}",),
        why="linear_head scores 0.9",
        race=(
            RaceRow(name, 0.9, 0.8, 0.95, 0.02, 5, 1.0, "chosen"),
            RaceRow("majority", 0.5, 0.4, 0.6, 0.0, 5, 0.0, "a control"),
        ),
        skipped=((name, "needs about 100 s"),),
        chosen=name,
        dev=class_figures(),
        test=figures or class_figures(),
        curves=(Curve(name, (Point(1, 0.9, None), Point(5, 0.4, 0.8))),),
        wrong=(Wrong(7, name, "good", "bad", 0.93),),
        notes=(name,),
    )


def test_the_page_needs_nothing_else() -> None:
    reader = Reader(page(report()))
    assert reader.outside == []
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert "@import" not in page(report())
    assert "url(" not in page(report())
    assert reader.open == []


def test_everything_that_comes_from_data_is_escaped() -> None:
    text = page(report(HOSTILE, class_figures((HOSTILE, "good"))))
    assert "script" not in Reader(text).tags
    assert "<script>" not in text
    assert text.count("&lt;script&gt;") >= 8


def test_the_page_has_all_its_parts() -> None:
    text = page(report())
    for part in ("Data", "Race", "Learning curves", "sealed test", "Worst errors", "Notes"):
        assert part in text
    assert text.count("<svg") == 2
    assert "95 % interval" in text
    assert "micro average" in text


def test_tokens_stand_beside_entities() -> None:
    text = page(report(figures=tag_figures()))
    assert "token tag" in text
    assert "B-PER" in text
    lines = "\n".join(report_lines(report(figures=tag_figures())))
    (head,) = [line for line in lines.splitlines() if "ENTITIES" in line]
    assert head.index("ENTITIES") < head.index("TOKENS")
    assert "I-PER" in lines
    assert "O" in lines


def test_many_labels_are_shown_as_the_pairs_that_are_confused() -> None:
    labels = tuple(f"intent {i}" for i in range(40))
    task = Task("classification", labels)
    gold = [TextExample(TextInput(str(i)), (labels[i],), i + 1) for i in range(40)]
    said: list[Prediction] = [ClassPrediction((labels[0],), ()) for _ in range(40)]
    figures = Figures.of(measured(task, gold, said), {})
    assert "<th>right</th><th>said</th>" in page(report(figures=figures))
    assert any("TIMES" in line for line in report_lines(report(figures=figures)))


def test_the_terminal_gets_no_control_characters() -> None:
    lines = report_lines(report("mood\x1b[2J\u202e", class_figures()))
    assert any("mood" in line for line in lines)
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def test_a_table_lines_up_wide_characters() -> None:
    lines = table(("A", "B"), [("情感", "1"), ("x", "22")], right=(1,))
    assert lines == ["A      B", "情感   1", "x     22"]
    assert beside(["ab", "c"], ["1"]) == ["ab    1", "c"]


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report().write(tmp_path)
    again = JobReport.read(tmp_path)
    assert again.model_dump_json() == report().model_dump_json()
    assert again.test is not None
    assert again.test.read().score == class_figures().read().score


@pytest.mark.parametrize("text", ["", "{", "{}", '{"job": 1}', "[]"])
def test_a_broken_report_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(JobError) as error:
        JobReport.read(tmp_path)
    assert "\n" not in str(error.value)


def test_curves_come_from_events_and_begin_anew_after_a_kill() -> None:
    curves = Curves()
    steps = [(1, 0.9), (2, 0.8), (3, 0.7), (2, 0.81), (3, 0.71)]
    for step, loss in steps:
        curves.take({"type": "progress", "candidate": "lora-0", "block": 1, "step": step})
        curves.take(
            {"type": "progress", "candidate": "lora-0", "block": 1, "step": step, "loss": loss}
        )
    curves.take({"type": "progress", "candidate": "final", "step": 1, "loss": 0.5})
    curves.take({"type": "progress", "candidate": "final", "step": 2, "score": 0.5})
    curves.take({"type": "scored", "candidate": "final", "score": 0.5})
    found = curves.all()
    assert [curve.label for curve in found] == ["final", "lora-0, block 1"]
    assert [(p.step, p.loss) for p in found[1].points] == [(1, 0.9), (2, 0.81), (3, 0.71)]


def test_a_long_curve_is_thinned() -> None:
    curves = Curves()
    for step in range(5_000):
        curves.take({"type": "progress", "method": "encoder", "step": step, "loss": 1.0})
    assert len(curves.all()[0].points) <= 200
    assert re.search(r"4\d\d\d steps", page(report().model_copy(update={"curves": curves.all()})))
