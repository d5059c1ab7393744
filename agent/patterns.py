"""Regular expressions that people write, run with a limit on time and size.

Python's `re` can take hours on a pattern such as `(a+)+$`; the `regex` module understands the same
syntax and can be told to stop. A pattern that runs out of time has not matched, and says so.
"""

from collections.abc import Iterator

import regex  # type: ignore[import-untyped]  # the package ships no types

MATCH_SECONDS = 1.0
"""Time for one search; real patterns need microseconds."""
MAX_PATTERN_CHARS = 1_000
MAX_REPEAT = 10_000
"""The largest count in `{m,n}`: larger ones take the compiler long or much memory."""
MAX_TEXT_CHARS = 2_000_000

_CLUSTER = regex.compile(r"\X")
_MARKS = regex.compile(r"[\p{Mn}\p{Me}]")
_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
_WORD = regex.compile(rf"[{_CJK}]|[\w--[{_CJK}]][[\w'\u2019-]--[{_CJK}]]*", regex.VERSION1)
_REPEAT = regex.compile(r"(?<!\\)\{(\d*)(?:,(\d*))?\}")


class PatternError(ValueError):
    """The pattern is not valid, or it could not be run within its limits."""


def check_pattern(pattern: str) -> None:
    """Raise PatternError, with the reason, unless the pattern can be used."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise PatternError(
            f"the pattern has {len(pattern)} characters; at most {MAX_PATTERN_CHARS} are allowed"
        )
    product = 1
    for found in _REPEAT.finditer(pattern):
        product *= max(1, *(int(count[:9]) for count in found.groups() if count), 1)
    if product > MAX_REPEAT:
        raise PatternError(f"the pattern repeats up to {product} times; at most {MAX_REPEAT}")
    _compile(pattern)


def found_in(pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere in the text (`^` and `$`: the whole of it).

    Raises:
        PatternError: not valid, the text is too long, or the search took over a second.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise PatternError(
            f"the text has {len(text)} characters; patterns are run over at most {MAX_TEXT_CHARS}"
        )
    check_pattern(pattern)
    try:
        return _compile(pattern).search(text, timeout=MATCH_SECONDS) is not None
    except TimeoutError:
        raise PatternError(
            f"the pattern took over {MATCH_SECONDS:g} s; it backtracks too much"
        ) from None


def clusters(text: str) -> Iterator[str]:
    """The text in pieces that a reader sees as one character each."""
    for match in _CLUSTER.finditer(text):
        yield match.group()


def count_words(text: str) -> int:
    """Words of the text; Chinese and Japanese have no blanks, so each character counts as one."""
    return sum(1 for _ in _WORD.finditer(text))


def has_marks(text: str) -> bool:
    """Whether the text holds combining marks."""
    return _MARKS.search(text) is not None


def _compile(pattern: str) -> "regex.Pattern":
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError, MemoryError) as error:
        raise PatternError(f"not a regular expression: {error or type(error).__name__}") from None
