"""Patterns are bounded in time and size; words are counted as people count them."""

import time

import pytest

from agent.patterns import PatternError, check_pattern, count_words, found_in


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(\w+\s?)*\1x$", "ab " * 40),
        (r"(a|aa)+$", "a" * 60 + "b"),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 60),
        (r"(.*)*(.*)*x$", "y" * 5_000),
        (r"((?:a?){30}a{30})+$", "a" * 29),
    ],
)
def test_a_search_ends_in_time(pattern: str, text: str) -> None:
    started = time.process_time()
    try:
        assert not found_in(pattern, text)
    except PatternError as error:
        assert "backtracks" in str(error)  # noqa: PT017 - either outcome is fine, in time
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "[a",
        "(?i",
        "a{99999}",
        "(a{1,200}){1,200}",
        "x" * 1001,
        "(" * 900 + ")" * 900,
        "(?P<a>",
    ],
)
def test_an_unusable_pattern_is_refused_at_once(pattern: str) -> None:
    started = time.process_time()
    with pytest.raises(PatternError):
        check_pattern(pattern)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d+$",
        r"(?i)deadline",
        r"\bBerlin\b",
        r"[A-Z]{2,3}-\d{4}",
        r"(?<=€)\d+",
        r"上海,1562\b",
        "[[a]",
    ],
)
def test_a_usual_pattern_is_taken(pattern: str) -> None:
    check_pattern(pattern)


def test_a_text_too_long_for_patterns_says_so() -> None:
    with pytest.raises(PatternError, match="characters"):
        found_in("a", "b" * 2_000_001)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one", 1),
        ("it's a well-known café", 4),
        ("- one\n- two", 2),
        ("3.14 and 42", 4),
        ("统计行数", 4),
        ("写到 out 文件", 5),
        ("カタカナ", 4),
        ("한국어 문장", 2),
        ("abc中文def", 4),
    ],
)
def test_counts_words(text: str, words: int) -> None:
    assert count_words(text) == words
