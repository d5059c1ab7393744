"""Describes tools and answer fields in few words, for models whose template knows no tools."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.dialect import Dialect
from prompts.render import render

Tool = Mapping[str, Any]
"""A tool as OpenAI's API describes it: {"type": "function", "function": {...}}."""


def tools_text(tools: Sequence[Tool], dialect: Dialect) -> str:
    """What the system message says about the tools and how to call one."""
    lines = [line for tool in tools for line in _tool_lines(tool["function"])]
    example = dialect.call("NAME", {"ARGUMENT": "VALUE"})
    return render("tools", tools="\n".join(lines), example=example)


def answer_text(schema: Mapping[str, Any]) -> str:
    """What the model is told about a JSON answer."""
    fields = "\n".join(_fields(schema)) or f"- {_kind(schema)}"
    return render("answer_schema", fields=fields)


def _tool_lines(function: Mapping[str, Any]) -> Iterator[str]:
    said = " ".join(str(function.get("description") or "").split())
    yield f"- {function['name']}: {said}" if said else f"- {function['name']}"
    for line in _fields(function.get("parameters") or {}):
        yield f"  {line}"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        kind = _kind(field) + ("" if name in required else ", optional")
        said = " ".join(str(field.get("description") or "").split())
        yield f"- {name} ({kind}): {said}" if said else f"- {name} ({kind})"


def _kind(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"{schema['const']}"
    if "enum" in schema and len(schema["enum"]) <= 20:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items') or {})}"
    if isinstance(kind, list):
        return " or ".join(one for one in kind if one != "null")
    return str(kind)
