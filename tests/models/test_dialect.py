"""A model's own way to write a call is read off its chat template."""

import pytest

from models.call_text import CallText
from models.dialect import OWN, Dialect, find_dialect
from models.scripted import ByteTokenizer
from tests.models.templates import BARE, LISTED, NAMED, SIMPLE, STRICT, TAGGED, TemplateTokenizer


def test_a_call_in_tags_is_found_with_its_tags() -> None:
    dialect = find_dialect(TemplateTokenizer(TAGGED))
    assert dialect.native
    written = dialect.call("read", {"path": "é.txt", "page": 2})
    assert written == (
        '<call>\n{"name": "read", "arguments": {"path": "é.txt", "page": 2}}\n</call>'
    )


def test_the_key_of_the_arguments_is_the_templates_own() -> None:
    dialect = find_dialect(TemplateTokenizer(BARE))
    assert dialect.call("read", {}) == '{"name": "read", "parameters": {}}'


def test_an_id_in_the_call_is_this_calls_id() -> None:
    dialect = find_dialect(TemplateTokenizer(LISTED))
    assert not dialect.replays_content
    written = dialect.call("read", {"a": 1}, "abc123XYZ")
    assert written == '[CALLS] [{"name": "read", "arguments": {"a": 1}, "id": "abc123XYZ"}]'


def test_a_name_outside_the_json_is_found_too() -> None:
    dialect = find_dialect(TemplateTokenizer(NAMED))
    assert dialect.arguments_as_text
    assert dialect.call("read", {"a": 1}) == '<|im_start|>read<args>{"a": 1}</args>'


@pytest.mark.parametrize("template", [SIMPLE, STRICT], ids=["simple", "strict"])
def test_a_template_without_tools_gets_our_own_rendering(template: str) -> None:
    assert find_dialect(TemplateTokenizer(template)) == OWN


def test_a_model_without_a_template_gets_our_own_rendering() -> None:
    assert find_dialect(ByteTokenizer()) == OWN


def test_a_template_that_shows_tools_but_writes_no_json_gets_our_own_rendering() -> None:
    pairs = TAGGED.replace("arguments | tojson", "arguments.items() | list")
    assert find_dialect(TemplateTokenizer(pairs)) == OWN


@pytest.mark.parametrize("template", [TAGGED, BARE, LISTED, NAMED, SIMPLE])
@pytest.mark.parametrize("words", ["", "I look first.\n"])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_what_a_dialect_writes_is_read_back_piece_by_piece(
    template: str, words: str, step: int
) -> None:
    dialect = find_dialect(TemplateTokenizer(template))
    arguments = '{"text": "a } in \\" quotes {", "list": [1, {"x": "]"}]}'
    text = f"{words}{dialect.opener}read{dialect.middle}{arguments}{dialect.closer}"
    said = CallText(dialect, calls=True)
    pieces = [p for i in range(0, len(text), step) for p in said.add(text[i : i + step])]
    pieces += said.finish()
    assert (said.words, said.name, said.arguments) == (words.strip(), "read", arguments)
    assert said.complete
    for kind in ("words", "name", "arguments"):
        assert "".join(p.text for p in pieces if p.kind == kind) == getattr(said, kind)


def test_text_that_only_begins_like_a_call_is_text() -> None:
    said = CallText(Dialect(opener='<call>\n{"name": "'), calls=True)
    shown = [p.text for part in ("a <ca", "ll> for <", "call>\n") for p in said.add(part)]
    assert shown == ["a", " <call> for"]
    assert "".join(shown + [p.text for p in said.finish()]) == "a <call> for <call>\n"
    assert said.name is None


def test_where_no_call_may_come_it_is_text() -> None:
    said = CallText(OWN, calls=False)
    said.add('{"name": "read", "arguments": {}}')
    said.finish()
    assert said.name is None
    assert said.words == '{"name": "read", "arguments": {}}'


def test_a_call_that_breaks_off_is_not_complete() -> None:
    said = CallText(OWN, calls=True)
    said.add('{"name": "read", "arguments": {"path": "a')
    said.finish()
    assert said.name == "read"
    assert not said.complete
