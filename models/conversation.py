"""One reply of a server in the making: its tries, what they cost, and the message made of them."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata, add_usage

from models.endpoint import Endpoint
from models.errors import Cancelled, ContextTooLong, ModelError, ModelUnavailable
from models.options import Options
from models.probe import Abilities
from models.remote_calls import without_thinking
from models.request import Usage
from prompts.render import render


@dataclass
class Conversation:
    """One reply in the making: what was said so far, and what it cost."""

    endpoint: Endpoint
    abilities: Abilities
    options: Options
    messages: list[BaseMessage]
    schema: dict[str, Any] | None = None
    """Goes along as structured output; None leaves the reply free."""
    started: float = field(default_factory=time.monotonic)
    usage: UsageMetadata | None = None
    tries: int = 0
    last: AIMessage = field(default_factory=lambda: AIMessage(""))

    def ask(self) -> str:
        """The server's next try, as text after any reasoning."""
        params = call_params(self.options, self.abilities)
        if self.schema is not None:
            params["extra_body"] = {"response_format": self.schema}
        try:
            self.last = self.endpoint.ask(self.messages, cancel=self.options.cancel, **params)
        except (ModelUnavailable, ContextTooLong, Cancelled):
            raise
        except ModelError:
            if self.schema is None:
                raise
            self.schema = None  # too much for its compiler: validation alone must do
            return self.ask()
        self.tries += 1
        self.usage = add_usage(self.usage, used(self.last))
        return without_thinking(str(self.last.text))

    def object_to(self, text: str, reason: str) -> None:
        """Tells the server what was wrong with its reply."""
        said = HumanMessage(render("invalid_reply", reason=reason))
        self.messages = [*self.messages, AIMessage(text), said]

    def finished(self, content: str, raw: str, **parts: Any) -> AIMessage:
        """The reply for the caller."""
        usage = self.usage or UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
        figures = Usage(
            prompt_tokens=usage["input_tokens"],
            cached_tokens=usage.get("input_token_details", {}).get("cache_read", 0),
            generated_tokens=usage["output_tokens"],
            forward_passes=usage["output_tokens"],
            decode_seconds=time.monotonic() - self.started,
        )
        return AIMessage(
            content,
            usage_metadata=usage,
            response_metadata={
                "model_name": self.abilities.model,
                "finish_reason": finish_of(self.last),
                "token_ids": [],
                "raw": raw,
                "usage": asdict(figures),
                "constrained": self.schema is not None,
                "tries": self.tries,
            },
            additional_kwargs=_reasoning(self.last),
            **parts,
        )


def call_params(options: Options, abilities: Abilities) -> dict[str, Any]:
    """The API's names of the options; a seed only where it is obeyed, some refuse it."""
    params: dict[str, Any] = {
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
    }
    if options.top_p < 1:
        params["top_p"] = options.top_p
    if options.stop:
        params["stop"] = list(options.stop)
    if abilities.seed:
        params["seed"] = options.seed
    return params


def used(message: AIMessage) -> UsageMetadata | None:
    """The server's count of tokens, with what its prefix cache held."""
    usage = message.usage_metadata
    if usage is None:
        return None
    known = usage.get("input_token_details", {}).get("cache_read")
    cached: int = known or message.additional_kwargs.get("cached_tokens") or 0
    return UsageMetadata(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        total_tokens=usage["total_tokens"],
        input_token_details={"cache_read": cached},
    )


def finish_of(message: AIMessage) -> str:
    """`length` where the reply was cut, else `stop`."""
    return "length" if message.response_metadata.get("finish_reason") == "length" else "stop"


def _reasoning(message: AIMessage) -> dict[str, Any]:
    found = message.additional_kwargs.get("reasoning_content")
    return {"reasoning_content": found} if found else {}
