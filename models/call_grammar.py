"""Grammars (Lark, for llguidance) of what one reply may be: text, a tool call, a JSON answer.

Whitespace is fixed to what the dialect writes, so a call that is rendered again gives the same
text. Each tool is an alternative of its own, with its own schema; names and values that begin
alike stay reachable, since every literal ends in a character that the other lacks.
"""

import json
from collections.abc import Mapping
from functools import lru_cache

from models.dialect import CALL_ID, Dialect
from models.network import Tokenizer
from models.schemas import Schema, enforced

THOUGHT_BEGINS = "I will "
ENDINGS = "csv|docx|html?|jsonl?|log|md|parquet|pdf|py|tsv|txt|xlsx|xml|ya?ml"
"""After a dot in a sentence that goes on: a file is named."""
SHORTEST_THOUGHT = 3
"""Characters after that; below, a model has only cleared its throat."""


def call_grammar(
    schemas: Mapping[str, Schema],
    dialect: Dialect,
    tokenizer: Tokenizer,
    *,
    thought_chars: int = 0,
    text_instead: bool = False,
    call_id: str = CALL_ID,
) -> str:
    """A call of one of these tools, its arguments as their schema says.

    Args:
        thought_chars: above 0, a sentence of about so many characters at most comes first.
        text_instead: text is allowed too, alone or before the call.

    Raises:
        ValueError: there is no tool to call.
    """
    if not schemas:
        raise ValueError("no tool is allowed, so there is no call to make")
    opener = _terminals(dialect.opener, tokenizer)
    closer = _terminals(dialect.closer_for(call_id), tokenizer)
    start, rules = _start(opener, dialect, thought_chars, text_instead)
    alternatives = " | ".join(f"tool_{i}" for i in range(len(schemas)))
    rules += [f"call: ({alternatives}) {closer}"]
    for i, (name, schema) in enumerate(schemas.items()):
        rules.append(f"tool_{i}: {_terminals(name + dialect.middle, tokenizer)} arguments_{i}")
        rules.append(f"arguments_{i}: {_json(schema, dialect)}")
    return "\n".join([f"start: {start}", *rules, ""])


def answer_grammar(schema: Schema, dialect: Dialect) -> str:
    """A JSON value of this schema, and nothing else."""
    return f"start: {_json(schema, dialect)}\n"


def _start(
    opener: str, dialect: Dialect, thought_chars: int, text_instead: bool
) -> tuple[str, list[str]]:
    if text_instead and "<[" in opener:
        # A special token cannot occur in text, so it alone says where the call begins.
        return f"TEXT | TEXT? {opener[opener.index('<[') :]} call", ["TEXT: /(?s:.+)/"]
    if text_instead:
        # Text may hold the opener's beginning, so it is text until the whole opener has been read.
        head = f"head[suffix={_quoted(dialect.opener)}]: /(?s:.*)/"
        return "text | head call", ["text: /(?s:.+)/", head]
    if thought_chars and dialect.thought is not None:
        before, after = (_quoted(text) for text in dialect.thought)
        thought = rf'/[^"\\\p{{Cc}}]{{{SHORTEST_THOUGHT},{max(thought_chars, SHORTEST_THOUGHT)}}}/'
        return f"{before} THOUGHT {after} call", [f"THOUGHT: {thought}"]
    if thought_chars:
        return f'THOUGHT "\\n" {opener} call', [f"THOUGHT: /{_sentence(thought_chars)}/"]
    return f"{opener} call", []


def _sentence(longest: int) -> str:
    """A pattern for one sentence.

    A model that was trained to call at once would write the call as its thought; its first words
    are given, which makes it go on in words (after a bare "I" it gave up: "I cannot"). In a second
    sentence a small model talks itself out of what it knew in the first.
    """
    rest = max(longest - len(THOUGHT_BEGINS) - 1, 1)
    shortest = min(SHORTEST_THOUGHT, rest)
    letter = r"[^\n{}<`.!?。]"
    # Any other dot is the end: left free, a small model goes on "a.txt.json.json.json".
    dotted = rf"\.({ENDINGS}|[0-9]+)"
    inside = f"({letter}|{dotted}[^\\n{{}}<`.!?。a-z0-9]){{{shortest},{rest}}}({dotted})?"
    return f"{THOUGHT_BEGINS}{inside}[.。]?"


def _terminals(text: str, tokenizer: Tokenizer) -> str:
    """The text as Lark terminals: literals, and special tokens by their number."""
    if not text:
        return ""
    items: list[str] = []
    plain = text
    ids = tokenizer.encode(text)
    for token in ids:
        if not tokenizer.llguidance.is_special_token(token):
            continue
        before, found, after = plain.partition(tokenizer.decode([token]))
        if found:
            items += [_quoted(before)] if before else []
            items.append(f"<[{token}]>")
            plain = after
    items += [_quoted(plain)] if plain else []
    return " ".join(items)


def _json(schema: Schema, dialect: Dialect) -> str:
    # Most tools take at this step what they took at the last one.
    return _guided(json.dumps(schema, ensure_ascii=False, default=repr), dialect.separators)


@lru_cache(maxsize=128)
def _guided(schema: str, separators: tuple[str, str]) -> str:
    items, keys = separators
    guidance = {
        "item_separator": items,
        "key_separator": keys,
        "whitespace_flexible": False,
        "lenient": True,
    }
    body = {**enforced(json.loads(schema)), "x-guidance": guidance}
    return "%json " + json.dumps(body, ensure_ascii=False)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
