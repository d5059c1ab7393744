"""A linear head on a frozen encoder learns what its vectors tell apart."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools.tuning.methods.problems import PROBLEMS, SEVERAL, TAGS, classes, several, tags
from tools.tuning.examples import ClassPrediction, TextExample, TextInput, inputs_of
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.methods.frozen import frozen
from tools.tuning.methods.labels import class_flags
from tools.tuning.methods.linear_head import LinearHead
from tools.tuning.tally import mean_score, tally
from tools.tuning.task import Task


@pytest.mark.parametrize(
    ("problem", "least"), [("classes", 0.8), ("several", 0.7), ("pairs", 0.8), ("tags", 0.9)]
)
def test_learns_every_kind_of_task(problem: str, least: float, tiny_bench: Bench) -> None:
    task, make = PROBLEMS[problem]
    method = LinearHead(task, {"c": 1_000.0})
    method.fit(make(160), [], tiny_bench)
    test = make(60, seed=9)
    assert mean_score(tally(test, method.predict(inputs_of(test)))) >= least


def test_rare_labels_are_weighed_up_where_that_is_better(tiny_bench: Bench) -> None:
    told: list[Progress] = []
    task = Task("classification", ("bad", "good", "odd"))
    train = [e for e in classes(300) if getattr(e, "labels", ()) != ("odd",)] + classes(30)[2::3]
    method = LinearHead(task)
    method.fit(train, [], replace(tiny_bench, on_progress=told.append))
    assert told[-1].note.startswith("C ")
    balanced = {choice.balanced for choice in method._choices(class_flags(task, train))}
    assert balanced == {False, True}
    assert {choice.balanced for choice in method._choices(class_flags(task, classes(30)))} == {
        False
    }


def test_a_text_without_any_label_is_an_answer(tiny_bench: Bench) -> None:
    method = LinearHead(SEVERAL, {"c": 1_000.0})
    method.fit(several(160), [], tiny_bench)
    said = method.predict([TextInput("a film"), TextInput("a good bad weird film")])
    assert [len(one.labels) for one in said if isinstance(one, ClassPrediction)] == [0, 3]


def test_texts_are_read_once_however_often_they_are_asked_for(
    tiny_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = frozen(tiny_bench, max_tokens=256)
    read: list[int] = []
    plain = opened.reader.text_vectors

    def counted(inputs, check=lambda: None):  # type: ignore[no-untyped-def]  # as the reader's own
        read.append(len(inputs))
        return plain(inputs, check)

    monkeypatch.setattr(opened.reader, "text_vectors", counted)
    train = [TextExample(TextInput(f"text {i}"), (("bad", "good")[i % 2],), i) for i in range(20)]
    for _ in range(3):
        LinearHead(Task("classification", ("bad", "good"))).fit(train, [], tiny_bench)
    assert sum(read) == 20


@pytest.mark.weights
def test_a_frozen_encoder_knows_topics_from_few_examples(weights: Path) -> None:
    task = Task("classification", ("food", "travel"))
    texts = {
        "food": ["boil the noodles", "a pinch of salt", "fresh bread", "fry the onions gently"],
        "travel": ["the night train", "book a hotel", "lost my passport", "a delayed flight"],
    }
    train = [
        TextExample(TextInput(text), (label,), i)
        for label, some in texts.items()
        for i, text in enumerate(some)
    ]
    method = LinearHead(task)
    method.fit(train, [], Bench(weights, device="cpu"))
    said = method.predict([TextInput("bake a cake"), TextInput("we missed our bus to Rome")])
    assert [one.labels for one in said if isinstance(one, ClassPrediction)] == [
        ("food",),
        ("travel",),
    ]


def test_words_beyond_the_most_are_left_out(tiny_bench: Bench) -> None:
    method = LinearHead(TAGS, {"most_words": 50})
    train = tags(200)
    method._frozen = frozen(tiny_bench, max_tokens=256)
    features, answers = method._known(train, tiny_bench)
    assert len(features) == len(answers) < 60
