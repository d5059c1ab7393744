"""What local and remote chat models share: options, and how tools and answers are bound."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput, ModelProfile
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from models.options import tool_choice as checked_choice
from models.schemas import Schema, shown
from models.structured import answering, schema_of

AnyTool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
Method = Literal["json_schema", "function_calling", "json_mode"]


class ToolCallingChat(BaseChatModel):
    """A chat model whose calls and structured answers can be held to what exists now."""

    temperature: float = 0.0
    """0 takes the likeliest token; the same seed gives the same reply above it."""
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 512
    """Longest reply, in tokens."""
    stop: list[str] | None = None

    @property
    def model_name(self) -> str:
        """The name that the user knows the model by."""
        raise NotImplementedError

    @property
    def window(self) -> int:
        """How many tokens prompt and reply may have together."""
        raise NotImplementedError

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
        """The model with tools.

        Args:
            tools: what the model is told about; keep it the same during a run, so the cache holds.
            tool_choice: "any", "required" or True demands a call, a name that tool's call;
                "none" forbids one; "auto" and None leave it to the model.
            allowed: what this call may use: each tool's name with the schema of the arguments that
                exist now. None allows every tool with the arguments that it declares.
            thought_chars: before a demanded call, a one-line thought of at most so many characters.
            kwargs: any other option of a call, see `models/options.py`.

        Raises:
            ValueError: `tool_choice` names a tool that is not there.
        """
        made = [described(tool) for tool in tools]
        bound: Any = self.bind(
            tools=made,
            tool_choice=_known_choice(tool_choice, [tool["function"]["name"] for tool in made]),
            allowed=allowed,
            thought_chars=thought_chars,
            **{key: value for key, value in kwargs.items() if key != "strict"},
        )
        chain: Runnable[LanguageModelInput, AIMessage] = bound
        return chain

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        include_raw: bool = False,
        method: Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """The model answering with JSON of this schema, as an object where it is a pydantic model.

        Every method is held to the schema: `json_schema` and `json_mode` describe the fields in
        the last message, `function_calling` as a tool.

        Raises:
            ValueError: no schema is given (except in JSON mode), or the method is unknown.
        """
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method not in ("json_schema", "json_mode"):
            raise ValueError(f"unknown method {method!r} of structured output")
        if schema is None:
            if method == "json_schema":
                raise ValueError("structured output needs a schema")
            schema = {"title": "answer", "description": "A JSON object.", "type": "object"}
        bound = self.bind(
            response_schema=shown(schema_of(schema)),
            describe_answer=True,
            ls_structured_output_format={
                "kwargs": {"method": method},
                "schema": convert_to_json_schema(schema),
            },
            **kwargs,
        )
        return answering(bound, schema, include_raw=include_raw)

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has."""
        raise NotImplementedError

    def get_num_tokens(self, text: str) -> int:
        """As `count_tokens`."""
        return self.count_tokens(text)


def described(tool: AnyTool) -> dict[str, Any]:
    """A tool as the model sees it: OpenAI's form, without titles and grounding."""
    made = convert_to_openai_tool(tool)
    function = {**made["function"]}
    function["parameters"] = shown(function.get("parameters") or {})
    return {"type": "function", "function": function}


def _known_choice(choice: object, names: Sequence[str]) -> str:
    """The choice as `auto`, `any`, `none` or a name; an unknown name is a ValueError."""
    wanted = checked_choice(choice)
    if wanted not in ("auto", "any", "none", *names):
        raise ValueError(f"tool_choice {wanted!r} is none of the tools {', '.join(names)}")
    return wanted
