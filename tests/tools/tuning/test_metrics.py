"""Metrics: the same figures as scikit-learn and seqeval give, on random predictions."""

import random
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (  # type: ignore[import-untyped]  # ships no types
    classification_report,
    confusion_matrix,
    f1_score,
)

from tests.long_list import in_full
from tools.tuning.examples import (
    ClassPrediction,
    TagExample,
    TagPrediction,
    TextExample,
    TextInput,
    TokenInput,
)
from tools.tuning.metrics import Metrics, evaluate, per_example, score_interval
from tools.tuning.tagging import Entity, tags_of
from tools.tuning.task import Task

SINGLE = Task("classification", ("a", "b", "c"))
MULTI = Task("classification", ("a", "b", "c"), multi_label=True)
NER = Task("ner", ("LOC", "PER"))


def text(*labels: str) -> TextExample:
    return TextExample(TextInput("x"), tuple(labels), 1)


def says(*labels: str) -> ClassPrediction:
    return ClassPrediction(tuple(labels), (1.0,))


def sentence(*tags: str) -> TagExample:
    return TagExample(TokenInput(("x",) * len(tags)), tuple(tags), 7)


def tagged(*tags: str) -> TagPrediction:
    return TagPrediction(tuple(tags), (1.0,) * len(tags))


def random_tags(draw: random.Random, length: int) -> tuple[str, ...]:
    found, at = [], 0
    while at < length:
        end = min(length, at + draw.randint(1, 3))
        if draw.random() < 0.4:
            found.append(Entity(draw.choice(NER.labels), at, end))
        at = end
    return tags_of(found, length)


def assert_rows(about: Metrics, expected: dict[str, Any]) -> None:
    for row in about.rows:
        if row.label in expected:
            other = expected[row.label]
            assert row.precision == pytest.approx(other["precision"])
            assert row.recall == pytest.approx(other["recall"])
            assert row.f1 == pytest.approx(other["f1-score"])
            assert row.support == other["support"]


@pytest.mark.parametrize("seed", range(5))
def test_single_labels_equal_scikit_learn(seed: int) -> None:
    draw = random.Random(seed)
    gold = draw.choices("abc", [5, 3, 1], k=60)
    said = [g if draw.random() < 0.5 else draw.choice("ab") for g in gold]
    about = evaluate(SINGLE, [text(g) for g in gold], [says(s) for s in said])
    report = classification_report(gold, said, output_dict=True, zero_division=0)
    assert about.name == "accuracy"
    assert about.score == about.micro_f1 == pytest.approx(report["accuracy"])
    assert about.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert about.weighted_f1 == pytest.approx(report["weighted avg"]["f1-score"])
    assert_rows(about, report)
    matrix = confusion_matrix(gold, said, labels=list("abc"))
    assert about.confusion_labels == ("a", "b", "c")
    assert np.array_equal(about.confusion, matrix)


@pytest.mark.parametrize("seed", range(5))
def test_several_labels_equal_scikit_learn(seed: int) -> None:
    draw = random.Random(seed)
    gold = [[label for label in "abc" if draw.random() < 0.4] for _ in range(50)]
    said = [[label for label in "abc" if draw.random() < 0.4] for _ in range(50)]
    about = evaluate(MULTI, [text(*g) for g in gold], [says(*s) for s in said])
    table = [np.array([[label in row for label in "abc"] for row in x]) for x in (gold, said)]
    report = classification_report(
        *table, target_names=list("abc"), output_dict=True, zero_division=0
    )
    assert about.name == "micro_f1"
    assert about.score == pytest.approx(report["micro avg"]["f1-score"])
    assert about.precision == pytest.approx(report["micro avg"]["precision"])
    assert about.recall == pytest.approx(report["micro avg"]["recall"])
    assert about.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert about.accuracy == pytest.approx(np.mean([g == s for g, s in zip(gold, said)]))  # noqa: B905
    assert_rows(about, report)
    assert about.confusion == ()


@pytest.mark.stress("entity-f1")
def test_entities_equal_seqeval() -> None:
    from seqeval.metrics import (  # type: ignore[import-untyped]  # ships no types
        accuracy_score as token_accuracy,
    )
    from seqeval.metrics import classification_report as entity_report

    for seed in range(500 if in_full() else 20):
        draw = random.Random(seed)
        gold = [random_tags(draw, draw.randint(1, 12)) for _ in range(8)]
        said = [g if draw.random() < 0.4 else random_tags(draw, len(g)) for g in gold]
        about = evaluate(NER, [sentence(*g) for g in gold], [tagged(*s) for s in said])
        lists = [list(map(list, gold)), list(map(list, said))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty file of entities, now and then
            report = entity_report(*lists, output_dict=True, zero_division=0)
        assert about.name == "entity_f1"
        assert about.score == pytest.approx(report["micro avg"]["f1-score"])
        assert about.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
        assert about.weighted_f1 == pytest.approx(report["weighted avg"]["f1-score"])
        assert about.accuracy == pytest.approx(token_accuracy(*lists))
        assert_rows(about, report)


def test_token_rows_and_confusion_count_tokens() -> None:
    about = evaluate(
        NER,
        [sentence("B-PER", "I-PER", "O", "B-LOC")],
        [tagged("B-PER", "O", "O", "B-PER")],
    )
    rows = {row.label: row for row in about.token_rows}
    assert list(rows) == ["B-LOC", "I-LOC", "B-PER", "I-PER", "O"]
    assert rows["B-PER"].precision == 0.5
    assert rows["B-PER"].recall == 1.0
    assert rows["I-PER"].support == 1
    assert rows["I-PER"].predicted == 0
    assert about.score == 0.0  # no entity with both ends right
    assert about.confusion_labels == ("LOC", "PER", "O")
    assert about.confusion == ((0, 1, 0), (0, 1, 1), (0, 0, 1))


def test_a_label_that_only_predictions_have_gets_a_row_and_a_column() -> None:
    about = evaluate(SINGLE, [text("a"), text("b")], [says("z"), says("b")])
    assert [row.label for row in about.rows] == ["a", "b", "c", "z"]
    assert about.confusion_labels == ("a", "b", "c", "z")
    assert about.macro_f1 == pytest.approx(1 / 3)  # c occurs nowhere


def test_values_of_single_examples() -> None:
    gold = [text("a"), text("b")]
    assert per_example(SINGLE, gold, [says("a"), says("a")]) == [1.0, 0.0]
    many = [text("a", "b"), text(), text("c")]
    assert per_example(MULTI, many, [says("a"), says(), says()]) == [pytest.approx(2 / 3), 1.0, 0.0]
    tags = [sentence("B-PER", "I-PER", "B-LOC"), sentence("O")]
    said = [tagged("B-PER", "I-PER", "O"), tagged("O")]
    assert per_example(NER, tags, said) == [pytest.approx(2 / 3), 1.0]


def test_the_interval_holds_the_score_and_narrows_with_more_examples() -> None:
    gold = [text("a"), text("b")] * 20
    said = [says("a")] * 40
    low, high = score_interval(SINGLE, gold, said)
    assert low < 0.5 < high
    longer = score_interval(SINGLE, gold * 20, said * 20)
    assert low < longer[0] < longer[1] < high
    tags = [sentence("B-PER"), sentence("B-LOC"), sentence("O")] * 10
    found = [tagged("B-PER"), tagged("O"), tagged("O")] * 10
    low, high = score_interval(NER, tags, found)
    assert low < f1_score([1, 1, 0], [1, 0, 0]) < high


def test_metrics_survive_json() -> None:
    import json

    about = evaluate(NER, [sentence("B-PER", "O")], [tagged("O", "B-LOC")])
    assert Metrics.from_dict(json.loads(json.dumps(about.as_dict()))) == about


def test_nothing_to_measure_is_zero() -> None:
    assert evaluate(SINGLE, [], []).score == 0.0
    assert evaluate(NER, [sentence("O")], [tagged("O")]).score == 0.0


def test_refuses_predictions_that_do_not_belong() -> None:
    with pytest.raises(ValueError, match="1 predictions for 2 examples"):
        evaluate(SINGLE, [text("a"), text("b")], [says("a")])
    with pytest.raises(ValueError, match="1 tags for the 2 tokens of line 7"):
        evaluate(NER, [sentence("O", "O")], [tagged("O")])
