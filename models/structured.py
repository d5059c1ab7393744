"""Structured output: the schema that a reply must have, and the value that it then is."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, TypeAdapter, ValidationError

from models.errors import ReplyNotUnderstood
from models.schemas import Schema, check

Wanted = Mapping[str, Any] | type
"""A JSON Schema, an OpenAI tool, a pydantic model or a TypedDict."""


def schema_of(wanted: Wanted) -> Schema:
    """The JSON Schema of what is wanted."""
    if inspect.isclass(wanted) and issubclass(wanted, BaseModel):
        return wanted.model_json_schema()
    return convert_to_json_schema(wanted)  # type: ignore[arg-type]  # Mapping where it says dict


def answering(
    model: Runnable[LanguageModelInput, AIMessage], wanted: Wanted, *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """The model with its replies read; with `include_raw` an unreadable one is told, not raised."""
    reader = RunnableLambda(reader_of(wanted), name="read_answer")
    if not include_raw:
        return model | reader
    read = RunnablePassthrough.assign(
        parsed=lambda both: reader.invoke(both["raw"]), parsing_error=lambda _: None
    )
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    fallback = read.with_fallbacks([unread], exception_key="parsing_error")
    return RunnableMap(raw=model) | fallback


def reader_of(wanted: Wanted) -> Callable[[AIMessage], Any]:
    """Reads a reply: a pydantic model becomes an object of it, anything else a dict.

    What it returns raises ReplyNotUnderstood.
    """
    schema = schema_of(wanted)
    build = _builder(wanted)

    def read(message: AIMessage) -> Any:
        text = str(message.text)
        value = check(text, schema)
        try:
            return build(value)
        except (ValidationError, ValueError) as error:
            raise ReplyNotUnderstood(f"the reply is not valid: {error}", text) from None

    return read


def _builder(wanted: Wanted) -> Callable[[Any], Any]:
    if inspect.isclass(wanted) and issubclass(wanted, BaseModel):
        return TypeAdapter(wanted).validate_python
    # Models of pydantic's first version are still passed by LangChain users.
    return getattr(wanted, "parse_obj", lambda value: value)
