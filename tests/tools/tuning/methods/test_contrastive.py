"""Contrastive fine-tuning pulls the texts of a label together, whole or resumed."""

from pathlib import Path

import numpy as np
import pytest

from tests.tools.tuning.methods.problems import CLASSES, classes
from tools.tuning.examples import ClassPrediction, TextExample, TextInput, inputs_of
from tools.tuning.methods.base import Bench
from tools.tuning.methods.contrastive import MOST_STEPS, Contrastive
from tools.tuning.tally import mean_score, tally
from tools.tuning.task import Task


def test_texts_of_a_label_end_closer_together(tiny_bench: Bench) -> None:
    train = classes(36)
    before = Contrastive(CLASSES, {"steps": 1, "lr": 1e-9})
    before.fit(train, [], tiny_bench)
    after = Contrastive(CLASSES, {"steps": 60, "lr": 3e-3})
    after.fit(train, [], tiny_bench)
    assert closeness(after) > closeness(before) + 0.3
    test = classes(60, seed=4)
    assert mean_score(tally(test, after.predict(inputs_of(test)))) > 0.9


def closeness(method: Contrastive) -> float:
    """Mean cosine within a label minus that between labels."""
    vectors = method._fitted_reader.text_vectors(inputs_of(classes(30, seed=7)))
    cosine = vectors @ vectors.T
    same = np.arange(30)[:, None] % 3 == np.arange(30)[None] % 3
    return float(cosine[same].mean() - cosine[~same].mean())


def test_the_number_of_steps_grows_with_the_examples_and_has_an_end() -> None:
    method = Contrastive(CLASSES)
    assert method._steps(10) == 40
    assert 40 < method._steps(200) < method._steps(300)
    assert method._steps(10**6) == MOST_STEPS
    assert Contrastive(CLASSES, {"steps": 7})._steps(10**6) == 7


@pytest.mark.weights
def test_eight_examples_are_enough_for_a_plain_difference(weights: Path) -> None:
    task = Task("classification", ("question", "statement"))
    train = [
        TextExample(TextInput(text), (label,), 1)
        for label, texts in {
            "question": ["Who came?", "Where is it?", "How old are you?", "Why so late?"],
            "statement": ["He came.", "It is here.", "I am ten.", "The train was late."],
        }.items()
        for text in texts
    ]
    method = Contrastive(task, {"steps": 15})
    method.fit(train, [], Bench(weights, device="cpu"))
    said = method.predict([TextInput("Which way did they go?"), TextInput("They went home.")])
    assert [one.labels for one in said if isinstance(one, ClassPrediction)] == [
        ("question",),
        ("statement",),
    ]
