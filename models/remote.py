"""A chat model on an OpenAI-compatible server: vLLM, llama.cpp, Ollama and their like.

    model = open_remote("openai:qwen3-8b@http://127.0.0.1:8000/v1")

It takes the same options as `ChatLocal`, grounding included. What the server obeys was probed at
the start. Where it obeys JSON schemas, the schema of the calls that are possible now goes along and
every reply is a valid call; elsewhere the reply is validated and asked for again with the error,
`retries` times. Not covered: `score` (the API cannot), adapters, streaming of calls.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from models.address import Address
from models.base import AnyTool, ToolCallingChat, described
from models.endpoint import Endpoint
from models.errors import ModelError, ReplyNotUnderstood
from models.options import make_options
from models.probe import Abilities, probe
from models.remote_calls import told
from models.remote_reply import reply, text_chunks

ASSUMED_PARAMETERS = 1_000_000_000
"""Servers are rarely run for less."""
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)b(?![a-z])", re.IGNORECASE)


def open_remote(name: str, **options: Any) -> "ChatRemote":
    """The model at `openai:MODEL@URL`, after a look at what its server obeys.

    Raises:
        ModelUnavailable: the address is malformed, nobody answers there, or it is no such server.
    """
    endpoint = Endpoint(Address.parse(name))
    return ChatRemote(endpoint=endpoint, abilities=probe(endpoint), **options)


class ChatRemote(ToolCallingChat):
    """A chat model over one endpoint."""

    endpoint: Endpoint = Field(exclude=True, repr=False)
    abilities: Abilities
    """What the probe found."""
    retries: int = 2
    """How often a reply that is no legal call or answer is asked for again."""

    @property
    def _llm_type(self) -> str:
        return "tuneward-remote"

    @property
    def model_name(self) -> str:
        """The model's name on its server."""
        return self.abilities.model

    @property
    def window(self) -> int:
        """How many tokens prompt and reply may have together."""
        return self.abilities.window

    @property
    def parameters(self) -> int:
        """How many weights the model has; from its name where the server does not say."""
        if self.abilities.parameters:
            return self.abilities.parameters
        sizes = [float(size) for size in _SIZE.findall(self.model_name)]
        return round(max(sizes) * 1e9) if sizes else ASSUMED_PARAMETERS

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "url": self.endpoint.address.url,
            "retries": self.retries,
            **self._defaults,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        options = make_options(self._defaults, stop, kwargs)
        message = reply(self.endpoint, self.abilities, messages, options, retries=self.retries)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """Text as it comes; calls and answers in one piece, validated before anybody acts."""
        options = make_options(self._defaults, stop, kwargs)
        if options.callable_schemas() or options.response_schema is not None:
            chunks = iter([_as_chunk(self._generate(messages, stop, **kwargs))])
        else:
            chunks = text_chunks(self.endpoint, self.abilities, messages, options)
        for message in chunks:
            chunk = ChatGenerationChunk(message=message)
            if run_manager is not None:
                run_manager.on_llm_new_token(str(message.text), chunk=chunk)
            yield chunk

    def score(
        self, messages: LanguageModelInput, candidates: Sequence[str], *, adapter: str | None = None
    ) -> list[float]:
        """Always raises ModelError: no server of this kind scores given text after a chat."""
        raise ModelError("a remote model cannot score candidates; use a local model for this")

    def count_tokens(self, text: str) -> int:
        """An upper estimate, as the server's tokenizer is not here: a token for 3 ASCII letters."""
        plain = sum(character < "\x80" for character in text)
        return math.ceil(plain / 3) + len(text) - plain

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[AnyTool] | None = None
    ) -> int:
        """An upper estimate of the whole prompt, the description of the tools included."""
        shown = [described(tool) for tool in tools or ()]
        said = told(messages, shown, answer_schema=None, model_name=self.model_name)
        return sum(self.count_tokens(str(message.text)) + 8 for message in said)


def _as_chunk(result: ChatResult) -> AIMessageChunk:
    """The whole reply as one chunk.

    Raises:
        ReplyNotUnderstood: its call is not legal; LangChain would mend it into one without a name.
    """
    message = result.generations[0].message
    assert isinstance(message, AIMessage)
    for broken in message.invalid_tool_calls:
        raise ReplyNotUnderstood(str(broken["error"]), str(message.response_metadata["raw"]))
    calls = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=i)
        for i, call in enumerate(message.tool_calls)
    ]
    return AIMessageChunk(
        content=message.content,
        tool_call_chunks=calls,
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        additional_kwargs=message.additional_kwargs,
        chunk_position="last",
    )
