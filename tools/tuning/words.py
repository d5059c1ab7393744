"""Raw text cut into words for taggers, and spans of characters made tags of words, and back.

    words("Mr. Smith's flat in Köln-Deutz")   # Mr | . | Smith | 's | flat | in | Köln-Deutz
    words("他在北京", by_character=True)       # 他 | 在 | 北 | 京

Every character that is not a space is in exactly one word. Links, addresses, @names, #topics,
numbers (`1,234.50`, `17:45`), abbreviations (`U.S.`) and hyphenated words stay whole, an English
`'s` or `'ve` is a word of its own: the way in which the public taggers' data are cut. Chinese and
Japanese, which write no spaces, are always cut by character.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import regex  # type: ignore[import-untyped]  # the package ships no types

from tools.tuning.errors import DataError
from tools.tuning.tagging import Entity, entities, tags_of

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"
_PATTERN = r"""
      (?i:https?://|www\.)[^\s<>"]*[^\s<>".,;:!?)\]']
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | [@\#]LETTER+
    | (?:[^\W\d_]\.){2,}
    | \d+(?:[.,:]\d+)+
    | ['’](?i:s|ve|re|ll|d|m|t)\b
    | LETTER+(?:-LETTER+)*
    | REST
"""
_ANY = regex.compile(
    _PATTERN.replace("LETTER", rf"[\p{{L}}\p{{M}}\p{{N}}_--[{_UNSPACED}]]").replace("REST", r"\X"),
    regex.VERBOSE | regex.VERSION1,
)
# The same for plain English, three times as fast.
_ASCII = re.compile(_PATTERN.replace("LETTER", r"\w").replace("REST", r"\S"), re.VERBOSE | re.ASCII)
_GRAPHEME = regex.compile(r"\X")
_CHINESE_OR_JAPANESE = regex.compile(rf"[{_UNSPACED}]", regex.VERSION1)
_ANY_LETTER = regex.compile(r"\p{L}")


class Word(NamedTuple):
    """A word of a text: `text[start:end]`."""

    text: str
    start: int
    end: int


class Span(NamedTuple):
    """An entity of a text: `text[start:end]` is of this type."""

    type: str
    start: int
    end: int


def words(text: str, by_character: bool = False) -> list[Word]:
    """The words of a text with their places; one a visible character where asked."""
    pattern = _GRAPHEME if by_character else _ASCII if text.isascii() else _ANY
    return [
        Word(match[0], match.start(), match.end())
        for match in pattern.finditer(text)
        if not match[0].isspace()
    ]


def spans_to_tags(text_words: Sequence[Word], spans: Iterable[Span]) -> tuple[str, ...]:
    """BIO tags of the words. A span that ends inside a word takes the whole word.

    Raises:
        DataError: a span holds no word, or two of them share one; a word has one tag.
    """
    found: list[Entity] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        entity = _entity(text_words, span)
        if found and entity.start < found[-1].end:
            raise DataError(
                f"{span.type} from {span.start} to {span.end} shares the word "
                f"{text_words[entity.start].text!r} with {found[-1].type}; keep one of the two"
            )
        found.append(entity)
    return tags_of(found, len(text_words))


def flat_spans(text_words: Sequence[Word], spans: Iterable[Span]) -> list[Span]:
    """The spans without those that share a word with a longer one, or an earlier one as long.

    Raises:
        DataError: a span holds no word.
    """
    kept: list[Span] = []
    taken: set[int] = set()
    for span in sorted(spans, key=lambda span: (span.start - span.end, span.start)):
        entity = _entity(text_words, span)
        places = range(entity.start, entity.end)
        if taken.isdisjoint(places):
            taken.update(places)
            kept.append(span)
    return sorted(kept, key=lambda span: span.start)


def tags_to_spans(text_words: Sequence[Word], tags: Sequence[str]) -> list[Span]:
    """The characters that BIO tags mark, from left to right."""
    return [
        Span(found.type, text_words[found.start].start, text_words[found.end - 1].end)
        for found in entities(tags)
    ]


def is_unspaced(texts: Iterable[str]) -> bool:
    """Most letters are Chinese or Japanese, so that a word is a character."""
    unspaced = letters = 0
    for text in texts:
        if not text.isascii():
            unspaced += len(_CHINESE_OR_JAPANESE.findall(text))
        letters += len(_ANY_LETTER.findall(text))
    return unspaced * 2 > letters


def _entity(text_words: Sequence[Word], span: Span) -> Entity:
    """The words that a span touches."""
    touched = [
        i
        for i, word in enumerate(text_words)
        if max(word.start, span.start) < min(word.end, span.end)
    ]
    if not touched:
        raise DataError(f"{span.type} from {span.start} to {span.end} holds no word")
    return Entity(span.type, touched[0], touched[-1] + 1)
