"""What the model is asked: a plan, the next tool call, a reflection. Each is one LCEL chain."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    message_chunk_to_message,
)
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from models.base import described
from models.errors import ReplyNotUnderstood
from prompts.render import render

Cancel = Callable[[], bool]
OnText = Callable[[str], None]

PLAN_SCHEMA = {
    "title": "plan",
    "type": "object",
    "properties": {
        "steps": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 120},
            "minItems": 1,
            "maxItems": 8,
        }
    },
    "required": ["steps"],
    "additionalProperties": False,
}
REFLECTION_TOKENS = 60
CALL_TOKENS = 1_200


@dataclass(frozen=True)
class Reply:
    """One answer of the model, in the form that the journal keeps."""

    message: AIMessage
    usage: dict[str, Any]

    @property
    def raw(self) -> str:
        return str(self.message.response_metadata.get("raw", self.message.text))

    @property
    def generated(self) -> dict[str, Any]:
        """The reply as it was generated, and by which model: later prompts repeat its tokens."""
        facts = self.message.response_metadata
        return {
            "raw": self.raw,
            "token_ids": list(facts.get("token_ids", ())),
            "model_name": facts.get("model_name", ""),
        }


class Planner:
    """Asks the model; holds no state of the run."""

    def __init__(
        self, model: BaseChatModel, tools: Sequence[BaseTool], *, thought_chars: int, seed: int
    ) -> None:
        """Bind a model to the tools that it is shown during the whole run.

        Args:
            thought_chars: length of the thought before each call, in characters; 0 for none.
            seed: every sampled reply is a function of this and the messages.
        """
        self._model: Any = model
        # Described once: a run shows the same tools at every step.
        self._tools = [described(tool) for tool in tools]
        self._thought_chars = thought_chars
        self._seed = seed
        self._prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("messages")])

    def count(self, messages: Sequence[BaseMessage]) -> int:
        """How many tokens the model reads when it is given these messages and the tools."""
        return int(self._model.get_num_tokens_from_messages(list(messages), tools=self._tools))

    def plan(
        self, messages: Sequence[BaseMessage], ask: str, *, cancel: Cancel, on_text: OnText
    ) -> tuple[list[str], Reply]:
        """A to-do list of at most eight steps.

        Raises:
            ReplyNotUnderstood: the model could not write one.
        """
        model = self._model.bind_tools(
            self._tools, tool_choice="none", response_schema=PLAN_SCHEMA, cancel=cancel
        )
        reply = self._ask(model, [*messages, HumanMessage(ask)], on_text, max_tokens=300)
        try:
            steps = json.loads(reply.raw)["steps"]
        except (ValueError, KeyError, TypeError):
            raise ReplyNotUnderstood("the model wrote no plan", reply.raw) from None
        return [" ".join(str(step).split()) for step in steps], reply

    def act(
        self,
        messages: Sequence[BaseMessage],
        allowed: Mapping[str, dict[str, Any]],
        *,
        cancel: Cancel,
        on_text: OnText,
        attempt: int = 0,
    ) -> Reply:
        """The next call, one of `allowed`; the first attempt is greedy, later ones are sampled."""
        model = self._model.bind_tools(
            self._tools,
            tool_choice="any",
            allowed=dict(allowed),
            thought_chars=self._thought_chars,
            temperature=0.0 if attempt == 0 else 0.8,
            seed=self._seed + attempt,
            cancel=cancel,
        )
        return self._ask(model, messages, on_text, max_tokens=CALL_TOKENS)

    def reflect(
        self, messages: Sequence[BaseMessage], problem: str, *, cancel: Cancel, on_text: OnText
    ) -> Reply:
        """One sentence on what to do differently."""
        ask = HumanMessage(render("reflect", problem=problem))
        model = self._model.bind_tools(self._tools, tool_choice="none", stop=["\n"], cancel=cancel)
        return self._ask(model, [*messages, ask], on_text, max_tokens=REFLECTION_TOKENS)

    def _ask(
        self,
        model: Runnable[Any, Any],
        messages: Sequence[BaseMessage],
        on_text: OnText,
        *,
        max_tokens: int,
    ) -> Reply:
        chain = self._prompt | model.bind(max_tokens=max_tokens)
        chunks: list[Any] = []
        for chunk in chain.stream({"messages": list(messages)}):
            parts = getattr(chunk, "tool_call_chunks", ())
            on_text(chunk.text or "".join(part["args"] or "" for part in parts))
            chunks.append(chunk)
        if not chunks:
            raise ReplyNotUnderstood("the model said nothing")
        message = chunks[0]  # the whole of it, where a model cannot stream
        if isinstance(message, AIMessageChunk):
            # All at once: adding them one by one would parse the call anew for each.
            message = message_chunk_to_message(message + chunks[1:])
        assert isinstance(message, AIMessage)
        return Reply(message, _usage(message))


def _usage(message: AIMessage) -> dict[str, Any]:
    used = message.usage_metadata
    if used is None:
        return {"prompt": 0, "cached": 0, "generated": 0}
    details = used.get("input_token_details") or {}
    return {
        "prompt": used["input_tokens"],
        "cached": details.get("cache_read", 0) or 0,
        "generated": used["output_tokens"],
    }
