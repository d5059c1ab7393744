"""The first control: shares of labels, and each known word's tags."""

import pytest

from tests.tools.tuning.methods.problems import CLASSES, SEVERAL, TAGS, classes, several, tags
from tools.tuning.examples import ClassPrediction, TagPrediction, TextInput, TokenInput
from tools.tuning.methods.base import Bench
from tools.tuning.methods.majority import Majority


def test_says_the_most_frequent_label_of_any_text(tiny_bench: Bench) -> None:
    method = Majority(CLASSES)
    method.fit([*classes(30), *classes(2)[1:]], [], tiny_bench)
    said = method.predict([TextInput("dull"), TextInput("")])
    assert [one.labels for one in said if isinstance(one, ClassPrediction)] == [("good",)] * 2
    assert isinstance(said[0], ClassPrediction)
    assert said[0].probabilities == pytest.approx((10 / 31, 11 / 31, 10 / 31))


def test_says_every_label_that_most_texts_have(tiny_bench: Bench) -> None:
    method = Majority(SEVERAL)
    frequent = [example for example in several(40) if "odd" in getattr(example, "labels", ())]
    method.fit([*several(16), *frequent], [], tiny_bench)
    said = method.predict([TextInput("a film")])[0]
    assert isinstance(said, ClassPrediction)
    assert said.labels == ("odd",)


def test_gives_known_words_the_tags_that_they_had(tiny_bench: Bench) -> None:
    method = Majority(TAGS)
    method.fit(tags(60), [], tiny_bench)
    said = method.predict([TokenInput(("Cairo", "likes", "Clara", "Brown", "and", "Zoe"))])[0]
    assert isinstance(said, TagPrediction)
    assert said.tags == ("B-LOC", "O", "B-PER", "I-PER", "O", "O")
    assert said.scores[0] > 0.99


def test_a_tag_that_may_not_begin_an_entity_is_mended(tiny_bench: Bench) -> None:
    method = Majority(TAGS)
    method.fit(tags(60), [], tiny_bench)
    said = method.predict([TokenInput(("the", "Brown", "bear"))])[0]
    assert isinstance(said, TagPrediction)
    assert said.tags == ("O", "O", "O")
