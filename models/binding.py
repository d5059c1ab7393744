"""What local and remote chat models share: how tools and answer schemas are bound to a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from models.options import tool_choice
from models.schemas import Schema, shown
from models.structured import answering, schema_of

AnyTool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
Method = Literal["json_schema", "function_calling", "json_mode"]


def bind_calls(
    model: BaseChatModel,
    tools: Sequence[AnyTool],
    *,
    choice: str | bool | Mapping[str, Any] | None,
    allowed: Mapping[str, Schema] | None,
    thought_chars: int,
    options: Mapping[str, Any],
) -> Any:
    """The model with these tools bound in the form that our chat models read."""
    made = [described(tool) for tool in tools]
    names = [tool["function"]["name"] for tool in made]
    return model.bind(
        tools=made,
        tool_choice=known_choice(choice, names),
        allowed=allowed,
        thought_chars=thought_chars,
        **{key: value for key, value in options.items() if key != "strict"},
    )


def described(tool: AnyTool) -> dict[str, Any]:
    """A tool as the model sees it: OpenAI's form, without titles and grounding."""
    made = convert_to_openai_tool(tool)
    function = {**made["function"]}
    function["parameters"] = shown(function.get("parameters") or {})
    return {"type": "function", "function": function}


def known_choice(choice: object, names: Sequence[str]) -> str:
    """The choice as `auto`, `any`, `none` or a name; an unknown name is a ValueError."""
    wanted = tool_choice(choice)
    if wanted not in ("auto", "any", "none", *names):
        raise ValueError(f"tool_choice {wanted!r} is none of the tools {', '.join(names)}")
    return wanted


def bind_answer(
    model: BaseChatModel,
    schema: Any,
    *,
    include_raw: bool,
    method: Method,
    options: Mapping[str, Any],
) -> Runnable[LanguageModelInput, Any]:
    """The model answering with JSON of this schema, as an object where it is a pydantic model.

    Raises:
        ValueError: no schema is given (except in JSON mode), or the method is unknown.
    """
    if method not in ("json_schema", "json_mode"):
        raise ValueError(f"unknown method {method!r} of structured output")
    if schema is None:
        if method == "json_schema":
            raise ValueError("structured output needs a schema")
        schema = {"title": "answer", "description": "A JSON object.", "type": "object"}
    bound = model.bind(
        response_schema=shown(schema_of(schema)),
        describe_answer=True,
        ls_structured_output_format={
            "kwargs": {"method": method},
            "schema": convert_to_json_schema(schema),
        },
        **options,
    )
    return answering(bound, schema, include_raw=include_raw)
