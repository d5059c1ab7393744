"""The second control: the vote of the nearest examples."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tools.tuning.methods.problems import CLASSES, TAGS, classes, tags
from tools.tuning.examples import (
    ClassPrediction,
    Example,
    TagPrediction,
    TextExample,
    TextInput,
    inputs_of,
)
from tools.tuning.methods.base import Bench
from tools.tuning.methods.nearest import Nearest
from tools.tuning.tally import mean_score, tally


def test_a_text_that_is_known_gets_its_label(tiny_bench: Bench) -> None:
    known = list(dict.fromkeys(replace(e, line=1) for e in classes(40)))
    method = Nearest(CLASSES, {"voters": 1})
    method.fit(known, [], tiny_bench)
    assert mean_score(tally(known, method.predict(inputs_of(known)))) == 1


def test_the_vote_tells_how_sure_it_is(tiny_bench: Bench) -> None:
    given = TextInput("a good film")
    train: list[Example] = [
        TextExample(given, (label,), i + 1)
        for i, label in enumerate(["good", "good", "good", "bad", "odd", "odd"])
    ]
    method = Nearest(CLASSES, {"voters": 4})
    method.fit(train[:4], [], tiny_bench)
    said = method.predict([given])[0]
    assert isinstance(said, ClassPrediction)
    assert said.labels == ("good",)
    assert said.probabilities == pytest.approx((0.25, 0.7292, 0.0208), abs=0.02)


def test_how_many_vote_is_found_by_leaving_one_out() -> None:
    dice = np.random.default_rng(0)
    truth = np.arange(300) % 3
    vectors = np.eye(3)[truth] + 0.1 * dice.normal(size=(300, 3))
    noisy = np.where(dice.random(300) < 0.3, dice.integers(0, 3, 300), truth)
    method = Nearest(CLASSES)
    method._vectors = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    method._answers = np.eye(3, dtype=np.float32)[noisy]
    assert method._best_voters() == 16
    method._answers = np.eye(3, dtype=np.float32)[truth]
    assert method._best_voters() == 1


def test_words_vote_in_their_sentence(tiny_bench: Bench) -> None:
    method = Nearest(TAGS)
    train, test = tags(60), tags(20, seed=5)
    method.fit(train, [], tiny_bench)
    said = method.predict(inputs_of(test))
    assert mean_score(tally(test, said)) > 0.7
    assert all(isinstance(one, TagPrediction) for one in said)


def test_no_more_is_kept_than_was_asked_for(tiny_bench: Bench) -> None:
    method = Nearest(CLASSES, {"most": 10})
    method.fit(classes(60), [], tiny_bench)
    assert len(method._vectors) == 10
