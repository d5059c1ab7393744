"""Tool calls with a server that obeys JSON schemas: what it is told, and how its reply is read.

The server's own tool calling is left aside for demanded calls, since no server constrains it to
arguments that exist *now* without a new prompt. The tools stand in the system message, the same
through a run, so the server's prefix cache holds; the schema of each request carries the rest:

    {"thought": "...", "call": {"name": "read_file", "arguments": {"path": "a.txt"}}}
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from models.dialect import WRAPPED
from models.errors import ReplyNotUnderstood
from models.schemas import Schema, check, enforced
from models.tool_listing import Tool, answer_text, tools_text
from models.turns import joined, turns_of
from prompts.render import render

SchemaForm = Literal["json_schema", "json_object"]
"""The official form of `response_format`, and the older one of llama.cpp's Python server."""
_PORTABLE = frozenset(
    {
        *("type", "enum", "const", "anyOf", "properties", "required", "additionalProperties"),
        *("items", "minItems", "maxItems", "minLength", "maxLength", "$ref", "$defs"),
    }
)
"""What every server's schema compiler takes; the rest holds when the reply is validated."""
_PLAIN_PATTERN = re.compile(r"(?:\^(?:[^\\\[]|\\[.+*?()\[\]{}|-]|\[(?!\^)[^\\\]]+\])*\$)?\Z")
"""Anchored, no class of what is left out, no escapes but of signs: compilers agree on that."""
_THINKING = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_FENCED = re.compile(r"```(?:json)?\s*(\{.*?\})\s*```", re.DOTALL)


def call_schema(schemas: Mapping[str, Schema], thought_chars: int) -> dict[str, Any]:
    """One call of one of these tools, after a thought if one is wanted."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, "arguments": schema},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for name, schema in schemas.items()
    ]
    call: Any = calls[0] if len(calls) == 1 else {"anyOf": calls}
    properties: dict[str, Any] = {"call": call}
    if thought_chars:
        thought = {"type": "string", "minLength": 1, "maxLength": thought_chars}
        properties = {"thought": thought, **properties}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def response_format(
    schema: Schema, name: str, form: SchemaForm, *, patterns: bool
) -> dict[str, Any]:
    """The schema as the API's `response_format`, in what all servers understand.

    Args:
        patterns: the server obeys plain patterns.
    """
    made = portable(schema, patterns=patterns)
    if form == "json_object":
        return {"type": "json_object", "schema": made}
    return {"type": "json_schema", "json_schema": {"name": name, "schema": made, "strict": True}}


def portable(schema: Schema, *, patterns: bool = False) -> dict[str, Any]:
    """The schema bounded, references resolved, without keys that some server would refuse."""
    keys = _PORTABLE | {"pattern"} if patterns else _PORTABLE
    made = _portable(enforced(schema), keys, {}, depth=0)
    assert isinstance(made, dict)
    return made


def _portable(value: Any, keys: frozenset[str], definitions: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(value, Mapping):
        return value
    definitions = {**definitions, **value.get("$defs", {}), **value.get("definitions", {})}
    if (name := str(value.get("$ref", "")).rpartition("/")[2]) in definitions and depth < 8:
        return _portable(definitions[name], keys, definitions, depth + 1)
    if "allOf" in value and len(value["allOf"]) == 1:
        rest = {k: v for k, v in value.items() if k != "allOf"}
        return _portable({**value["allOf"][0], **rest}, keys, definitions, depth)
    kept = {k: v for k, v in value.items() if k in keys and not k.startswith("$")}
    if not _PLAIN_PATTERN.match(str(kept.get("pattern", ""))):
        del kept["pattern"]
    if "const" in kept:
        return {"enum": [kept["const"]]}
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = _portable(kept[key], keys, definitions, depth)
    if "anyOf" in kept:
        kept["anyOf"] = [_portable(one, keys, definitions, depth) for one in kept["anyOf"]]
    if "properties" in kept:
        kept["properties"] = {
            name: _portable(one, keys, definitions, depth)
            for name, one in kept["properties"].items()
        }
    return kept


def told(
    messages: Sequence[BaseMessage],
    tools: Sequence[Tool],
    *,
    answer_schema: Schema | None,
    model_name: str,
) -> list[BaseMessage]:
    """The conversation without tools in it: calls and results are said in words."""
    names = {call["id"]: call["name"] for m in messages for call in getattr(m, "tool_calls", ())}
    turns = turns_of([_as_said(m, model_name, names) for m in messages], lambda _: False)
    said: list[BaseMessage] = []
    system = tools_text(tools, WRAPPED) if tools else ""
    for turn in joined([_result(turn) for turn in turns]):
        if turn.role == "system":
            system = f"{turn.text}\n\n{system}" if system else turn.text
        elif turn.role == "assistant":
            said.append(AIMessage("\n".join(_words(one) for one in (*turn.before, turn))))
        else:
            said.append(HumanMessage(turn.text))
    if answer_schema is not None:
        _add_to_last(said, answer_text(answer_schema))
    return [SystemMessage(system), *said] if system else said


def read_call(text: str, schemas: Mapping[str, Schema], call_id: str) -> tuple[str, ToolCall]:
    """The thought and the call in a reply, validated in full.

    Raises:
        ReplyNotUnderstood: it is no call, or not one that is allowed now.
    """
    value = _object_in(text)
    call = value.get("call", value)
    name = call.get("name") if isinstance(call, dict) else None
    if not isinstance(name, str) or name not in schemas:
        known = ", ".join(list(schemas)[:20])
        raise ReplyNotUnderstood(f"the reply names no tool that can be called now ({known})", text)
    arguments = call.get("arguments")
    checked = check(json.dumps(arguments), schemas[name])
    thought = value.get("thought")
    return (
        thought if isinstance(thought, str) else "",
        ToolCall(name=name, args=checked, id=call_id, type="tool_call"),
    )


def without_thinking(text: str) -> str:
    """The reply after the reasoning that some servers leave in it."""
    return _THINKING.sub("", text)


def _object_in(text: str) -> dict[str, Any]:
    """The JSON object that the reply is, or that stands in it."""
    fenced = _FENCED.search(text)
    start = text.find("{")
    for candidate in (text.strip(), fenced and fenced[1], text[start:] if start >= 0 else ""):
        if not candidate:
            continue
        try:
            value, _ = json.JSONDecoder().raw_decode(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    raise ReplyNotUnderstood("the reply is not a JSON object", text)


def _as_said(message: BaseMessage, model_name: str, names: Mapping[str | None, str]) -> BaseMessage:
    """A reply of this model as the text it generated, so the server's prefix cache holds."""
    if isinstance(message, ToolMessage) and not message.name:
        return message.model_copy(update={"name": names.get(message.tool_call_id)})
    facts = message.response_metadata
    if (
        isinstance(message, AIMessage)
        and facts.get("model_name") == model_name
        and facts.get("raw")
    ):
        return AIMessage(str(facts["raw"]))
    return message


def _result(turn: Any) -> Any:
    if turn.role != "tool":
        return turn
    name = "tool_error" if turn.failed else "tool_result"
    return type(turn)("user", render(name, name=turn.name, result=turn.text))


def _words(turn: Any) -> str:
    calls = [WRAPPED.call(call["name"], call["args"]) for call in turn.calls]
    return "\n".join(filter(None, [turn.text, *calls]))


def _add_to_last(said: list[BaseMessage], text: str) -> None:
    last = said[-1] if said else None
    if isinstance(last, HumanMessage):
        said[-1] = HumanMessage(f"{last.text}\n\n{text}")
    else:
        said.append(HumanMessage(text))
