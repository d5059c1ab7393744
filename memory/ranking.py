"""Orders passages by meaning and by words together.

An encoder finds what is meant but is loose with names and numbers, word counting (BM25) the other
way round. Each gives a rank; a passage's score is the sum of 1 / (60 + rank), reciprocal rank
fusion with its usual constant. `benchmarks/recall.py` prints what it brings.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

FUSION = 60
K1, B = 1.2, 0.75
"""BM25's usual constants: how soon a repeated word stops counting, how much length does."""

_WIDE = r"\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORDS = re.compile(rf"[{_WIDE}]+|[^\W_{_WIDE}]+")
_RUN = re.compile(rf"[{_WIDE}]")


def fused_order(query: str, texts: Sequence[str]) -> list[int]:
    """Indexes of `texts`, best first; they come in the order of their similarity."""
    scores = word_scores(query, texts)
    fused = [1 / (FUSION + place) for place in range(len(texts))]
    for place, i in enumerate(sorted(range(len(texts)), key=lambda i: -scores[i])):
        if scores[i] > 0:
            fused[i] += 1 / (FUSION + place)
    return sorted(range(len(texts)), key=lambda i: -fused[i])


def word_scores(query: str, texts: Sequence[str]) -> list[float]:
    """BM25 of each text, with the rarity of words as it is among these texts."""
    counts = [Counter(words(text)) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(lengths) if any(lengths) else 1.0
    scores = [0.0] * len(texts)
    for word in set(words(query)):
        found = [i for i, count in enumerate(counts) if word in count]
        rarity = math.log(1 + (len(texts) - len(found) + 0.5) / (len(found) + 0.5))
        for i in found:
            times = counts[i][word]
            norm = K1 * (1 - B + B * lengths[i] / mean)
            scores[i] += rarity * times * (K1 + 1) / (times + norm)
    return scores


def words(text: str) -> list[str]:
    """Words in one case, parted at punctuation and `_`; of Chinese and its like, letter pairs."""
    found = []
    for word in _WORDS.findall(text.casefold()):
        if _RUN.match(word) and len(word) > 1:
            found += [word[i : i + 2] for i in range(len(word) - 1)]
        else:
            found.append(word)
    return found
