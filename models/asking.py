"""What LangChain hands to a chat model, as one request for the engine; and the reply back."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    UsageMetadata,
)
from langchain_core.messages.tool import tool_call_chunk

from models.call_grammar import answer_grammar, call_grammar
from models.call_text import CallText, Piece
from models.dialect import Dialect
from models.errors import ReplyNotUnderstood
from models.network import Network
from models.options import Options
from models.rendering import Renderer
from models.request import Reply, Request, Sampling
from models.schemas import Schema, check
from models.tool_listing import Tool

ANSWER = "answer"
"""The call that stands for a structured answer where tools may be called as well."""


@dataclass(frozen=True)
class Note:
    """What a scripted network may look at to compose its reply."""

    messages: tuple[BaseMessage, ...]
    options: Options
    schemas: Mapping[str, Schema]
    """The arguments that each allowed tool takes; empty where no call may come."""
    dialect: Dialect
    call_id: str

    def spell_call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """A call as the model would write it."""
        return self.dialect.call(name, arguments, self.call_id)


@dataclass(frozen=True)
class Asking:
    """One request and how to read its reply."""

    request: Request
    note: Note
    model_name: str

    def pieces(self) -> CallText:
        """Follows the reply's text."""
        return CallText(self.note.dialect, calls=bool(self.note.schemas))

    def chunks(self, pieces: Sequence[Piece], said: CallText) -> Iterator[AIMessageChunk]:
        """New pieces of the reply as message chunks."""
        for piece in pieces:
            if piece.kind == "words" or (said.name == ANSWER and self._answers):
                text = "" if piece.kind == "name" else piece.text
                yield AIMessageChunk(content=text)
            elif piece.kind == "name":
                call = tool_call_chunk(name=piece.text, args="", id=self.note.call_id, index=0)
                yield AIMessageChunk(content="", tool_call_chunks=[call])
            else:
                call = tool_call_chunk(args=piece.text, index=0)
                yield AIMessageChunk(content="", tool_call_chunks=[call])

    def last_chunk(self, reply: Reply) -> AIMessageChunk:
        """The end of a streamed reply: usage and how it was generated."""
        return AIMessageChunk(
            content="",
            chunk_position="last",
            usage_metadata=_usage(reply),
            response_metadata=self._metadata(reply),
        )

    def message(self, reply: Reply) -> AIMessage:
        """The whole reply."""
        said = self.pieces()
        said.add(reply.text)
        said.finish()
        content, calls, broken = said.words, list[ToolCall](), list[InvalidToolCall]()
        if said.name == ANSWER and self._answers:
            content = said.arguments
        elif said.name is not None or self.request.grammar and self.note.options.must_call:
            try:
                calls.append(self._call(said))
            except ReplyNotUnderstood as error:
                broken.append(
                    InvalidToolCall(
                        name=said.name,
                        args=said.arguments,
                        id=self.note.call_id,
                        error=str(error),
                        type="invalid_tool_call",
                    )
                )
        return AIMessage(
            content,
            tool_calls=calls,
            invalid_tool_calls=broken,
            usage_metadata=_usage(reply),
            response_metadata=self._metadata(reply),
        )

    @property
    def _answers(self) -> bool:
        return self.note.options.response_schema is not None

    def _call(self, said: CallText) -> ToolCall:
        if said.name is None or said.name not in self.note.schemas:
            raise ReplyNotUnderstood("the reply ended before it named a tool", said.words)
        if not said.complete:
            raise ReplyNotUnderstood("the reply ended within its arguments", said.arguments)
        arguments = check(said.arguments, self.note.schemas[said.name])
        return ToolCall(name=said.name, args=arguments, id=self.note.call_id, type="tool_call")

    def _metadata(self, reply: Reply) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "finish_reason": reply.finish,
            "token_ids": list(reply.ids),
            "raw": reply.text,
            "usage": asdict(reply.usage),
        }


def ask(
    messages: Sequence[BaseMessage], options: Options, renderer: Renderer, network: Network
) -> Asking:
    """The request for these messages.

    Raises:
        ValueError: a call is demanded, but no tool is allowed.
        ModelError: the model's template cannot take the messages.
    """
    schemas = dict(options.callable_schemas())
    tools: tuple[Tool, ...] = options.tools
    if options.response_schema is not None and schemas:
        schemas[ANSWER] = options.response_schema
        tools = (*tools, answer_tool(options.response_schema))
    described = options.response_schema if options.describe_answer and not schemas else None
    prompt_ids = renderer.prompt(messages, tools, answer_schema=described)
    call_id = hashlib.sha256(json.dumps(prompt_ids).encode()).hexdigest()[:9]
    note = Note(tuple(messages), options, schemas, renderer.dialect, call_id)
    request = Request(
        prompt_ids=prompt_ids,
        grammar=_grammar(note, network),
        sampling=Sampling(
            temperature=options.temperature,
            top_p=options.top_p,
            seed=options.seed,
            max_tokens=options.max_tokens,
            stop=(*options.stop, *renderer.stop),
        ),
        adapter=options.adapter,
        use_cache=options.use_cache,
        fast_forward=options.fast_forward,
        note=note,
    )
    return Asking(request, note, network.name)


def _grammar(note: Note, network: Network) -> str | None:
    options = note.options
    if note.schemas:
        return call_grammar(
            note.schemas,
            note.dialect,
            network.tokenizer,
            thought_chars=options.thought_chars,
            text_instead=not options.must_call and options.response_schema is None,
            call_id=note.call_id,
        )
    if options.response_schema is not None:
        return answer_grammar(options.response_schema, note.dialect)
    return None


def answer_tool(schema: Schema) -> Tool:
    """The answer as one more tool to call."""
    function = {"name": ANSWER, "description": "Give the final answer.", "parameters": schema}
    return {"type": "function", "function": function}


def _usage(reply: Reply) -> UsageMetadata:
    usage = reply.usage
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.generated_tokens,
        total_tokens=usage.prompt_tokens + usage.generated_tokens,
        input_token_details={"cache_read": usage.cached_tokens},
    )
