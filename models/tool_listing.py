"""Describes tools and answer fields in few words.

For models whose template knows no tools, and where the template's own listing would take too long
to read: JSON Schemas of the 28 built-in tools are three times as many tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.dialect import Dialect
from prompts.render import render

Tool = Mapping[str, Any]
"""A tool as OpenAI's API describes it: {"type": "function", "function": {...}}."""


def tools_text(tools: Sequence[Tool], dialect: Dialect) -> str:
    """What the system message says about the tools and how to call one: a line for each."""
    lines = "\n".join(_signature(tool["function"]) for tool in tools)
    example = dialect.call("NAME", {"ARGUMENT": "VALUE"})
    # Said only where there is something to leave out: every needless word misleads a small model.
    hint = f" {render('optional')}" if any(map(_has_optional, tools)) else ""
    return render("tools", tools=lines, example=example, hint=hint)


def answer_text(schema: Mapping[str, Any]) -> str:
    """What the model is told about a JSON answer."""
    fields = "\n".join(_fields(schema)) or f"- {_kind(schema)}"
    return render("answer_schema", fields=fields)


def _has_optional(tool: Tool) -> bool:
    schema = tool["function"].get("parameters") or {}
    return not set(schema.get("properties", {})) <= set(schema.get("required", ()))


def _signature(function: Mapping[str, Any]) -> str:
    schema = function.get("parameters") or {}
    required = schema.get("required", ())
    arguments: list[str] = []
    said = [_one_line(function)]
    for name, field in schema.get("properties", {}).items():
        kind = _kind(field, "|")
        mark = "" if name in required else "?"
        arguments.append(f"{name}{mark}" + ("" if kind == "string" else f": {kind}"))
        if about := _one_line(field):
            said.append(f"{name}: {about}")
    words = " ".join(filter(None, said))
    return f"- {function['name']}({', '.join(arguments)})" + (f": {words}" if words else "")


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        kind = _kind(field) + ("" if name in required else ", optional")
        said = _one_line(field)
        yield f"- {name} ({kind}): {said}" if said else f"- {name} ({kind})"


def _one_line(described: Mapping[str, Any]) -> str:
    return " ".join(str(described.get("description") or "").split())


def _kind(schema: Mapping[str, Any], between: str = "") -> str:
    """The type in words; the values of a short enum, with `between` between them where given."""
    if "const" in schema:
        return f"{schema['const']}"
    if "enum" in schema and len(schema["enum"]) <= 20:
        values = [str(value) for value in schema["enum"]]
        return between.join(values) if between else "one of " + ", ".join(values)
    if "anyOf" in schema:
        kinds = [_kind(one, between) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema.get('items') or {}, between)}"
    if isinstance(kind, list):
        return " or ".join(one for one in kind if one != "null")
    return str(kind)
