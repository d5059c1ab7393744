"""Shapes of words: every word has one, and names look unlike plain words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tuning.methods.word_shapes import SHAPES, shape, shape_name


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("flat", "lower"),
        ("Berlin", "title"),
        ("NATO", "upper"),
        ("A", "initial"),
        ("U.S.", "dotted"),
        ("J.", "dotted"),
        ("Al-Qaida", "hyphenated"),
        ("Köln-Deutz", "hyphenated"),
        ("McDonald", "mixed_upper"),
        ("iPhone", "mixed_lower"),
        ("1,234.50", "number"),
        ("A320", "code"),
        ("3rd", "code"),
        ("...", "mark"),
        ("", "mark"),
        ("@anna", "at"),
        ("#topic", "topic"),
        ("https://example.org/A", "link"),
        ("北京", "caseless"),
        ("İstanbul", "title"),
        ("ÅÄÖ", "upper"),
    ],
)
def test_words_have_the_shape_that_one_sees(word: str, name: str) -> None:
    assert shape_name(word) == name
    assert SHAPES[shape(word)] == name


@given(st.text())
def test_every_text_has_a_shape(word: str) -> None:
    assert 0 < shape(word) < len(SHAPES)


def test_numbers_of_shapes_never_change() -> None:
    assert SHAPES[:4] == ("none", "lower", "title", "upper")
    assert len(SHAPES) == 16
