"""Gets one usable reply from a server: a legal call, a valid answer or text, in a few tries."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.messages.tool import ToolCall, invalid_tool_call

from models.asking import ANSWER, answer_tool
from models.conversation import Conversation, call_params, finish_of, used
from models.endpoint import Endpoint
from models.errors import (
    ModelError,
    ReplyNotUnderstood,
)
from models.options import Options
from models.probe import Abilities
from models.remote_calls import (
    call_schema,
    read_call,
    told,
    without_thinking,
)
from models.schemas import Schema, check
from models.tool_listing import Tool


def reply(
    endpoint: Endpoint,
    abilities: Abilities,
    messages: Sequence[BaseMessage],
    options: Options,
    *,
    retries: int,
) -> AIMessage:
    """What the model answers, valid where that could be had within the retries.

    Raises:
        ModelError: see `Endpoint.ask`; and an adapter is asked for, which servers do not have.
    """
    if options.adapter is not None:
        raise ModelError(f"adapter {options.adapter!r} runs on the local model only; leave it out")
    schemas = dict(options.callable_schemas())
    tools: tuple[Tool, ...] = options.tools
    if options.response_schema is not None and schemas:
        schemas[ANSWER] = options.response_schema
        tools = (*tools, answer_tool(options.response_schema))
    answers = options.response_schema if not schemas else None
    describe = answers is not None and (options.describe_answer or abilities.json_schema is None)
    said = told(
        messages,
        tools,
        answer_schema=answers if describe else None,
        model_name=abilities.model,
    )
    talk = Conversation(endpoint, abilities, options, said)
    if answers is not None:
        return _answer(talk, answers, retries)
    if not schemas:
        text = talk.ask()
        return talk.finished(text, text)
    if options.must_call or options.response_schema is not None:
        return _call(talk, schemas, retries)
    if abilities.tool_choice:
        return _native(talk, messages, schemas)
    return _call_or_text(talk, schemas)


def text_chunks(
    endpoint: Endpoint,
    abilities: Abilities,
    messages: Sequence[BaseMessage],
    options: Options,
) -> Iterator[AIMessageChunk]:
    """A free reply as it comes."""
    said = told(messages, options.tools, answer_schema=None, model_name=abilities.model)
    talk = Conversation(endpoint, abilities, options, said)
    text = ""
    params = call_params(options, abilities)
    for piece in endpoint.stream(said, cancel=options.cancel, **params):
        talk.usage = add_usage(talk.usage, used(piece))
        if piece.response_metadata.get("finish_reason"):
            talk.last = piece
        if piece.text:
            text += str(piece.text)
            yield AIMessageChunk(content=str(piece.text))
    talk.tries = 1
    whole = talk.finished("", text)
    yield AIMessageChunk(
        content="",
        usage_metadata=whole.usage_metadata,
        response_metadata=whole.response_metadata,
        chunk_position="last",
    )


def _call(talk: Conversation, schemas: Mapping[str, Schema], retries: int) -> AIMessage:
    """A demanded call."""
    if talk.abilities.json_schema is not None:
        wanted = call_schema(schemas, talk.options.thought_chars)
        talk.schema = talk.abilities.response_format(wanted, "call")
    text, error = "", ReplyNotUnderstood("no try was made")
    for _ in range(retries + 1):
        text = talk.ask()
        try:
            thought, call = read_call(text, schemas, _call_id(talk))
        except ReplyNotUnderstood as found:
            error = _cut_short(talk, found)
            talk.object_to(text, str(error))
            continue
        return _called(talk, thought, call, text)
    broken = invalid_tool_call(name=None, args=text, id=_call_id(talk), error=str(error))
    return talk.finished("", text, invalid_tool_calls=[broken])


def _call_or_text(talk: Conversation, schemas: Mapping[str, Schema]) -> AIMessage:
    """A call where the reply is one, else its text."""
    text = talk.ask()
    try:
        thought, call = read_call(text, schemas, _call_id(talk))
    except ReplyNotUnderstood:
        return talk.finished(text, text)
    return _called(talk, thought, call, text)


def _native(
    talk: Conversation, messages: Sequence[BaseMessage], schemas: Mapping[str, Schema]
) -> AIMessage:
    """The server's own tool calling, which leaves it to the model whether it calls."""
    offered = [tool for tool in talk.options.tools if tool["function"]["name"] in schemas]
    params = call_params(talk.options, talk.abilities)
    made = talk.endpoint.ask(
        messages, cancel=talk.options.cancel, tools=offered, tool_choice="auto", **params
    )
    talk.last, talk.tries, talk.usage = made, 1, used(made)
    text = without_thinking(str(made.text))
    if not made.tool_calls and not made.invalid_tool_calls:
        return talk.finished(text, text)
    calls, broken = [], list(made.invalid_tool_calls)
    for call in made.tool_calls[:1]:
        try:
            if call["name"] not in schemas:
                raise ReplyNotUnderstood(f"there is no tool {call['name']!r}")
            check(json.dumps(call["args"]), schemas[call["name"]])
            calls.append(call)
        except ReplyNotUnderstood as error:
            args = json.dumps(call["args"])
            broken.append(
                invalid_tool_call(name=call["name"], args=args, id=call["id"], error=str(error))
            )
    return talk.finished(text, "", tool_calls=calls, invalid_tool_calls=broken)


def _answer(talk: Conversation, schema: Schema, retries: int) -> AIMessage:
    """JSON of a schema; the last try goes out as it is, its reader says what is wrong."""
    if talk.abilities.json_schema is not None:
        talk.schema = talk.abilities.response_format(schema, ANSWER)
    text = ""
    for _ in range(retries + 1):
        text = talk.ask()
        try:
            value = check(_unfenced(text), schema)
        except ReplyNotUnderstood as error:
            talk.object_to(text, str(_cut_short(talk, error)))
            continue
        return talk.finished(json.dumps(value, ensure_ascii=False), text)
    return talk.finished(text, text)


def _called(talk: Conversation, thought: str, call: ToolCall, text: str) -> AIMessage:
    if call["name"] == ANSWER and talk.options.response_schema is not None:
        return talk.finished(json.dumps(call["args"], ensure_ascii=False), text)
    return talk.finished(" ".join(thought.split()), text, tool_calls=[call])


def _cut_short(talk: Conversation, error: ReplyNotUnderstood) -> ReplyNotUnderstood:
    if finish_of(talk.last) != "length":
        return error
    return ReplyNotUnderstood("the reply was cut before it was complete", error.reply)


def _call_id(talk: Conversation) -> str:
    said = json.dumps([str(message.text) for message in talk.messages])
    return hashlib.sha256(said.encode()).hexdigest()[:9]


def _unfenced(text: str) -> str:
    inside = text.strip()
    if inside.startswith("```") and inside.endswith("```"):
        inside = inside.strip("`").removeprefix("json")
    return inside.strip()
