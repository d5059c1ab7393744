"""Tags by number, and the likeliest legal sequence of them for a sentence.

    names = tag_names(("LOC", "PER"))          # O, B-LOC, I-LOC, B-PER, I-PER
    best = legal_sequence(log_probabilities)   # numbers of tags, one a word

In BIO an `I-` may only follow a tag of its own type. Taking the likeliest tag of each word breaks
that rule now and then; this takes the likeliest sequence among those that keep it (Viterbi).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.tuning.examples import TagPrediction

Numbers = NDArray[np.floating]


def tag_names(types: Sequence[str]) -> tuple[str, ...]:
    """`O`, then `B-` and `I-` of each type in their order."""
    return ("O", *(f"{letter}-{name}" for name in types for letter in "BI"))


def tag_numbers(names: Sequence[str], tags: Sequence[str]) -> list[int]:
    """The place of each tag among the names."""
    places = {name: place for place, name in enumerate(names)}
    return [places[tag] for tag in tags]


def legal_sequence(log_probabilities: Numbers) -> NDArray[np.int64]:
    """The likeliest legal sequence.

    Args:
        log_probabilities: words x tags, the tags in the order of `tag_names`.
    """
    words, tags = log_probabilities.shape
    if not words:
        return np.zeros(0, dtype=np.int64)
    inside = np.arange(2, tags, 2)  # I- of each type; its B- stands just before
    came_from = np.zeros((words, tags), dtype=np.int64)
    score = log_probabilities[0].astype(np.float64)
    score[inside] = -np.inf
    for word in range(1, words):
        best = int(score.argmax())
        origin = np.full(tags, best)
        origin[inside] = np.where(score[inside] >= score[inside - 1], inside, inside - 1)
        came_from[word] = origin
        score = score[origin] + log_probabilities[word]
    sequence = np.empty(words, dtype=np.int64)
    sequence[-1] = score.argmax()
    for word in range(words - 1, 0, -1):
        sequence[word - 1] = came_from[word, sequence[word]]
    return sequence


def tag_prediction(names: Sequence[str], log_probabilities: Numbers) -> TagPrediction:
    """The likeliest legal tags of a sentence, each with its own probability."""
    sequence = legal_sequence(log_probabilities)
    chosen = log_probabilities[np.arange(len(sequence)), sequence]
    scores = np.exp(np.minimum(chosen.astype(np.float64), 0.0))
    return TagPrediction(tuple(names[i] for i in sequence), tuple(scores.tolist()))
