"""One OpenAI-compatible server: asks it, in whole replies or piece by piece.

Covered: retries of lost connections, cancellation while the server is silent, cached tokens and
reasoning as vLLM and llama.cpp report them. Not covered: the Responses API.
"""

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import openai
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai.chat_models.base import BaseChatOpenAI
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from tenacity.wait import wait_base

from models.address import Address
from models.endpoint_errors import clear_errors, refused_key
from models.errors import (
    Cancelled,
    ConnectionLost,
    ModelError,
    ModelUnavailable,
)
from models.request import Cancel

ATTEMPTS = 4
RETRY_WAIT: wait_base = wait_exponential(multiplier=0.5, max=8)


class _Client(BaseChatOpenAI):
    """LangChain's client, keeping what servers report beyond the official API."""

    def _create_chat_result(
        self, response: Any, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        found = response if isinstance(response, dict) else response.model_dump(warnings=False)
        message = result.generations[0].message
        choice = (found.get("choices") or [{}])[0]
        _keep_extras(message, found, choice.get("message") or {})
        return result

    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(
            chunk, default_chunk_class, base_generation_info
        )
        if made is not None:
            choice = (chunk.get("choices") or [{}])[0]
            _keep_extras(made.message, chunk, choice.get("delta") or {})
        return made


def _keep_extras(message: BaseMessage, found: dict[str, Any], said: dict[str, Any]) -> None:
    if reasoning := said.get("reasoning_content") or said.get("reasoning"):
        message.additional_kwargs["reasoning_content"] = reasoning
    timings = found.get("timings")
    if isinstance(timings, dict) and isinstance(timings.get("cache_n"), int):
        message.additional_kwargs["cached_tokens"] = timings["cache_n"]


class Endpoint:
    """Asks one model on one server; safe to use from several threads."""

    def __init__(self, address: Address, *, timeout_seconds: float = 600) -> None:
        self.address = address
        self._http = openai.DefaultHttpxClient(timeout=openai.Timeout(timeout_seconds, connect=10))
        weakref.finalize(self, self._http.close)
        self.client = _Client(
            model=address.model or "default",
            base_url=address.url,
            api_key=SecretStr(address.key()),
            max_retries=0,  # ours are told apart by what can help
            http_client=self._http,
            timeout=self._http.timeout,
            stream_usage=True,
            use_responses_api=False,
        )

    def ask(
        self, messages: Sequence[BaseMessage], *, cancel: Cancel | None = None, **params: Any
    ) -> AIMessage:
        """The server's reply; `params` are those of its API.

        Raises:
            ConnectionLost: it was not reached, after several tries.
            ContextTooLong: the messages do not fit its window.
            Cancelled: `cancel` said so.
            ModelError: it refused the request, or what it said is no reply.
        """
        if cancel is not None:
            return _joined(self.stream(messages, cancel=cancel, **params), self.address.url)

        def attempt() -> AIMessage:
            with clear_errors(self.address):
                made = self.client._generate(list(messages), **params).generations[0]
                message = made.message
                message.response_metadata |= made.generation_info or {}
                assert isinstance(message, AIMessage)
                return message

        made: AIMessage = self._retrying(attempt, None)
        return made

    def stream(
        self, messages: Sequence[BaseMessage], *, cancel: Cancel | None = None, **params: Any
    ) -> Iterator[AIMessageChunk]:
        """The reply piece by piece. Tries again only before the first piece; raises like `ask`."""
        asked = cancel or _never

        def attempt() -> tuple[Iterator[ChatGenerationChunk], ChatGenerationChunk | None]:
            with clear_errors(self.address):
                pieces = self._pieces(messages, params, asked)
                return pieces, next(pieces, None)

        pieces, first = self._retrying(attempt, cancel)
        finished = False
        with clear_errors(self.address):
            for piece in chain([first] if first is not None else [], pieces):
                message = piece.message
                message.response_metadata |= piece.generation_info or {}
                finished = finished or bool(message.response_metadata.get("finish_reason"))
                yield message
        if first is not None and not finished:  # to the client a closed connection is an end
            raise ModelError(f"{self.address.url} broke off in the middle of its reply")

    def get(self, path: str) -> Any:
        """The JSON at a path below the URL (`^/path`: at the root); None where there is none."""
        root = "{0.scheme}://{0.netloc}".format(urlsplit(self.address.url))
        url = f"{root}{path[1:]}" if path.startswith("^") else f"{self.address.url}{path}"

        def attempt() -> Any:
            with clear_errors(self.address):
                headers = {"Authorization": f"Bearer {self.address.key()}"}
                reply = self._http.get(url, headers=headers, timeout=30)
                if reply.status_code in (401, 403):
                    raise refused_key(self.address, reply.status_code)
                try:
                    return reply.json() if reply.is_success else None
                except ValueError:
                    return None

        return self._retrying(attempt, None)

    def _retrying(self, attempt: Callable[[], Any], cancel: Cancel | None) -> Any:
        retrying = Retrying(
            retry=retry_if_exception_type(ConnectionLost),
            stop=stop_after_attempt(ATTEMPTS),
            wait=RETRY_WAIT,
            sleep=lambda seconds: _sleep(seconds, cancel),
            reraise=True,
        )
        return retrying(attempt)

    def _pieces(
        self, messages: Sequence[BaseMessage], params: dict[str, Any], cancel: Cancel
    ) -> Iterator[ChatGenerationChunk]:
        """Reads the reply in a second thread, so that a silent server can be left at once."""
        items: queue.SimpleQueue[ChatGenerationChunk | BaseException | None] = queue.SimpleQueue()
        left = threading.Event()

        def work() -> None:
            try:
                for piece in self.client._stream(list(messages), **params):
                    if left.is_set():
                        return
                    items.put(piece)
                items.put(None)
            except BaseException as error:  # handed to the reader, who raises it
                items.put(error)

        threading.Thread(target=work, name="endpoint", daemon=True).start()
        try:
            yield from _until_cancelled(items, cancel)
        finally:
            left.set()


def _joined(pieces: Iterator[AIMessageChunk], url: str) -> AIMessage:
    """A streamed reply as one message."""
    whole = next(pieces, None)
    if whole is None:
        raise ModelUnavailable(f"{url} gave an empty reply; check that the URL ends in /v1")
    for piece in pieces:
        whole = whole + piece
    return AIMessage(
        content=whole.content,
        tool_calls=whole.tool_calls,
        invalid_tool_calls=whole.invalid_tool_calls,
        usage_metadata=whole.usage_metadata,
        additional_kwargs=whole.additional_kwargs,
        response_metadata=whole.response_metadata,
    )


def _until_cancelled(
    items: "queue.SimpleQueue[ChatGenerationChunk | BaseException | None]", cancel: Cancel
) -> Iterator[ChatGenerationChunk]:
    """The chunks as they come; asks `cancel` at least twenty times a second."""
    while True:
        if cancel():
            raise Cancelled("the reply was cancelled")
        try:
            item = items.get(timeout=0.05)
        except queue.Empty:
            continue
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item


def _sleep(seconds: float, cancel: Cancel | None) -> None:
    """Waits for the next try, unless the user gives up."""
    end = time.monotonic() + seconds
    while (rest := end - time.monotonic()) > 0:
        if cancel is not None and cancel():
            raise Cancelled("cancelled while waiting for the server")
        time.sleep(min(0.05, rest))


def _never() -> bool:
    return False
