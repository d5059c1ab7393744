"""Words: nothing of a text is lost, spans and tags say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.tuning.errors import DataError
from tools.tuning.words import Span, flat_spans, is_unspaced, spans_to_tags, tags_to_spans, words


def cut(text: str, by_character: bool = False) -> list[str]:
    return [word.text for word in words(text, by_character)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Smith's flat.", ["Mr", ".", "Smith", "'s", "flat", "."]),
        ("Köln-Deutz, 17:45", ["Köln-Deutz", ",", "17:45"]),
        ("$1,234.50 at U.S. banks", ["$", "1,234.50", "at", "U.S.", "banks"]),
        ("@paul see http://t.co/x, now", ["@paul", "see", "http://t.co/x", ",", "now"]),
        ("mail a.b@c.de!", ["mail", "a.b@c.de", "!"]),
        ("我在Berlin", ["我", "在", "Berlin"]),
        ("", []),
    ],
)
def test_cuts_like_the_public_data(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_cuts_by_character_when_asked() -> None:
    assert cut("他在 iOS", by_character=True) == ["他", "在", "i", "O", "S"]
    assert cut("👨‍👩‍👧e\u0301", by_character=True) == ["👨‍👩‍👧", "e\u0301"]


@given(st.text(), st.booleans())
def test_every_character_that_is_no_space_is_in_one_word(text: str, by_character: bool) -> None:
    found = words(text, by_character)
    assert all(text[w.start : w.end] == w.text for w in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))
    between = set(range(len(text))) - {i for w in found for i in range(w.start, w.end)}
    assert all(text[i].isspace() for i in between)


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_english_is_cut_as_any_text_is(text: str) -> None:
    assert cut(text) == cut(f"{text} 京")[:-1]


def test_signs_above_and_below_letters_stay_in_the_word() -> None:
    assert cut("हिन्दी में cafe\u0301s") == ["हिन्दी", "में", "cafe\u0301s"]


def test_spans_become_tags_and_come_back() -> None:
    text = "Ann Lee went to New York"
    spans = [Span("PER", 0, 7), Span("LOC", 16, 24)]
    tags = spans_to_tags(words(text), spans)
    assert tags == ("B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC")
    assert tags_to_spans(words(text), tags) == spans


def test_a_span_that_ends_inside_a_word_takes_the_whole_word() -> None:
    assert spans_to_tags(words("from 5-7pm"), [Span("TIME", 5, 6)]) == ("O", "B-TIME")


def test_refuses_a_span_without_a_word_and_two_on_one() -> None:
    with pytest.raises(DataError, match="holds no word"):
        spans_to_tags(words("a  b"), [Span("X", 1, 2)])
    with pytest.raises(DataError, match="shares the word 'b' with X"):
        spans_to_tags(words("a b c"), [Span("X", 0, 3), Span("Y", 2, 5)])


def test_of_overlapping_spans_the_longest_stays() -> None:
    text_words = words("at 8:00 tonight please")
    spans = [Span("date", 8, 15), Span("time", 3, 15)]
    assert flat_spans(text_words, spans) == [Span("time", 3, 15)]
    spans = [Span("short", 0, 7), Span("long", 3, 22), Span("as long", 8, 15)]
    assert flat_spans(text_words, spans) == [Span("long", 3, 22)]


def test_knows_writing_without_spaces() -> None:
    assert is_unspaced(["他在北京 iOS"])
    assert not is_unspaced(["Peking 北京"])
