"""How a word is written: evidence of names that an encoder without capital letters cannot see.

An uncased tokenizer reads `Apple` and `apple` alike. The tagger adds a learned vector for the shape
of the word to the vectors of its pieces, so that every layer knows.
"""

import unicodedata
from functools import lru_cache

SHAPES = (
    "none",  # a mark of the model, no word
    "lower",  # flat
    "title",  # Berlin
    "upper",  # NATO
    "initial",  # A single capital letter
    "dotted",  # J. U.S.
    "hyphenated",  # Stratford-Upon, Al-Qaida
    "mixed_upper",  # McDonald, PhD
    "mixed_lower",  # iPhone
    "number",  # 1,234.50
    "code",  # A320, 3rd
    "mark",  # punctuation and symbols
    "at",  # @somebody
    "topic",  # #something
    "link",  # https://...
    "caseless",  # letters of scripts without capitals
)
"""In the order of their numbers, which tuned taggers depend on: only ever append."""
_NUMBER = {name: number for number, name in enumerate(SHAPES)}


def shape(word: str) -> int:
    """The number of the word's shape, in [0, len(SHAPES))."""
    return _NUMBER[shape_name(word)]


@lru_cache(50_000)
def shape_name(word: str) -> str:
    """The name of the word's shape."""
    if word.startswith(("http://", "https://", "www.")):
        return "link"
    if len(word) > 1 and word[0] in "@#":
        return "at" if word[0] == "@" else "topic"
    letters = [c for c in word if c.isalpha()]
    has_digit = any(c.isdigit() for c in word)
    if not letters:
        return "number" if has_digit else "mark"
    if has_digit:
        return "code"
    if not any(_has_case(c) for c in letters):
        return "caseless"
    return _by_case(word, letters)


def _by_case(word: str, letters: list[str]) -> str:
    capitals = sum(c.isupper() or c.istitle() for c in letters)
    if capitals == 0:
        return "lower"
    if "." in word and capitals == len(letters):
        return "dotted"
    if len(letters) == 1:
        return "initial"
    if capitals == len(letters):
        return "upper"
    parts = [part for part in word.split("-") if part]
    if len(parts) > 1 and all(_is_title(part) for part in parts):
        return "hyphenated"
    if _is_title(word):
        return "title"
    return "mixed_upper" if letters[0].isupper() else "mixed_lower"


def _is_title(word: str) -> bool:
    letters = [c for c in word if c.isalpha()]
    return bool(letters) and letters[0].isupper() and not any(c.isupper() for c in letters[1:])


def _has_case(letter: str) -> bool:
    return unicodedata.category(letter) in ("Lu", "Ll", "Lt")
