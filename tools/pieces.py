"""Cuts a long text into pieces that a model reads one by one, and picks those that matter."""

import math
import re
from collections import Counter
from collections.abc import Sequence

PIECE_TOKENS = 1_000
"""So large is a piece, estimated: a window of 2,048 then has room for the question and answer."""
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_ENDS = re.compile(r"(?<=[.!?。！？])\s+|(?<=[。！？])|\n+")
_SENTENCE_END = re.compile(r"[.!?。！？][\"'”’)\]]*(?=\s|$)|[。！？]")


def tokens_in(text: str) -> int:
    """About how many tokens: four characters each, or one character of Chinese and its like."""
    wide = len(_WIDE.findall(text))
    return wide + math.ceil((len(text) - wide) / 4)


def split_pieces(text: str, limit: int = PIECE_TOKENS) -> list[str]:
    """Pieces of at most about `limit` tokens, cut between sentences where there are any."""
    pieces: list[str] = []
    held: list[str] = []
    size = 0
    for part in _parts(text, limit):
        tokens = tokens_in(part)
        if held and size + tokens > limit:
            pieces.append("".join(held).strip())
            held, size = [], 0
        held.append(part)
        size += tokens
    pieces.append("".join(held).strip())
    return [piece for piece in pieces if piece] or [""]


def _parts(text: str, limit: int) -> list[str]:
    """Sentences with the space behind them; one that is too long is cut anywhere."""
    parts = []
    start = 0
    for end in [*(m.end() for m in _ENDS.finditer(text)), len(text)]:
        sentence = text[start:end]
        start = end
        # A character is one token at the most, so `limit` characters always fit.
        step = limit if tokens_in(sentence) > limit else max(1, len(sentence))
        parts += [sentence[i : i + step] for i in range(0, len(sentence), step)]
    return parts


def best_pieces(pieces: Sequence[str], question: str, count: int) -> list[str]:
    """The `count` pieces that share the rarest words with the question, in the text's order.

    The first piece is always among them: it tells what the text is.
    """
    if len(pieces) <= count:
        return list(pieces)
    words = [Counter(_words(piece)) for piece in pieces]
    asked = set(_words(question))
    rarity = {
        word: math.log(1 + len(pieces) / (1 + sum(word in counter for counter in words)))
        for word in asked
    }

    def score(index: int) -> float:
        total = sum(words[index].values())
        return sum(
            rarity[word] * hits / (hits + 1 + total / 500)
            for word in asked
            if (hits := words[index][word])
        )

    ranked = sorted(range(1, len(pieces)), key=lambda i: (-score(i), i))
    return [pieces[i] for i in sorted([0, *ranked[: count - 1]])]


def _words(text: str) -> list[str]:
    """Words in one case; of Chinese and its like, pairs of characters."""
    text = text.casefold()
    words = re.findall(r"\w+", _WIDE.sub(" ", text))
    runs = re.findall(rf"{_WIDE.pattern}+", text)
    return words + [run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1))]


def first_words(text: str, limit: int) -> str:
    """The text itself, or as many whole sentences of it as have at most `limit` words.

    A character of Chinese and its like counts as a word.
    """
    end = _end_of_words(text, limit)
    if end == len(text):
        return text
    stops = [m.end() for m in _SENTENCE_END.finditer(text[:end])]
    return text[: stops[-1]].rstrip() if stops else text[:end].rstrip() + "..."


def _end_of_words(text: str, limit: int) -> int:
    words = list(re.finditer(rf"{_WIDE.pattern}|(?:(?!{_WIDE.pattern})\S)+", text))
    return len(text) if len(words) <= limit else words[limit - 1].end()
