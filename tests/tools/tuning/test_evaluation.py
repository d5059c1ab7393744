"""Tests of what is measured of a fitted method: figures, worst errors, spread over templates."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.tools.tuning.plain_methods import TASK, Majority, Words, reviews
from tools.tuning.blocks import plan_blocks
from tools.tuning.design import TEMPLATES
from tools.tuning.errors import BudgetSpent, Stopped
from tools.tuning.evaluation import WRONG, measure, template_spread, worst
from tools.tuning.examples import (
    ClassPrediction,
    Example,
    Input,
    Prediction,
    TagExample,
    TagPrediction,
    TextExample,
    TextInput,
    TokenInput,
)
from tools.tuning.methods.base import Bench, Method, Progress
from tools.tuning.race import PROBE_ROWS, Candidate, predict_all


class Asked(Words):
    """As good as its template is."""

    name: ClassVar[str] = "zero_shot"

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {**super().defaults(), "template": "auto"}

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        said = super().predict(inputs)
        if self.settings["template"] == TEMPLATES[0]:
            return said
        return [ClassPrediction(("good",), (0.0, 1.0)) for _ in said]


def fitted(home: Path, method: type[Method] = Words, count: int = 60) -> Method:
    made = method(TASK)
    made.fit(reviews(count), (), Bench(home))
    return made


def test_a_method_is_measured_with_its_interval_and_its_pace(home: Path) -> None:
    rows = reviews(100, noise=10)[60:]
    found, said = measure(fitted(home), TASK, rows, Bench(home))
    assert found.metrics.score == pytest.approx(0.9)
    assert found.low < 0.9 < found.high
    assert len(said) == 40
    assert found.milliseconds_per_row is not None
    scores = found.scores({"majority": 0.5})
    assert (scores.metric, scores.value, scores.rows) == ("accuracy", found.metrics.score, 40)
    assert scores.named("macro_f1") == pytest.approx(found.metrics.macro_f1)
    assert "accuracy" not in scores.others


def test_the_surest_errors_come_first_and_are_few(home: Path) -> None:
    gold = [TextExample(TextInput(f"text {i}"), ("good",), i) for i in range(60)]
    said = [ClassPrediction(("bad",), (i / 100, 1 - i / 100)) for i in range(60)]
    found = worst(gold, said)
    assert len(found) == WRONG
    assert [each.line for each in found[:2]] == [0, 1]
    assert (found[0].right, found[0].said, found[0].score) == ("good", "bad", 1.0)


def test_an_error_in_tags_shows_the_entities() -> None:
    gold = [TagExample(TokenInput(("Ada", "saw", "Rome")), ("B-PER", "O", "B-LOC"), 4)]
    said: list[Prediction] = [TagPrediction(("B-PER", "O", "O"), (0.9, 0.9, 0.7))]
    (wrong,) = worst(gold, said)
    assert (wrong.right, wrong.said) == ("PER: Ada; LOC: Rome", "PER: Ada")
    assert (wrong.score, wrong.text) == (0.7, "Ada saw Rome")


def test_a_long_text_is_shown_cut() -> None:
    gold = [TextExample(TextInput("word " * 500), ("good",), 1)]
    (wrong,) = worst(gold, [ClassPrediction(("bad",), ())])
    assert len(wrong.text) < 320
    assert wrong.score is None


def test_the_spread_over_templates_is_measured(home: Path) -> None:
    plan = plan_blocks(reviews(60))
    candidate = Candidate(Asked, {"template": TEMPLATES[0]})
    spread = template_spread(candidate, TASK, plan, plan.blocks[0], Bench(home))
    assert spread is not None
    assert spread > 0.1
    without = Candidate(Words, {})
    assert template_spread(without, TASK, plan, plan.blocks[0], Bench(home)) is None


def test_no_spread_where_there_is_no_time(home: Path) -> None:
    plan = plan_blocks(reviews(60))
    late = Bench(home, deadline=time.monotonic() - 1)
    assert template_spread(Candidate(Asked, {}), TASK, plan, plan.blocks[0], late) is None


class Sluggish(Majority):
    """Takes its time over every row."""

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        time.sleep(0.002 * len(inputs))
        return super().predict(inputs)


def test_a_prediction_that_would_take_too_long_is_given_up_early(home: Path) -> None:
    bench = Bench(home, deadline=time.monotonic() + 0.5)
    inputs = [TextInput("a")] * 10_000
    started = time.monotonic()
    with pytest.raises(BudgetSpent, match=r"predicting 10000 rows would take about \d+ s"):
        predict_all(fitted(home, Sluggish), inputs, bench)
    assert time.monotonic() - started < 0.4


def test_predicting_tells_how_far_it_is_and_can_be_stopped(home: Path) -> None:
    told: list[Progress] = []
    inputs = [TextInput("a fine film")] * 600
    said = predict_all(fitted(home), inputs, Bench(home, on_progress=told.append))
    assert len(said) == 600
    assert [each.step for each in told] == [PROBE_ROWS, PROBE_ROWS + 256, PROBE_ROWS + 512, 600]
    assert {each.stage for each in told} == {"infer"}
    with pytest.raises(Stopped):
        predict_all(fitted(home), inputs, Bench(home, cancelled=lambda: True))


def test_no_rows_are_no_predictions(home: Path) -> None:
    nothing: list[Example] = []
    assert predict_all(fitted(home), [], Bench(home)) == []
    assert worst(nothing, []) == ()
