"""JSON Schemas of arguments and answers: what the model is shown, and what the grammar enforces.

Covered by the grammar: types, properties, enum, const, unions, references, bounds, patterns, the
common formats. Not covered: `not`, `if`, `uniqueItems`, `contains` and their like; they are left
out of the grammar and hold only when the finished arguments are validated.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from models.errors import ReplyNotUnderstood

Schema = Mapping[str, Any]

MAX_STRING = 2_000
"""Characters of a string that declares no limit: a small model may never close it otherwise."""
MAX_ITEMS = 100
"""Items of an array that declares no limit."""
MAX_ENUM = 20_000
"""More alternatives than this would not compile in a fraction of a second."""
MAX_NUMBER = 2**53
"""Numbers without a bound stop here: digits too can go on for ever."""
SMALLEST_STEP = 1e-9
"""Decimals of a number that declares no step."""

_ENFORCED = frozenset(
    {
        *("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions"),
        *("properties", "required", "additionalProperties", "patternProperties"),
        *("minProperties", "maxProperties", "items", "prefixItems", "minItems", "maxItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format"),
    }
)
_FORMATS = frozenset(
    {"date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}
)
_IRREGULAR = re.compile(r"\(\?(=|!|<=|<!)|\\[1-9]|\(\?P?[=>]")
"""Look-around and back references: no automaton can follow them."""
_ONE = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains"})
_LIST = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})


def shown(schema: Schema) -> dict[str, Any]:
    """The schema as the model sees it: without titles, `x-` keys and what the grammar says anyway.

    An argument that is grounded needs no description: only values that exist can be written.
    """
    left_out = {"title", "description"} if "x-ground" in schema else {"title"}
    kept = {k: v for k, v in schema.items() if k not in left_out and not k.startswith("x-")}
    return _inside(kept, shown)


def enforced(schema: Schema) -> dict[str, Any]:
    """The schema as the grammar enforces it: every string and list bounded, nothing unsupported."""
    kept = _inside({k: v for k, v in schema.items() if k in _ENFORCED}, enforced)
    if kept.get("format") not in _FORMATS:
        kept.pop("format", None)
    if _IRREGULAR.search(str(kept.get("pattern", ""))):
        kept.pop("pattern")
    if "oneOf" in kept:
        kept["anyOf"] = [*kept.get("anyOf", []), *kept.pop("oneOf")]
    if len(kept.get("enum", ())) > MAX_ENUM:
        kept = _without_enum(kept)
    if "enum" in kept or "const" in kept:
        return kept
    kinds = kept.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if "string" in kinds and not kept.keys() & {"format", "maxLength"}:
        kept["maxLength"] = max(MAX_STRING, kept.get("minLength", 0))
    if "array" in kinds and "maxItems" not in kept:
        kept["maxItems"] = max(MAX_ITEMS, kept.get("minItems", 0))
    if kinds & {"integer", "number"}:
        if not kept.keys() & {"minimum", "exclusiveMinimum"}:
            kept["minimum"] = -MAX_NUMBER
        if not kept.keys() & {"maximum", "exclusiveMaximum"}:
            kept["maximum"] = MAX_NUMBER
    if "number" in kinds:
        kept.setdefault("multipleOf", SMALLEST_STEP)
    if "object" in kinds and "properties" in kept:
        kept.setdefault("additionalProperties", False)
    return kept


def _without_enum(schema: dict[str, Any]) -> dict[str, Any]:
    """A list of values that is too long to enforce becomes a string as long as its longest."""
    values = schema.pop("enum")
    if all(isinstance(value, str) for value in values):
        return {**schema, "type": "string", "maxLength": max(map(len, values))}
    return schema


def _inside(schema: Schema, change: Callable[[Schema], Any]) -> dict[str, Any]:
    """The schema with `change` applied to every schema in it, and to nothing else."""
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _ONE and isinstance(value, Mapping):
            made[key] = change(value)
        elif key in _LIST and isinstance(value, list):
            made[key] = [change(v) if isinstance(v, Mapping) else v for v in value]
        elif key in _NAMED and isinstance(value, Mapping):
            made[key] = {
                name: change(v) if isinstance(v, Mapping) else v for name, v in value.items()
            }
        else:
            made[key] = value
    return made


def check(text: str, schema: Schema) -> Any:
    """The JSON in the text, valid by the schema.

    Raises:
        ReplyNotUnderstood: it does not parse or is not valid; the message says where.
    """
    from jsonschema import ValidationError
    from jsonschema.validators import validator_for

    try:
        value = json.loads(text)
    except ValueError as error:
        raise ReplyNotUnderstood(f"the reply is no JSON: {error}", text) from None
    validator = validator_for(schema, default=validator_for(True))
    try:
        validator(schema).validate(value)
    except ValidationError as error:
        where = "".join(f"[{step!r}]" for step in error.absolute_path) or "the whole"
        raise ReplyNotUnderstood(f"{where} is wrong: {_short(error.message)}", text) from None
    return value


def _short(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else message[: limit - 3] + "..."
