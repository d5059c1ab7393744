"""Tool calls with a server: held to what exists, read from its reply, asked for again."""

import json

import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

from models.errors import ReplyNotUnderstood
from models.remote_calls import portable
from tests.models.openai_server import Behaviour, Served
from tests.models.remote_model import ALLOWED, READ, WRITE, as_call, connect, grounded, says

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_a_grounded_call_is_held_to_what_exists(server: Served) -> None:
    reply = grounded(connect(server))
    assert [(c["name"], c["args"]) for c in reply.tool_calls] == [("read_file", {"path": "b.txt"})]
    assert reply.response_metadata["constrained"]
    assert len(server.requests) == 1


def test_the_prompt_shows_the_tools_and_stays_the_same_when_what_exists_changes(
    server: Served,
) -> None:
    model = connect(server)
    grounded(model)
    bound = model.bind_tools([READ, WRITE], tool_choice="any", allowed={"read_file": {}})
    bound.invoke([SystemMessage("Be brief."), HumanMessage("Read a.txt")])
    first, second = (request["messages"] for request in server.requests)
    assert first == second
    assert "write_file" in first[0]["content"]
    assert "b.txt" not in json.dumps(first)


def test_a_thought_comes_before_the_call(server: Served) -> None:
    reply = grounded(connect(server), thought_chars=40)
    assert reply.text == "x"
    schema = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["thought", "call"]
    assert schema["properties"]["thought"]["maxLength"] == 40


def test_the_schema_holds_nothing_that_servers_refuse(server: Served) -> None:
    parameters = {
        "type": "object",
        "title": "Secret",
        "x-ground": {"kind": "file"},
        "$defs": {"City": {"type": "string", "enum": ["Köln"]}},
        "properties": {
            "city": {"$ref": "#/$defs/City"},
            "day": {"type": "string", "format": "date", "pattern": "^2"},
            "share": {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 0},
        },
        "required": ["city"],
    }
    model = connect(server)
    model.bind_tools([READ], tool_choice="any", allowed={"read_file": parameters}).invoke("Go")
    sent = json.dumps(server.requests[0]["response_format"], ensure_ascii=False)
    for word in ("title", "x-ground", "$ref", "$defs", 'format"', "pattern", "multipleOf"):
        assert word not in sent.replace('"response_format"', "")
    assert "Köln" in sent


@pytest.mark.parametrize(
    ("pattern", "kept"),
    [
        (r"^([a-zé]{1,4}/){0,2}x(\.csv|\.tsv)$", True),
        (r"^[^\n]+$", False),
        (r"^\d+$", False),
        (r"^[\w-]+$", False),
    ],
)
def test_only_patterns_that_every_server_reads_alike_go_along(pattern: str, kept: bool) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert ("pattern" in portable(schema, patterns=True)) is kept
    assert "pattern" not in portable(schema)


def test_without_schemas_a_wrong_call_is_asked_for_again_with_the_error(
    server: Served, behaviour: Behaviour
) -> None:
    behaviour.schema_forms = ()
    model = connect(server)
    behaviour.says = says(as_call("made-up.txt"), "Sure! " + as_call("a.txt"))
    reply = grounded(model)
    assert reply.tool_calls[0]["args"] == {"path": "a.txt"}
    assert reply.response_metadata["tries"] == 2
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] == 60
    retry = server.requests[1]["messages"]
    assert retry[-2]["content"] == as_call("made-up.txt")
    assert "'made-up.txt' is not one of" in retry[-1]["content"]


def test_retries_are_bounded_and_the_last_error_is_kept(
    server: Served, behaviour: Behaviour
) -> None:
    behaviour.schema_forms = ()
    model = connect(server, retries=2)
    behaviour.says = says("I would rather not.")
    reply = grounded(model)
    assert reply.tool_calls == []
    assert "not a JSON object" in str(reply.invalid_tool_calls[0]["error"])
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{call}\n```",
        "<think>\nLet me see: {{}}\n</think>\n{call}",
        "Here you are:\n{call} I hope that helps.",
        '{{"name": "read_file", "arguments": {{"path": "a.txt"}}}}',
    ],
)
def test_a_call_is_found_in_what_surrounds_it(
    server: Served, behaviour: Behaviour, text: str
) -> None:
    behaviour.schema_forms = ()
    model = connect(server)
    behaviour.says = says(text.format(call=as_call("a.txt")))
    assert grounded(model).tool_calls[0]["args"] == {"path": "a.txt"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "null", '{"call": 7}', '{"call": {"name": ["x"]}}', "{" * 5_000]
)
def test_nonsense_is_no_call(server: Served, behaviour: Behaviour, text: str) -> None:
    behaviour.schema_forms = ()
    model = connect(server, retries=0)
    behaviour.says = says(text)
    reply = grounded(model)
    assert reply.tool_calls == []
    assert len(reply.invalid_tool_calls) == 1


def test_a_reply_cut_by_its_length_says_so(server: Served, behaviour: Behaviour) -> None:
    behaviour.schema_forms = ()
    model = connect(server, retries=0)
    behaviour.says, behaviour.finish = says('{"call": {"name": "rea'), "length"
    reply = grounded(model)
    assert "cut before it was complete" in str(reply.invalid_tool_calls[0]["error"])
    assert reply.response_metadata["finish_reason"] == "length"


def test_a_schema_that_the_server_cannot_compile_falls_back_to_validation(
    server: Served, behaviour: Behaviour
) -> None:
    model = connect(server)
    behaviour.refuses_schemas = True
    behaviour.says = says(as_call("a.txt"))
    reply = grounded(model)
    assert reply.tool_calls[0]["args"] == {"path": "a.txt"}
    assert not reply.response_metadata["constrained"]


def test_earlier_replies_go_back_as_they_were_said(server: Served) -> None:
    model = connect(server)
    first = grounded(model)
    said = [
        HumanMessage("Read a.txt"),
        first,
        ToolMessage("nothing in it", tool_call_id=first.tool_calls[0]["id"]),
    ]
    model.bind_tools([READ], tool_choice="any").invoke(said)
    messages = server.requests[1]["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == first.response_metadata["raw"]
    assert "Result of read_file:\nnothing in it" in messages[3]["content"]


def test_tools_that_may_be_left_alone_use_the_servers_own_calls(server: Served) -> None:
    reply = connect(server).bind_tools([READ]).invoke("Hello")
    assert reply.tool_calls[0]["name"] == "read_file"
    assert server.requests[0]["tool_choice"] == "auto"


def test_without_own_calls_text_may_be_text_or_a_call(server: Served, behaviour: Behaviour) -> None:
    behaviour.tool_choice = False
    bound = connect(server).bind_tools([READ])
    assert bound.invoke("Hello").text == "Hello."
    behaviour.says = says(as_call("a.txt"))
    assert bound.invoke("Hello").tool_calls[0]["args"] == {"path": "a.txt"}


def test_no_call_is_read_where_none_is_allowed(server: Served, behaviour: Behaviour) -> None:
    model = connect(server)
    behaviour.says = says(as_call("a.txt"))
    reply = model.bind_tools([READ], tool_choice="none").invoke("Hello")
    assert reply.tool_calls == []
    assert reply.text == as_call("a.txt")


def test_a_streamed_call_comes_in_one_valid_piece(server: Served) -> None:
    bound = connect(server).bind_tools([READ], tool_choice="any", allowed=ALLOWED)
    pieces = [piece for piece in bound.stream("Read a.txt") if piece.tool_calls]
    assert [piece.tool_calls[0]["args"] for piece in pieces] == [{"path": "b.txt"}]


def test_a_streamed_call_that_is_not_legal_raises(server: Served, behaviour: Behaviour) -> None:
    behaviour.schema_forms = ()
    model = connect(server)
    behaviour.says = says('{"thought": "x", "call": {"name": "no_such_tool", "arguments": {}}}')
    bound = model.bind_tools([READ, WRITE], tool_choice="any", allowed=ALLOWED)
    with pytest.raises(ReplyNotUnderstood, match="no tool that can be called now"):
        list(bound.stream([HumanMessage("Read a.txt")]))
