"""How a model writes a tool call: in our own JSON, or the way its chat template shows it.

A call is five pieces of text: opener, name, middle, arguments, closer. Our own rendering is

    {"name": "  read_file  ", "arguments":   {"path": "a.txt"}  }

and a template that knows tools is asked how it would write a probe call, which gives the same five
pieces with its own wrapper (`<tool_call>`, `[TOOL_CALLS]`, "parameters" for "arguments" ...).
Covered: every template that writes a name followed by JSON arguments, one call a message.
Not covered: calls written as XML or Python; those models get our own rendering.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.network import Tokenizer

CALL_ID = "callid0ne"
"""Stands for the call's id in a dialect's closer; nine characters, as some templates demand."""

_NAME = "probe_tool_7"
_ARGUMENTS: dict[str, Any] = {"probe_text": "é", "probe_number": 7}
_RESULT = "probe result"
_WORDS = "probe words"
_TOOL = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "Probe.",
        "parameters": {
            "type": "object",
            "properties": {
                "probe_text": {"type": "string", "description": "Text."},
                "probe_number": {"type": "integer", "description": "Number."},
            },
            "required": ["probe_text", "probe_number"],
        },
    },
}


@dataclass(frozen=True)
class Dialect:
    """The fixed text around a tool call's name and arguments."""

    opener: str = '{"name": "'
    middle: str = '", "arguments": '
    closer: str = "}"
    """May contain `CALL_ID`."""
    separators: tuple[str, str] = (", ", ": ")
    """Between the items and after the keys of the arguments' JSON."""
    native: bool = False
    """The template gets the tools and the calls; otherwise both become plain text in the prompt."""
    arguments_as_text: bool = False
    """The template wants a call's arguments as JSON text, not as an object."""
    replays_content: bool = True
    """A call made earlier may be given to the template as plain content."""
    needs_tools: bool = True
    """The template writes calls and results as usual only where it lists the tools itself."""
    user_after_tool: bool = True
    """The user may speak right after a tool's result, and nothing said before moves."""
    thought: tuple[str, str] | None = None
    """What stands before a thought and between it and the name, where both are one JSON object."""

    def call(self, name: str, arguments: Mapping[str, Any], call_id: str = CALL_ID) -> str:
        """One call, as the model would write it."""
        body = json.dumps(arguments, ensure_ascii=False, separators=self.separators)
        return f"{self.opener}{name}{self.middle}{body}{self.closer_for(call_id)}"

    def closer_for(self, call_id: str) -> str:
        """The text after the arguments, with this call's id."""
        return self.closer.replace(CALL_ID, call_id)


OWN = Dialect()
"""Our own rendering, for templates without tools and for models without a template."""
WRAPPED = Dialect(
    opener='{"call": {"name": "',
    middle='", "arguments": ',
    closer="}}",
    arguments_as_text=True,
    thought=('{"thought": "', '", "call": {"name": "'),
)
"""Thought and call in one JSON object: a model that wants to call at once still thinks first."""


def find_dialect(tokenizer: Tokenizer) -> Dialect:
    """The dialect of the model's chat template, or our own where it has none that can be kept."""
    if tokenizer.chat_template is None:
        return OWN
    for as_text in (False, True):
        found = _probe(tokenizer, as_text)
        if found is not None:
            return replace(
                found,
                replays_content=_replays_content(tokenizer),
                needs_tools=_needs_tools(tokenizer, found),
                user_after_tool=_user_after_tool(tokenizer, found),
            )
    return OWN


def message_call(
    dialect: Dialect, name: str, arguments: Mapping[str, Any], call_id: str
) -> dict[str, Any]:
    """A tool call as a chat template expects it inside an assistant message."""
    given: Any = dict(arguments)
    if dialect.arguments_as_text:
        given = json.dumps(given, ensure_ascii=False, separators=dialect.separators)
    return {"type": "function", "id": call_id, "function": {"name": name, "arguments": given}}


def _probe(tokenizer: Tokenizer, as_text: bool) -> Dialect | None:
    asked = [{"role": "user", "content": "probe"}]
    call = message_call(Dialect(arguments_as_text=as_text), _NAME, _ARGUMENTS, CALL_ID)
    called = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "name": _NAME, "content": _RESULT, "tool_call_id": CALL_ID}
    worded = {"role": "assistant", "content": _WORDS}
    start = _apply(tokenizer, asked, generate=True)
    between = _apply(tokenizer, [*asked, called, result], generate=True)
    last = _apply(tokenizer, [*asked, called])
    words = _apply(tokenizer, [*asked, worded])
    if not (start and between and last and words):
        return None
    if _NAME not in start or _RESULT not in between or not between.startswith(start):
        return None
    # The last message may open differently (an empty thought, say) but ends without a next turn.
    pieces = _cut(between[len(start) :])
    ends_with = words[words.rindex(_WORDS) + len(_WORDS) :]
    tail = _cut(last[last.rindex(_NAME) :])
    if pieces is None or tail is None or not tail[2].endswith(ends_with):
        return None
    opener, middle, _, separators = pieces
    closer = tail[2].removesuffix(ends_with)
    return Dialect(opener, middle, closer, separators, native=True, arguments_as_text=as_text)


def _cut(text: str) -> tuple[str, str, str, tuple[str, str]] | None:
    """Text before the probe's name, between name and arguments, and after; the separators."""
    at = text.find(_NAME)
    if at < 0:
        return None
    rest = text[at + len(_NAME) :]
    for separators in ((", ", ": "), (",", ":")):
        for ascii_only in (False, True):
            body = json.dumps(_ARGUMENTS, ensure_ascii=ascii_only, separators=separators)
            middle, found, closer = rest.partition(body)
            if found:
                return text[:at], middle, closer, separators
    return None


def _replays_content(tokenizer: Tokenizer) -> bool:
    """Does the template accept a tool's result after an assistant message without a call?"""
    result = {"role": "tool", "name": _NAME, "content": _RESULT, "tool_call_id": CALL_ID}
    conversation = [
        {"role": "user", "content": "probe"},
        {"role": "assistant", "content": _WORDS},
        result,
        {"role": "assistant", "content": _WORDS},
        result,
    ]
    text = _apply(tokenizer, conversation, generate=True)
    return text is not None and text.count(_WORDS) == 2 and text.count(_RESULT) == 2


def _needs_tools(tokenizer: Tokenizer, dialect: Dialect) -> bool:
    """Do a call and its result look different where the template is given no tools?"""
    asked = [{"role": "system", "content": "probe"}, {"role": "user", "content": "probe"}]
    call = message_call(dialect, _NAME, _ARGUMENTS, CALL_ID)
    said: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": _NAME, "content": _RESULT, "tool_call_id": CALL_ID},
    ]
    after: list[str] = []
    for tools in ((_TOOL,), ()):
        start = _apply(tokenizer, asked, tools, generate=True)
        whole = _apply(tokenizer, [*asked, *said], tools, generate=True)
        if not (start and whole and whole.startswith(start)):
            return True
        after.append(whole.removeprefix(start))
    return after[0] != after[1]


def _user_after_tool(tokenizer: Tokenizer, dialect: Dialect) -> bool:
    """May the user speak after a tool's result, and does all that stands before stay as it is?"""
    call = message_call(dialect, _NAME, _ARGUMENTS, CALL_ID)
    before: list[dict[str, Any]] = [
        {"role": "user", "content": "probe"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": _NAME, "content": _RESULT, "tool_call_id": CALL_ID},
    ]
    start = _apply(tokenizer, before)
    text = _apply(tokenizer, [*before, {"role": "user", "content": _WORDS}], generate=True)
    return bool(start and text and text.startswith(start) and _WORDS in text)


def _apply(
    tokenizer: Tokenizer,
    messages: list[dict[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (_TOOL,),
    *,
    generate: bool = False,
) -> str | None:
    try:
        return tokenizer.apply_chat_template(
            messages, tools=list(tools) or None, add_generation_prompt=generate
        )
    except Exception:  # a template may raise anything; then it does not know this conversation
        return None
