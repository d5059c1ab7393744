"""Reads JSON strictly, and holds it against a JSON Schema: offline, and with bounded work.

`json` alone takes `NaN`, `1e999` and repeated keys; `jsonschema` alone follows references to the
network and runs any regular expression to its end. Here all of these are errors.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.patterns import PatternError, check_pattern, found_in

MAX_SCHEMA_BYTES = 256 * 1024
MAX_REFERENCES = 20_000
"""How many `$ref`s one validation follows; a nested schema could ask for billions."""


class JsonError(ValueError):
    """The text is not JSON; the message says where."""


class SchemaError(ValueError):
    """The schema itself is wrong, or too much work; the message is for its author."""


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        JsonError: not JSON, NaN or infinity, a key twice in one object, nested too deeply.
    """
    try:
        return json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        raise JsonError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    except JsonError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise JsonError(str(error)) from None


def check_schema(schema: object) -> None:
    """Raise SchemaError, with place and reason, unless this is a schema that can be used."""
    import jsonschema

    if not isinstance(schema, dict):
        raise SchemaError("a JSON Schema is a mapping")
    for key, value in _keywords(schema):
        if key in ("$ref", "$dynamicRef") and not (
            isinstance(value, str) and value.startswith("#")
        ):
            raise SchemaError(
                f"`{key}: {value}` points outside the schema; only `#/...` can be used"
            )
        try:
            if key == "pattern" and isinstance(value, str):
                check_pattern(value)
            if key == "patternProperties" and isinstance(value, dict):
                for pattern in value:
                    check_pattern(pattern)
        except PatternError as error:
            raise SchemaError(f"`{key}`: {error}") from None
    try:
        _validator_class(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        place = ".".join(str(part) for part in error.absolute_path) or "the schema"
        raise SchemaError(f"not a JSON Schema, at {place}: {_short(error.message)}") from None
    except RecursionError:
        raise SchemaError("the schema is nested too deeply") from None


def read_schema(name: str, folder: Path) -> dict[str, Any]:
    """The JSON Schema in a file below `folder`.

    Raises:
        SchemaError: there is no such file, it lies elsewhere, or it is no JSON Schema.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise SchemaError(f"there is no schema file {name} in {folder}")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCHEMA_BYTES + 1)
        if len(data) > MAX_SCHEMA_BYTES:
            raise SchemaError(f"{name} is over {MAX_SCHEMA_BYTES // 1024} KiB; make it smaller")
        schema = parse_json(data.decode("utf-8-sig"))
        check_schema(schema)
    except (OSError, UnicodeDecodeError, JsonError, SchemaError) as error:
        raise SchemaError(f"{name}: {error}") from None
    assert isinstance(schema, dict)
    return schema


def misfit(value: Any, schema: dict[str, Any]) -> str | None:
    """Where the value breaks the schema, without saying what the schema wants; None if it fits.

    Raises:
        SchemaError: the schema is wrong, or refers to itself without end.
    """
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    check_schema(schema)
    validator = _bounded(_validator_class(schema))(schema, registry=Registry())
    try:
        first = next(validator.iter_errors(value), None)
    except RecursionError:
        raise SchemaError("the schema or the value is nested too deeply") from None
    except PatternError as error:
        raise SchemaError(str(error)) from None
    except Unresolvable as error:
        raise SchemaError(f"the schema refers to what it does not have: {error}") from None
    if first is None:
        return None
    place = "".join(f"[{part!r}]" for part in first.absolute_path) or "the value"
    found = _short(json.dumps(first.instance, ensure_ascii=False))
    return f"{place} is {found}, which breaks the rule `{first.validator}`"


def same_json(wanted: Any, value: Any) -> bool:
    """Whether two JSON values are equal; 1 equals 1.0, but true does not equal 1."""
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, int | float) and isinstance(value, int | float):
        return math.isclose(wanted, value, rel_tol=1e-9)
    if isinstance(wanted, list) and isinstance(value, list):
        return len(wanted) == len(value) and all(map(same_json, wanted, value))
    if isinstance(wanted, dict) and isinstance(value, dict):
        return wanted.keys() == value.keys() and all(
            same_json(part, value[key]) for key, part in wanted.items()
        )
    return bool(wanted == value)


def has_json(wanted: Any, value: Any) -> bool:
    """Whether an object has at least the wanted keys, with the wanted values."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        return all(
            key in value and (has_json if isinstance(part, dict) else same_json)(part, value[key])
            for key, part in wanted.items()
        )
    return same_json(wanted, value)


def _validator_class(schema: dict[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for

    return validator_for(schema, default=Draft202012Validator)


def _bounded(base: Any) -> Any:
    """The validator class with time-limited patterns and a cap on references."""
    from jsonschema import ValidationError
    from jsonschema.validators import extend

    followed = 0
    follow_base = base.VALIDATORS

    def pattern(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
        if isinstance(value, str) and not found_in(wanted, value):
            yield ValidationError("does not match")

    def pattern_properties(validator: Any, rules: Any, value: Any, schema: Any) -> Iterator[Any]:
        if not isinstance(value, dict):
            return
        for wanted, rule in rules.items():
            for key, item in value.items():
                if found_in(wanted, key):
                    yield from validator.descend(item, rule, path=key, schema_path=wanted)

    def reference(keyword: str) -> Any:
        def follow(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
            nonlocal followed
            followed += 1
            if followed > MAX_REFERENCES:
                raise SchemaError(f"the schema follows over {MAX_REFERENCES} references")
            yield from follow_base[keyword](validator, wanted, value, schema) or ()

        return follow

    references = {key: reference(key) for key in ("$ref", "$dynamicRef") if key in follow_base}
    return extend(  # type: ignore[no-untyped-call]
        base, {"pattern": pattern, "patternProperties": pattern_properties, **references}
    )


def _keywords(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key and value of the schema that is not plain data."""
    stack: list[Any] = [schema]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            for key, value in part.items():
                yield key, value
                if key not in ("const", "enum", "default", "examples"):
                    stack.append(value)
        elif isinstance(part, list):
            stack.extend(part)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."


def _no_constant(name: str) -> float:
    raise JsonError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError(f"{_short(text)} is too large a number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise JsonError(f"the key {twice!r} is there twice in one object")
    return value
