"""LangChain messages as the turns of a conversation: system, user, assistant, tool.

Systems at the start become one; turns of the same speaker that follow each other become one, since
many templates insist on alternation. A conversation starts and ends with something to answer.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from models.errors import ModelError
from prompts.render import render

Role = Literal["system", "user", "assistant", "tool"]
_READABLE = {"text", "tool_use", "tool_call", "thinking", "reasoning", "invalid_tool_call"}
_ID = re.compile(r"[A-Za-z0-9]{9}")


@dataclass(frozen=True)
class Turn:
    """One thing said."""

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    ids: tuple[int, ...] = ()
    """The tokens that the model generated for this turn, where they are known."""
    name: str = ""
    """The tool, in a tool's turn."""
    call_id: str = ""
    failed: bool = False
    before: tuple["Turn", ...] = field(default=())
    """Assistant turns joined in front of this one."""


def turns_of(messages: Sequence[BaseMessage], knows_ids: Callable[[AIMessage], bool]) -> list[Turn]:
    """The conversation, turn by turn; a later system message is said by the user."""
    names = {
        call["id"]: call["name"]
        for message in messages
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    turns = [_turn(i, message, names, knows_ids) for i, message in enumerate(messages)]
    leading = next((i for i, turn in enumerate(turns) if turn.role != "system"), len(turns))
    rest = [replace(t, role="user") if t.role == "system" else t for t in turns[leading:]]
    system = "\n\n".join(turn.text for turn in turns[:leading] if turn.text)
    return ([Turn("system", system)] if system else []) + rest


def joined(turns: Iterable[Turn]) -> list[Turn]:
    """The turns so that user and assistant alternate, a user first and no assistant last."""
    made: list[Turn] = []
    for turn in turns:
        last = made[-1] if made else None
        if (last is None or last.role == "system") and turn.role in ("assistant", "tool"):
            made.append(_go_on())
            last = None
        if last is None or last.role != turn.role or turn.role == "tool":
            made.append(turn)
        elif turn.role == "assistant":
            made[-1] = replace(turn, before=(*last.before, replace(last, before=())))
        else:
            made[-1] = replace(last, text=f"{last.text}\n\n{turn.text}")
    if not made or made[-1].role in ("assistant", "system"):
        made.append(_go_on())
    return made


def told_with_results(turns: Iterable[Turn]) -> list[Turn]:
    """The turns with what the user says right after a tool's result put into that result."""
    made: list[Turn] = []
    for turn in turns:
        if turn.role == "user" and made and made[-1].role == "tool":
            made[-1] = replace(made[-1], text=f"{made[-1].text}\n\n{turn.text}")
        else:
            made.append(turn)
    return made


def short_id(call_id: str | None) -> str:
    """The call id as nine letters and digits, which every template takes."""
    if call_id and _ID.fullmatch(call_id):
        return call_id
    return hashlib.sha256((call_id or "").encode()).hexdigest()[:9]


def _go_on() -> Turn:
    return Turn("user", render("go_on"))


def _turn(
    index: int,
    message: BaseMessage,
    names: dict[str | None, str],
    knows_ids: Callable[[AIMessage], bool],
) -> Turn:
    text = _text(index, message)
    if isinstance(message, ToolMessage):
        name = message.name or names.get(message.tool_call_id) or "the tool"
        failed = message.status == "error"
        return Turn("tool", text, name=name, call_id=message.tool_call_id, failed=failed)
    if isinstance(message, AIMessage):
        calls = tuple(message.tool_calls)
        ids = message.response_metadata["token_ids"] if knows_ids(message) else ()
        return Turn("assistant", text, calls, tuple(ids))
    if isinstance(message, SystemMessage):
        return Turn("system", text)
    if isinstance(message, ChatMessage) and message.role in ("system", "assistant"):
        return Turn("system" if message.role == "system" else "assistant", text)
    return Turn("user", text)


def _text(index: int, message: BaseMessage) -> str:
    content = message.content if isinstance(message.content, list) else []
    for block in content:
        kind = block.get("type", "text") if isinstance(block, dict) else "text"
        if kind not in _READABLE:
            raise ModelError(f"this model reads text only, and message {index} holds {kind!r}")
    return str(message.text)
