"""What the model sees of a schema, what the grammar enforces, how a finished value is checked."""

import json
from typing import Any

import pytest

from models.errors import ReplyNotUnderstood
from models.schemas import MAX_ENUM, MAX_ITEMS, MAX_STRING, check, enforced, shown


def test_titles_and_grounding_are_not_shown() -> None:
    schema = {
        "title": "Args",
        "type": "object",
        "properties": {
            "path": {
                "title": "Path",
                "type": "string",
                "description": "Is grounded.",
                "x-ground": {"kind": "file"},
            },
            "text": {"type": "string", "description": "Is composed."},
            "many": {"type": "array", "items": {"title": "One", "type": "string", "x-a": 1}},
        },
        "$defs": {"A": {"title": "A", "anyOf": [{"title": "B", "type": "null"}]}},
    }
    text = json.dumps(shown(schema))
    assert "x-" not in text
    assert "itle" not in text
    assert "Is grounded." not in text
    assert "Is composed." in text


def test_an_argument_called_title_stays() -> None:
    schema = {"type": "object", "properties": {"title": {"title": "Title", "type": "string"}}}
    assert shown(schema)["properties"] == {"title": {"type": "string"}}
    assert "title" in enforced(schema)["properties"]


@pytest.mark.parametrize(
    "unsupported",
    [
        {"not": {"const": "x"}},
        {"if": {"minLength": 2}, "then": {"maxLength": 3}},
        {"format": "colour"},
        {"pattern": "^(?=a)b$"},
        {"pattern": r"^(a)\1$"},
        {"contentEncoding": "base64"},
        {"x-guidance": {"whitespace_flexible": True}},
    ],
)
def test_what_no_grammar_can_enforce_is_left_out(unsupported: dict[str, Any]) -> None:
    made = enforced({"type": "string", **unsupported})
    assert made == {"type": "string", "maxLength": MAX_STRING}


def test_strings_lists_and_numbers_are_bounded() -> None:
    assert enforced({"type": "string"})["maxLength"] == MAX_STRING
    assert enforced({"type": ["string", "null"]})["maxLength"] == MAX_STRING
    assert enforced({"type": "string", "maxLength": 5})["maxLength"] == 5
    assert enforced({"type": "array", "items": {"type": "string"}}) == {
        "type": "array",
        "items": {"type": "string", "maxLength": MAX_STRING},
        "maxItems": MAX_ITEMS,
    }
    integer = enforced({"type": "integer", "minimum": 1})
    assert integer["minimum"] == 1
    assert integer["maximum"] > 10**12


def test_an_enum_that_is_too_long_becomes_a_bounded_string() -> None:
    values = [f"value {i}" for i in range(MAX_ENUM + 1)]
    assert enforced({"enum": values}) == {"type": "string", "maxLength": len(values[-1])}
    assert enforced({"enum": values[:-1]}) == {"enum": values[:-1]}


def test_a_valid_value_is_returned() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert check('{"a": 1}', schema) == {"a": 1}


def test_a_wrong_value_is_told_with_its_place() -> None:
    schema = {"properties": {"a": {"items": {"not": {"const": "x"}}}}}
    with pytest.raises(ReplyNotUnderstood, match=r"\['a'\]\[1\] is wrong") as caught:
        check('{"a": ["y", "x"]}', schema)
    assert caught.value.reply == '{"a": ["y", "x"]}'


def test_broken_json_is_told() -> None:
    with pytest.raises(ReplyNotUnderstood, match="no JSON"):
        check('{"a": ', {})
