"""What one call of a chat model may be told besides its messages, checked once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from models.schemas import Schema
from models.tool_listing import Tool

Choice = Literal["auto", "any", "none"]
_DROPPED = frozenset({"strict", "parallel_tool_calls", "stream", "timeout", "max_retries"})
"""Options of other providers that change nothing here."""


@dataclass(frozen=True)
class Options:
    """The options of one call."""

    tools: tuple[Tool, ...] = ()
    """What the prompt shows."""
    tool_choice: str = "auto"
    """`auto`, `any`, `none`, or the name of the one tool to call."""
    allowed: Mapping[str, Schema] | None = None
    """What may be called, with the arguments that it takes; None allows every tool shown."""
    thought_chars: int = 0
    """Longest thought before a demanded call, 0 for none."""
    response_schema: Schema | None = None
    """The reply is JSON of this schema."""
    describe_answer: bool = False
    """Tell the model about the fields of `response_schema`."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    adapter: str | None = None
    cancel: Callable[[], bool] | None = None
    fast_forward: bool = True
    use_cache: bool = True

    @property
    def must_call(self) -> bool:
        """A tool call is demanded."""
        return self.tool_choice not in ("auto", "none")

    def callable_schemas(self) -> Mapping[str, Schema]:
        """The tools that this call may use, with their arguments.

        Raises:
            ValueError: a call is demanded, but there is none to make.
        """
        if self.tool_choice == "none":
            return {}
        schemas = self.allowed
        if schemas is None:
            schemas = {tool["function"]["name"]: _arguments(tool) for tool in self.tools}
        if self.tool_choice not in ("auto", "any"):
            schemas = {name: s for name, s in schemas.items() if name == self.tool_choice}
        if self.must_call and not schemas:
            wanted = "a tool" if self.tool_choice == "any" else f"{self.tool_choice!r}"
            raise ValueError(f"a call of {wanted} is demanded, but no such tool is allowed")
        return schemas


def make_options(
    defaults: Mapping[str, Any], stop: Sequence[str] | None, given: Mapping[str, Any]
) -> Options:
    """The options of a call: what is given with it, else the model's defaults.

    Raises:
        TypeError: an option that nobody knows is given.
    """
    options = {**defaults, **{k: v for k, v in given.items() if k not in _DROPPED}}
    if stop is not None:
        options["stop"] = stop
    if (wanted := options.pop("response_format", None)) is not None:
        options["response_schema"] = _wanted_schema(wanted)
    options["tools"] = tuple(options.get("tools") or ())
    options["tool_choice"] = tool_choice(options.get("tool_choice"))
    options["stop"] = tuple(options.get("stop") or ())
    known = {field.name for field in fields(Options)}
    if unknown := options.keys() - known:
        raise TypeError(f"a local model knows no option {', '.join(sorted(unknown))}")
    return Options(**options)


def tool_choice(choice: object) -> str:
    """LangChain's many ways to say which tool to call, as `auto`, `any`, `none` or a name."""
    if choice in (None, False, "auto", ""):
        return "auto"
    if choice in (True, "any", "required"):
        return "any"
    if isinstance(choice, Mapping):
        function = choice.get("function", choice)
        return str(function.get("name", "any"))
    return str(choice)


def _arguments(tool: Tool) -> Schema:
    return {"type": "object", "properties": {}, **(tool["function"].get("parameters") or {})}


def _wanted_schema(response_format: Mapping[str, Any]) -> Schema:
    """The schema in OpenAI's `response_format`; JSON mode is an object of any shape."""
    if "json_schema" in response_format:
        wanted = response_format["json_schema"]
        return dict(wanted.get("schema", wanted))
    return {"type": "object"}
