"""Turns messages into the exact token ids of a prompt.

The ids depend on the messages alone, never on the cache. A reply that this model generated is put
back as the ids that it was generated as, so a later prompt begins with all of the earlier one.
Text that spells one of the model's control tokens (`<|im_end|>` in a file, say) is read as plain
text. Templates without tools, system role or free order get the same conversation in a form that
they can take.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage

from models.dialect import WRAPPED, Dialect, find_dialect, message_call
from models.errors import ModelError
from models.network import Tokenizer
from models.tool_listing import Tool, answer_text, tools_text
from models.turns import Turn, joined, short_id, told_with_results, turns_of
from prompts.render import render

Listing = Literal["template", "short"]
"""Who tells the model about its tools: its chat template, as in its training, or one line each."""

Calls = Literal["template", "wrapped"]
"""How a call is written: as the chat template shows it, or with its thought in one JSON object."""

_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}


class Renderer:
    """Renders conversations for one tokenizer."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        model_name: str,
        listing: Listing = "template",
        calls: Calls = "template",
    ) -> None:
        self._tokenizer = tokenizer
        self._listing = listing
        self._model_name = model_name
        self.dialect: Dialect = WRAPPED if calls == "wrapped" else find_dialect(tokenizer)
        self._keeps_system = self._reads_system()
        # A run counts the tokens of a prompt before it asks with it.
        self._last: tuple[str, tuple[int, ...]] = "", ()

    @property
    def stop(self) -> tuple[str, ...]:
        """Where a reply ends besides the model's end tokens."""
        return () if self._tokenizer.chat_template else ("\n### User:",)

    def prompt(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Tool] = (),
        *,
        answer_schema: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        """The ids of the conversation up to where the model goes on.

        Args:
            tools: what the model is told that it may call.
            answer_schema: its fields are described in the last turn.

        Raises:
            ModelError: the model's template takes the conversation in no form.
        """
        turns = turns_of(messages, self._knows_ids)
        if answer_schema is not None:
            turns.append(Turn("user", answer_text(answer_schema)))
        asked = repr((turns, list(tools)))
        if asked == self._last[0]:
            return self._last[1]
        holes = _Holes(asked)
        ways = [self._native] if self.dialect.native else []
        ways += [self._plain, self._folded] if self._keeps_system else [self._folded]
        refusal = ""
        for way in ways:
            try:
                text = way(turns, tools, holes)
            except Exception as error:  # a template may raise anything
                refusal = f"{type(error).__name__}: {error}"
                continue
            ids = tuple(holes.fill(text, self._tokenizer.encode))
            self._last = asked, ids
            return ids
        raise ModelError(f"the model's chat template takes this conversation in no form: {refusal}")

    def _knows_ids(self, message: AIMessage) -> bool:
        facts = message.response_metadata
        return facts.get("model_name") == self._model_name and bool(facts.get("token_ids"))

    def _native(self, turns: Sequence[Turn], tools: Sequence[Tool], holes: "_Holes") -> str:
        """The template gets tools, calls and results as such."""
        said = joined(turns)
        if self._listing == "short" and not self.dialect.needs_tools:
            said, tools = self._with_listing(said, tools), ()
        if not self.dialect.user_after_tool:
            said = told_with_results(said)
        return self._apply([self._native_message(turn, holes) for turn in said], tools)

    def _native_message(self, turn: Turn, holes: "_Holes") -> dict[str, Any]:
        dialect = self.dialect
        if turn.role == "tool":
            content = self._safe(turn.text, holes)
            return {
                "role": "tool",
                "name": turn.name,
                "content": content,
                "tool_call_id": short_id(turn.call_id),
            }
        if turn.role != "assistant":
            return {"role": turn.role, "content": self._safe(turn.text, holes)}
        if turn.ids and turn.calls and not dialect.replays_content and not turn.before:
            call_id = short_id(turn.calls[0]["id"])
            around = (dialect.opener, f"{dialect.middle}{{}}{dialect.closer_for(call_id)}")
            call = message_call(dialect, holes.add(turn.ids, around), {}, call_id)
            return {"role": "assistant", "content": "", "tool_calls": [call]}
        if turn.calls and not turn.ids:
            calls = [
                message_call(dialect, call["name"], call["args"], short_id(call["id"]))
                for call in turn.calls
            ]
            content = self._words([*turn.before, _without_calls(turn)], holes)
            return {"role": "assistant", "content": content, "tool_calls": calls}
        return {"role": "assistant", "content": self._words([*turn.before, turn], holes)}

    def _plain(self, turns: Sequence[Turn], tools: Sequence[Tool], holes: "_Holes") -> str:
        """Tools, calls and results are written out as text."""
        said: list[dict[str, Any]] = []
        for turn in joined(self._spelled(turns, tools)):
            if turn.role == "assistant":
                content = self._words([*turn.before, turn], holes)
            else:
                content = self._safe(turn.text, holes)
            said.append({"role": turn.role, "content": content})
        return self._apply(said, ())

    def _folded(self, turns: Sequence[Turn], tools: Sequence[Tool], holes: "_Holes") -> str:
        """As `_plain`, and the user says what the system would."""
        spelled = self._spelled(turns, tools)
        if spelled and spelled[0].role == "system":
            spelled[0] = Turn("user", spelled[0].text)
        return self._plain(spelled, (), holes)

    def _spelled(self, turns: Sequence[Turn], tools: Sequence[Tool]) -> list[Turn]:
        """The turns without tools: what the model may call is said by the system."""
        made = [_result(turn) if turn.role == "tool" else turn for turn in turns]
        return self._with_listing(made, tools)

    def _with_listing(self, turns: list[Turn], tools: Sequence[Tool]) -> list[Turn]:
        if not tools:
            return turns
        said = tools_text(tools, self.dialect)
        if turns and turns[0].role == "system":
            return [Turn("system", f"{turns[0].text}\n\n{said}"), *turns[1:]]
        return [Turn("system", said), *turns]

    def _words(self, turns: Sequence[Turn], holes: "_Holes") -> str:
        """What an assistant said in these turns, generated ids as holes."""
        return "\n\n".join(filter(None, (self._said(turn, holes) for turn in turns)))

    def _said(self, turn: Turn, holes: "_Holes") -> str:
        if turn.ids:
            return holes.add(turn.ids)
        calls = [
            self.dialect.call(call["name"], call["args"], short_id(call["id"]))
            for call in turn.calls
        ]
        return self._safe("\n".join(filter(None, [turn.text, *calls])), holes)

    def _safe(self, text: str, holes: "_Holes") -> str:
        """The text itself, or a hole with its plain ids where it spells a control token."""
        plain = self._tokenizer.encode(text, special=False)
        return text if plain == self._tokenizer.encode(text) else holes.add(plain)

    def _apply(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Tool]) -> str:
        if self._tokenizer.chat_template is not None:
            return self._tokenizer.apply_chat_template(messages, tools=list(tools) or None)
        said = [(_SPEAKERS[message["role"]], message["content"]) for message in messages]
        said.append((_SPEAKERS["assistant"], ""))
        return "\n\n".join(render("plain_turn", speaker=who, text=text) for who, text in said)

    def _reads_system(self) -> bool:
        said = [{"role": "system", "content": "probe"}, {"role": "user", "content": "words"}]
        try:
            return "probe" in self._apply(said, ())
        except Exception:  # a template may raise anything
            return False


class _Holes:
    """Places in a rendered text that stand for given ids."""

    def __init__(self, everything: str) -> None:
        number = 0
        while f"hole{number}x" in everything:
            number += 1
        self._mark = f"hole{number}x"
        self._ids: list[Sequence[int]] = []
        self._around: list[tuple[str, str]] = []

    def add(self, ids: Sequence[int], around: tuple[str, str] = ("", "")) -> str:
        """A word that stands for the ids, and for the text around it where that is part of them."""
        self._ids.append(ids)
        self._around.append(around)
        return f"{self._mark}{len(self._ids) - 1}e"

    def fill(self, text: str, encode: Callable[[str], list[int]]) -> list[int]:
        """The ids of the text with every hole filled."""
        made: list[int] = []
        # Splitting at a group gives text, number, text, number ... text.
        pieces = re.split(f"{self._mark}([0-9]+)e", text)
        numbers = [int(number) for number in pieces[1::2]]
        for i, piece in enumerate(pieces[::2]):
            if i > 0:
                piece = piece.removeprefix(self._around[numbers[i - 1]][1])
            if i < len(numbers):
                piece = piece.removesuffix(self._around[numbers[i]][0])
            if piece:
                made += encode(piece)
            if i < len(numbers):
                made += self._ids[numbers[i]]
        return made


def _result(turn: Turn) -> Turn:
    name = "tool_error" if turn.failed else "tool_result"
    return Turn("user", render(name, name=turn.name, result=turn.text))


def _without_calls(turn: Turn) -> Turn:
    return Turn(turn.role, turn.text)
