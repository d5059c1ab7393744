"""The local model as LangChain sees it: `prompt | model.bind_tools(...)`, in this process.

    model = load_chat("default", home)
    model.bind_tools([read_file], tool_choice="any").invoke("What is in notes.txt?").tool_calls

Tool calls and structured answers are held by a grammar, so they always parse; they are validated
all the same. One reply makes at most one call. Calls from several threads wait for each other.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import run_in_executor
from pydantic import Field

from models.asking import Asking, ask
from models.base import AnyTool, ToolCallingChat, described
from models.engine import Engine
from models.errors import Cancelled, ReplyNotUnderstood
from models.options import make_options
from models.rendering import Calls, Listing, Renderer
from models.request import Reply
from models.scripted import Script, ScriptedNetwork
from models.streaming import streamed


class ChatLocal(ToolCallingChat):
    """A chat model over an in-process engine."""

    engine: Engine = Field(exclude=True, repr=False)
    """Generates; holds the network and its key-value cache."""
    listing: Listing = "template"
    """`short` describes each tool in one line, where the model's template would print schemas."""
    calls: Calls = "template"
    """`wrapped` writes a thought and its call as one JSON object."""
    adapter: str | None = None
    """A LoRA adapter or soft prompt that the network has loaded."""
    streaming: bool = False
    """`invoke` streams too, for callbacks that want each piece."""

    @property
    def _llm_type(self) -> str:
        return "tuneward-local"

    @property
    def model_name(self) -> str:
        """The name that the user knows the model by."""
        return self.engine.network.name

    @property
    def window(self) -> int:
        """How many tokens prompt and reply may have together."""
        return self.engine.network.window

    @property
    def parameters(self) -> int:
        """How many weights the model has."""
        return self.engine.network.parameters

    @cached_property
    def renderer(self) -> Renderer:
        """Turns messages into prompts."""
        return Renderer(self.engine.network.tokenizer, self.model_name, self.listing, self.calls)

    @property
    def _defaults(self) -> dict[str, Any]:
        return {**super()._defaults, "adapter": self.adapter}

    @property
    def _identifying_params(self) -> dict[str, Any]:
        network = self.engine.network
        adapter_key = network.adapters.key(self.adapter)
        return {
            "model_name": network.name,
            "digest": network.digest,
            **self._defaults,
            "adapter_key": adapter_key,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asking = self._ask(messages, stop, kwargs)
        reply = self.engine.generate([asking.request], cancel=asking.note.options.cancel)[0]
        _check_complete(reply)
        message = asking.message(reply)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        left = threading.Event()
        cancel = kwargs.pop("cancel", None) or _never
        kwargs["cancel"] = lambda: left.is_set() or cancel()
        sync_manager = run_manager.get_sync() if run_manager else None
        try:
            return await run_in_executor(
                None, self._generate, messages, stop, sync_manager, **kwargs
            )
        except asyncio.CancelledError:
            left.set()
            raise

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """The reply as it comes; raises ReplyNotUnderstood at its end where a call is broken."""
        asking = self._ask(messages, stop, kwargs)
        said = asking.pieces()
        reply: Reply | None = None
        for item in streamed(self.engine, asking.request, asking.note.options.cancel):
            if isinstance(item, Reply):
                reply = item
                pieces = said.finish()
            else:
                pieces = said.add(item)
            for message in asking.chunks(pieces, said):
                chunk = ChatGenerationChunk(message=message)
                if run_manager is not None:
                    run_manager.on_llm_new_token(str(message.text), chunk=chunk)
                yield chunk
        if reply is not None:
            _check_complete(reply)
            last = ChatGenerationChunk(message=asking.last_chunk(reply))
            if run_manager is not None:
                run_manager.on_llm_new_token("", chunk=last)
            yield last
            _check_calls(asking.message(reply))

    def score(
        self, messages: LanguageModelInput, candidates: Sequence[str], *, adapter: str | None = None
    ) -> list[float]:
        """How likely the model is to answer with each candidate: log probabilities."""
        prompt = self.renderer.prompt(self._convert_input(messages).to_messages())
        encode = self.engine.network.tokenizer.encode
        ids = [encode(candidate, special=False) for candidate in candidates]
        return self.engine.score(prompt, ids, adapter=adapter or self.adapter)

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has."""
        return len(self.get_token_ids(text))

    def get_token_ids(self, text: str) -> list[int]:
        """The text's tokens, as inside a message."""
        return self.engine.network.tokenizer.encode(text, special=False)

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[AnyTool] | None = None,
    ) -> int:
        """The length of the whole prompt, template and tools included."""
        shown = [described(tool) for tool in tools or ()]
        return len(self.renderer.prompt(messages, shown))

    def _ask(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]
    ) -> Asking:
        options = make_options(self._defaults, stop, given)
        return ask(messages, options, self.renderer, self.engine.network)


def ScriptedModel(replies: Script, *, window: int = 32_768, **options: Any) -> ChatLocal:
    """A chat model that says what a script tells it; grammar, cache and usage are real.

    Args:
        replies: texts, calls ({"name": ..., "arguments": {...}}) or functions of the request,
            taken in turn; or one function that answers every request.
        window: tokens of prompt and reply together.
        options: fields of `ChatLocal`.
    """
    return ChatLocal(engine=Engine(ScriptedNetwork(replies, window=window)), **options)


def _check_complete(reply: Reply) -> None:
    if reply.finish == "cancelled":
        raise Cancelled("the reply was cancelled")


def _check_calls(message: AIMessage) -> None:
    """Chunks cannot be called back, and LangChain would mend a call that broke off by guessing."""
    for broken in message.invalid_tool_calls:
        raise ReplyNotUnderstood(str(broken["error"]), str(message.response_metadata["raw"]))


def _never() -> bool:
    return False
