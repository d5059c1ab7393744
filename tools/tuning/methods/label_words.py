"""The second stage, encode: prompt texts and label words as a language model's token ids.

A text of the data never becomes a special token, whatever it says; a word is encoded as it follows
the row that it ends, so that the ids are those that the model would write.
"""

import string
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from tools.tuning.design import Design
from tools.tuning.examples import TextInput

CHARACTERS_PER_TOKEN = 16
"""So much of a text is shown to the tokenizer for each token that it may have."""


def encode(tokenizer: Any, text: str) -> list[int]:
    """The ids of the text, nothing added and nothing special in it."""
    ids: list[int] = tokenizer.encode(
        text, add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    return ids


def start_ids(tokenizer: Any) -> list[int]:
    """What this tokenizer puts before every text: its begin mark, or nothing."""
    first: list[int] = tokenizer.encode("a", verbose=False)[:1]
    begin = tokenizer.bos_token_id
    return first if begin is not None and first == [begin] else []


def encode_row(
    tokenizer: Any, design: Design, given: TextInput, limit: int, *, with_lead: bool = True
) -> list[int]:
    """The ids of the design's row for this input, at least one and at most `limit` of them.

    What is too long is cut off the ends of the texts, never off what leads to the label.

    Args:
        with_lead: False leaves out what leads to the label, which is then encoded by itself.
    """
    lead = "" if with_lead else design.lead

    def ids_of(shown: TextInput) -> list[int]:
        return encode(tokenizer, design.row(shown).removesuffix(lead)) or encode(tokenizer, "\n")

    shown = TextInput(
        given.text[: limit * CHARACTERS_PER_TOKEN], given.pair[: limit * CHARACTERS_PER_TOKEN]
    )
    ids = ids_of(shown)
    while len(ids) > limit and (shown.text or shown.pair):
        keep = max(limit - 2, 0) / len(ids)  # cut in proportion: a round or two are enough
        if len(shown.text) >= len(shown.pair):
            shown = TextInput(shown.text[: int(len(shown.text) * keep)], shown.pair)
        else:
            shown = TextInput(shown.text, shown.pair[: int(len(shown.pair) * keep)])
        ids = ids_of(shown)
    return ids


def word_ids(tokenizer: Any, lead: str, words: Sequence[str]) -> list[list[int]]:
    """The ids of each word where it follows `lead` and a space; at least one each."""
    before = encode(tokenizer, lead)
    found = []
    for word in words:
        ids = encode(tokenizer, f"{lead} {word}")
        # Where lead and word melt into one token, the word is taken by itself.
        found.append(
            ids[len(before) :]
            if ids[: len(before)] == before and len(ids) > len(before)
            else encode(tokenizer, f" {word}")
        )
    return found


def own_tokens(tokenizer: Any, lead: str, words: Sequence[str]) -> list[int]:
    """One token for each word, all different: its first one where no other word begins so.

    Words that begin alike get another token of their own, and where there is none, a letter or
    whatever token is free. What is tuned learns what such a token stands for.
    """
    ids = word_ids(tokenizer, lead, words)
    firsts = [word[0] for word in ids]
    chosen = {word: first for word, first in enumerate(firsts) if firsts.count(first) == 1}
    spare = _spare(tokenizer, lead)
    for word, own in enumerate(ids):
        if word not in chosen:
            taken = {*chosen.values(), *firsts} - {own[0]}
            free = [token for token in own if token not in taken]
            free = [token for token in (*free[1:], *free[:1]) if token not in chosen.values()]
            chosen[word] = free[0] if free else next(t for t in spare if t not in taken)
    return [chosen[word] for word in range(len(words))]


def _spare(tokenizer: Any, lead: str) -> Iterator[int]:
    marks = [*string.ascii_uppercase, *string.digits, *string.ascii_lowercase]
    yield from (ids[0] for ids in word_ids(tokenizer, lead, marks) if len(ids) == 1)
    special = set(tokenizer.all_special_ids)
    yield from (i for i in count(256) if i not in special)
