"""What the grammars let through: every allowed call, and nothing else."""

import json
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pytest
from llguidance import LLMatcher

from models.call_grammar import answer_grammar, call_grammar
from models.dialect import OWN, WRAPPED, Dialect, find_dialect
from models.network import Tokenizer
from models.scripted import ByteTokenizer
from tests.models.templates import BARE, LISTED, NAMED, TAGGED, TemplateTokenizer

TEMPLATES = {"own": None, "tagged": TAGGED, "bare": BARE, "listed": LISTED, "named": NAMED}
BYTES = ByteTokenizer()
# Each begins like another, or holds what JSON must escape.
PATHS = ["a", "a.csv", "a.csv.bak", "中文/文件", "emoji😀.md", 'q"uote\\back', "tab\there", "{"]


def one_of(**fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def tokenizer_of(template: str | None) -> Tokenizer:
    return ByteTokenizer() if template is None else TemplateTokenizer(template)


@lru_cache
def compiled(grammar: str) -> LLMatcher:
    matcher = LLMatcher(BYTES.llguidance, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher


def accepts(grammar: str, text: str, tokenizer: Tokenizer | None = None) -> bool:
    """The whole text is allowed and may end there."""
    tokenizer = tokenizer or BYTES
    matcher = compiled(grammar).deep_copy()
    return matcher.consume_tokens(tokenizer.encode(text)) and matcher.is_accepting()


@pytest.mark.parametrize("name", TEMPLATES)
def test_tools_and_paths_that_begin_alike_all_stay_reachable(name: str) -> None:
    tokenizer = tokenizer_of(TEMPLATES[name])
    dialect = find_dialect(tokenizer)
    tools = {
        "read": one_of(path={"enum": PATHS}),
        "read_file": one_of(path={"enum": PATHS}, page={"type": "integer", "maximum": 99}),
        "r": one_of(),
    }
    grammar = call_grammar(tools, dialect, tokenizer, call_id="abc123XYZ")

    def allowed(tool: str, arguments: Mapping[str, Any]) -> bool:
        return accepts(grammar, dialect.call(tool, arguments, "abc123XYZ"), tokenizer)

    assert allowed("r", {})
    for path in PATHS:
        assert allowed("read", {"path": path}), path
        assert allowed("read_file", {"path": path, "page": 12}), path
    assert not allowed("rea", {})
    assert not allowed("read", {"path": "a.cs"})
    assert not allowed("read", {"path": "a", "page": 1})
    assert not allowed("read_file", {"path": "a"})


@pytest.mark.parametrize("name", TEMPLATES)
def test_columns_follow_their_path(name: str) -> None:
    tokenizer = tokenizer_of(TEMPLATES[name])
    dialect = find_dialect(tokenizer)
    columns = {path: [f"{path}1", f"{path}12", "x"][: i % 3 + 1] for i, path in enumerate(PATHS)}
    grounded = {
        "anyOf": [
            one_of(path={"const": path}, column={"enum": names}, value={"const": f"v {names[0]}"})
            for path, names in columns.items()
        ]
    }
    grammar = call_grammar({"count": grounded, "counts": grounded}, dialect, tokenizer)
    for tool in ("count", "counts"):
        for path, names in columns.items():
            for column in names:
                call = {"path": path, "column": column, "value": f"v {names[0]}"}
                assert accepts(grammar, dialect.call(tool, call), tokenizer), call
    wrong = {"path": "a", "column": "a.csv1", "value": "v a1"}
    assert not accepts(grammar, dialect.call("count", wrong), tokenizer)


@pytest.mark.parametrize("name", TEMPLATES)
def test_text_or_a_call_or_text_and_then_a_call(name: str) -> None:
    tokenizer = tokenizer_of(TEMPLATES[name])
    dialect = find_dialect(tokenizer)
    tools = {"read": one_of(path={"enum": ["a", "b"]})}
    grammar = call_grammar(tools, dialect, tokenizer, text_instead=True)
    call = dialect.call("read", {"path": "a"})
    for text in ("Hello.", "中文 and 😀", "{ is a brace, <call> a tag", call, f"I look.\n{call}"):
        assert accepts(grammar, text, tokenizer), text
    assert not accepts(grammar, "", tokenizer)
    assert not accepts(grammar, dialect.call("write", {}), tokenizer)
    assert not accepts(grammar, dialect.call("read", {"path": "c"}), tokenizer)


def test_a_thought_is_one_line_before_the_call() -> None:
    tools = {"read": one_of(path={"enum": ["a"]})}
    grammar = call_grammar(tools, OWN, ByteTokenizer(), thought_chars=25)
    call = OWN.call("read", {"path": "a"})
    assert accepts(grammar, f"I will read the file.\n{call}")
    assert accepts(grammar, f"I will 读文件😀\n{call}")
    assert accepts(grammar, f"I will {'x' * 17}.\n{call}")
    assert not accepts(grammar, f"I will {'x' * 18}\n{call}")
    assert accepts(grammar, f"I will write 7.5 to a.csv\n{call}")
    assert not accepts(grammar, f"I will write 7. Why?\n{call}")
    assert not accepts(grammar, f"I will save a.txt.json\n{call}")
    assert not accepts(grammar, f">{call}\n{call}")
    assert not accepts(grammar, call)
    assert not accepts(grammar, f"I will two\nlines\n{call}")
    assert not accepts(grammar, f"{call}\n{call}")


def test_a_thought_and_its_call_may_be_one_object() -> None:
    tools = {"read": one_of(path={"enum": ["a"]})}
    grammar = call_grammar(tools, WRAPPED, ByteTokenizer(), thought_chars=20)
    rest = '", "call": {"name": "read", "arguments": {"path": "a"}}}'
    for thought in ("Why?", "中文, it's {a} <b>\u2026", "x" * 20):
        assert accepts(grammar, f'{{"thought": "{thought}{rest}')
    for thought in ("", "x" * 21, "a\nb", "a\\nb", 'a"b'):
        assert not accepts(grammar, f'{{"thought": "{thought}{rest}')
    assert not accepts(grammar, WRAPPED.call("read", {"path": "a"}))
    assert accepts(
        call_grammar(tools, WRAPPED, ByteTokenizer()), WRAPPED.call("read", {"path": "a"})
    )


def test_white_space_is_the_dialects() -> None:
    tools = {"read": one_of(path={"const": "a"}, n={"type": "array", "items": {"type": "integer"}})}
    tight = Dialect(separators=(",", ":"))
    arguments = {"path": "a", "n": [1, 2]}
    for dialect, other in ((OWN, tight), (tight, OWN)):
        grammar = call_grammar(tools, dialect, ByteTokenizer())
        assert accepts(grammar, dialect.call("read", arguments))
        assert not accepts(grammar, other.call("read", arguments))


def test_optional_arguments_may_be_left_out() -> None:
    schema = {**one_of(path={"type": "string"}, page={"type": "integer"}), "required": ["path"]}
    grammar = call_grammar({"read": schema}, OWN, ByteTokenizer())
    assert accepts(grammar, OWN.call("read", {"path": "x"}))
    assert accepts(grammar, OWN.call("read", {"path": "x", "page": 3}))
    assert not accepts(grammar, OWN.call("read", {"page": 3}))


def test_references_inside_one_tool_stay_its_own() -> None:
    point = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    word = {"type": "string", "enum": ["red"]}
    tools = {
        "move": {**one_of(to={"$ref": "#/$defs/A"}), "$defs": {"A": point}},
        "paint": {**one_of(to={"$ref": "#/$defs/A"}), "$defs": {"A": word}},
    }
    grammar = call_grammar(tools, OWN, ByteTokenizer())
    assert accepts(grammar, OWN.call("move", {"to": {"x": 1}}))
    assert accepts(grammar, OWN.call("paint", {"to": "red"}))
    assert not accepts(grammar, OWN.call("paint", {"to": {"x": 1}}))


def test_no_string_and_no_number_goes_on_for_ever() -> None:
    tools = {"t": one_of(x={"type": ["string", "number"]})}
    grammar = call_grammar(tools, OWN, ByteTokenizer())
    assert accepts(grammar, OWN.call("t", {"x": "a" * 2_000}))
    assert not accepts(grammar, OWN.call("t", {"x": "a" * 2_001}))
    assert accepts(grammar, OWN.call("t", {"x": 2.5}))
    assert not accepts(grammar, OWN.call("t", {"x": 10**20}))
    assert not accepts(grammar, OWN.opener + "t" + OWN.middle + '{"x": 1.' + "3" * 40 + "}}")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "not": {"const": "x"}},
        {"type": "string", "pattern": "^(?!a).*$"},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        {"type": "string", "format": "colour"},
        {"type": "object", "if": {"minProperties": 1}, "then": {"maxProperties": 2}},
        {"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 5}]},
        {},
    ],
)
def test_keywords_that_no_grammar_knows_do_not_stop_it(schema: dict[str, Any]) -> None:
    grammar = call_grammar({"t": one_of(x=schema)}, OWN, ByteTokenizer())
    value: Any = {"array": ["b"], "object": {}}.get(str(schema.get("type")), "b")
    assert accepts(grammar, OWN.call("t", {"x": value}))


def test_five_thousand_paths_in_three_tools_compile_in_a_moment() -> None:
    paths = [f"data/folder {i % 50}/file_{i}.csv" for i in range(5_000)]
    tools = {name: one_of(path={"enum": paths}) for name in ("read", "read_file", "copy")}
    started = time.perf_counter()
    grammar = call_grammar(tools, OWN, ByteTokenizer())
    assert accepts(grammar, OWN.call("copy", {"path": paths[-1]}))
    assert time.perf_counter() - started < 2  # 0.1 s on an idle core
    assert not accepts(grammar, OWN.call("copy", {"path": paths[-1] + "x"}))


def test_forty_tables_of_columns_and_values_compile_in_a_moment() -> None:
    values = {"enum": [f"value {i}" for i in range(25)]}
    grounded = {
        "anyOf": [
            one_of(path={"const": f"t{t}.csv"}, column={"const": f"c{c}"}, value=values)
            for t in range(40)
            for c in range(25)
        ]
    }
    started = time.perf_counter()
    grammar = call_grammar({"filter": grounded}, OWN, ByteTokenizer())
    call = {"path": "t3.csv", "column": "c24", "value": "value 9"}
    assert accepts(grammar, OWN.call("filter", call))
    assert time.perf_counter() - started < 4  # 0.25 s on an idle core


def test_an_answer_is_json_of_its_schema_and_nothing_else() -> None:
    schema = one_of(rows={"type": "integer"}, name={"type": "string"})
    grammar = answer_grammar(schema, OWN)
    assert accepts(grammar, json.dumps({"rows": 1, "name": "é"}, ensure_ascii=False))
    assert not accepts(grammar, 'Here: {"rows": 1, "name": "x"}')
    assert not accepts(grammar, '{"rows": "1", "name": "x"}')


def test_without_a_tool_there_is_no_grammar() -> None:
    with pytest.raises(ValueError, match="no tool is allowed"):
        call_grammar({}, OWN, ByteTokenizer())
