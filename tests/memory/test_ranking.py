"""Meaning and words together: each pulls up what it is good at."""

import time

import pytest

from memory.ranking import fused_order, word_scores, words


def test_a_name_that_the_encoder_overlooks_is_pulled_up() -> None:
    texts = ["Deliveries leave daily.", "Order lists.", "BX-417 left on Monday.", "Cats."]
    assert fused_order("where is BX-417?", texts) == [2, 0, 1, 3]


def test_without_a_common_word_the_order_stays() -> None:
    assert fused_order("refund", ["money back", "holidays", "cats"]) == [0, 1, 2]


def test_the_nearer_of_two_with_the_same_words_stays_ahead() -> None:
    texts = ["cats", "the refund is paid", "the refund is paid", "the"]
    assert fused_order("when is the refund paid?", texts) == [1, 2, 3, 0]


def test_rare_words_and_short_texts_score_higher() -> None:
    rare, common, long, none = word_scores(
        "lamp price", ["lamp", "price", "price " + "of a thing " * 30, "cats"]
    )
    assert rare > common > long > none == 0.0


def test_a_word_counts_once_however_often_it_is_asked() -> None:
    texts = ["lamp", "desk"]
    assert word_scores("lamp lamp LAMP", texts) == word_scores("lamp", texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Read_File the CSV-file", ["read", "file", "the", "csv", "file"]),
        ("Größe STRASSE", ["grösse", "strasse"]),
        ("退款需要14天", ["退款", "款需", "需要", "14", "天"]),
        ("", []),
        ("\ud800 ?", ["\ud800"] if "\ud800".isalnum() else []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("texts", [[], [""], ["", "?"], ["x" * 1_000_000]])
def test_odd_texts_are_ordered_too(texts: list[str]) -> None:
    started = time.process_time()
    assert sorted(fused_order("x", texts)) == list(range(len(texts)))
    assert time.process_time() - started < 5
