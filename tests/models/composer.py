"""A scripted reply to anything: composed from what a request asks, as a willing model would."""

import json
import re
from typing import Any, cast

from langchain_core.messages import ToolMessage

from models.asking import Note
from models.request import Request
from models.schemas import Schema
from models.scripted import ScriptedReply


def compose(request: Request) -> ScriptedReply:
    """A call where one may come and no result is there yet, else a fitting answer."""
    note = cast(Note, request.note)
    said = str(note.messages[-1].text)
    options = note.options
    if note.schemas and (options.must_call or not isinstance(note.messages[-1], ToolMessage)):
        name, schema = next(iter(note.schemas.items()))
        return {"name": name, "arguments": _value(schema, said)}
    if options.response_schema is not None:
        return json.dumps(_value(options.response_schema, said), ensure_ascii=False)
    return f"You said: {said[:80]}. Here is my answer."


def _value(schema: Schema, said: str) -> Any:
    """The likeliest value of this schema, given what was said."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _value(schema["anyOf"][0], said)
    match schema.get("type", "object"):
        case "object":
            fields = schema.get("properties", {})
            return {name: _value(fields[name], said) for name in schema.get("required", fields)}
        case "integer" | "number":
            numbers = re.findall(r"-?\d+", said)
            return int(numbers[0]) if numbers else 0
        case "boolean":
            return True
        case "array":
            return [_value(schema.get("items", {}), said)]
        case _:
            quoted = re.findall(r"'([^']+)'", said)
            return quoted[0] if quoted else "a fitting text"
