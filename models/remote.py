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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

from models.address import Address
from models.binding import AnyTool, Method, bind_answer, bind_calls, described
from models.endpoint import Endpoint
from models.errors import ModelError
from models.options import make_options
from models.probe import Abilities, probe
from models.remote_calls import told
from models.remote_reply import reply, text_chunks
from models.schemas import Schema

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


class ChatRemote(BaseChatModel):
    """A chat model over one endpoint."""

    endpoint: Endpoint = Field(exclude=True, repr=False)
    abilities: Abilities
    """What the probe found."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 512
    stop: list[str] | None = None
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

    @property
    def _defaults(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            "stop": tuple(self.stop or ()),
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return LangSmithParams(
            ls_provider="tuneward",
            ls_model_name=str(kwargs.get("model") or self.model_name),
            ls_model_type="chat",
            ls_temperature=kwargs.get("temperature", self.temperature),
            ls_max_tokens=kwargs.get("max_tokens", self.max_tokens),
            ls_stop=list(stop or self.stop or []),
        )

    def _resolve_model_profile(self) -> ModelProfile:
        return {
            "max_input_tokens": self.window,
            "tool_calling": True,
            "structured_output": True,
            "text_inputs": True,
        }

    def bind_tools(
        self,
        tools: Sequence[AnyTool],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        allowed: Mapping[str, Schema] | None = None,
        thought_chars: int = 0,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools; the arguments mean what they mean for `ChatLocal.bind_tools`."""
        bound: Runnable[LanguageModelInput, AIMessage] = bind_calls(
            self,
            tools,
            choice=tool_choice,
            allowed=allowed,
            thought_chars=thought_chars,
            options=kwargs,
        )
        return bound

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model answering with JSON of this schema; as `ChatLocal.with_structured_output`."""
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        return bind_answer(self, schema, include_raw=include_raw, method=method, options=kwargs)

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

    def get_num_tokens(self, text: str) -> int:
        """As `count_tokens`."""
        return self.count_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[AnyTool] | None = None
    ) -> int:
        """An upper estimate of the whole prompt, the description of the tools included."""
        shown = [described(tool) for tool in tools or ()]
        said = told(messages, shown, answer_schema=None, model_name=self.model_name)
        return sum(self.count_tokens(str(message.text)) + 8 for message in said)


def _as_chunk(result: ChatResult) -> AIMessageChunk:
    message = result.generations[0].message
    assert isinstance(message, AIMessage)
    calls = [
        tool_call_chunk(
            name=call["name"],
            args=call["args"] if isinstance(call["args"], str) else json.dumps(call["args"]),
            id=call["id"],
            index=i,
        )
        for i, call in enumerate([*message.tool_calls, *message.invalid_tool_calls])
    ]
    return AIMessageChunk(
        content=message.content,
        tool_call_chunks=calls,
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        additional_kwargs=message.additional_kwargs,
        chunk_position="last",
    )
