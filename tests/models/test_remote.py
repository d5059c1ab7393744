"""A remote model: probed, grounded, retried and cancelled, over a server made for the test."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import BaseModel
from tenacity import wait_none

from models import endpoint
from models.errors import (
    Cancelled,
    ConnectionLost,
    ContextTooLong,
    ModelError,
    ModelUnavailable,
    ReplyNotUnderstood,
)
from models.load import load_chat
from models.probe import Abilities
from models.remote import ChatRemote, open_remote
from models.remote_calls import portable
from tests.models.openai_server import Behaviour, Served, serving

READ = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Reads a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    },
}
WRITE = {
    "type": "function",
    "function": {
        "name": "write_file",
        "description": "Writes a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
            "required": ["path", "text"],
        },
    },
}
ALLOWED: dict[str, dict[str, Any]] = {
    "read_file": {
        "type": "object",
        "properties": {"path": {"enum": ["a.txt", "b.txt"]}},
        "required": ["path"],
        "additionalProperties": False,
    }
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "RETRY_WAIT", wait_none())


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def server(behaviour: Behaviour) -> Iterator[Served]:
    with serving(behaviour) as served:
        yield served


def connect(server: Served, **options: Any) -> ChatRemote:
    """The model after its probe, whose requests are forgotten."""
    model = open_remote(server.name, **options)
    server.requests.clear()
    return model


def grounded(model: ChatRemote, **options: Any) -> AIMessage:
    bound = model.bind_tools([READ, WRITE], tool_choice="any", allowed=ALLOWED, **options)
    return bound.invoke([SystemMessage("Be brief."), HumanMessage("Read a.txt")])


def says(*texts: str) -> Any:
    """One text after the other, the last one for ever."""
    left = list(texts)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


def as_call(path: str, name: str = "read_file") -> str:
    return json.dumps({"call": {"name": name, "arguments": {"path": path}}})


def test_an_obedient_server_has_every_ability(server: Served, behaviour: Behaviour) -> None:
    found = open_remote(server.name).abilities
    assert found.missing() == ()
    assert found.json_schema == "json_schema"
    assert found.patterns


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"schema_forms": ()}, ("response_format json_schema", "pattern")),
        ({"refuses_schemas": True}, ("response_format json_schema", "pattern")),
        ({"patterns": False}, ("pattern",)),
        ({"tool_choice": False}, ("tool_choice required",)),
        ({"logprobs": False}, ("logprobs",)),
        ({"seed": False}, ("seed",)),
    ],
)
def test_the_probe_finds_what_is_ignored(changes: dict[str, Any], missing: tuple[str, ...]) -> None:
    with serving(replace(Behaviour(), **changes)) as server:
        assert open_remote(server.name).abilities.missing() == missing


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


def test_a_streamed_call_that_is_not_legal_raises(server: Served, behaviour: Behaviour) -> None:
    behaviour.schema_forms = ()
    model = connect(server)
    behaviour.says = says('{"thought": "x", "call": {"name": "no_such_tool", "arguments": {}}}')
    bound = model.bind_tools([READ, WRITE], tool_choice="any", allowed=ALLOWED)
    with pytest.raises(ReplyNotUnderstood, match="no tool that can be called now"):
        list(bound.stream([HumanMessage("Read a.txt")]))


def test_the_older_form_of_schemas_is_found_and_used(server: Served, behaviour: Behaviour) -> None:
    behaviour.schema_forms = ("json_object",)
    model = connect(server)
    assert model.abilities.json_schema == "json_object"
    assert grounded(model).tool_calls[0]["args"] == {"path": "b.txt"}
    assert server.requests[0]["response_format"]["type"] == "json_object"


def test_a_server_that_says_the_right_words_by_itself_is_not_taken_for_obedient(
    server: Served, behaviour: Behaviour
) -> None:
    behaviour.schema_forms = ()
    behaviour.says = lambda body: as_call("a.txt", "keep_word")
    assert open_remote(server.name).abilities.json_schema is None


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


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_an_object(server: Served, method: Any) -> None:
    city = connect(server).with_structured_output(City, method=method).invoke("Which city?")
    assert city == City(name="x", people=1)


def test_structured_output_without_schemas_is_validated_and_asked_for_again(
    server: Served, behaviour: Behaviour
) -> None:
    behaviour.schema_forms = ()
    model = connect(server)
    behaviour.says = says('{"name": 7}', '```json\n{"name": "Köln", "people": 1000000}\n```')
    city = model.with_structured_output(City).invoke("Which city?")
    assert city == City(name="Köln", people=1_000_000)
    assert "people (integer)" in server.requests[0]["messages"][-1]["content"]


def test_structured_output_that_never_comes_is_an_error(
    server: Served, behaviour: Behaviour
) -> None:
    behaviour.schema_forms = ()
    model = connect(server, retries=1)
    with pytest.raises(ReplyNotUnderstood, match="no JSON"):
        model.with_structured_output(City).invoke("Which city?")
    assert len(server.requests) == 2


def test_the_options_of_a_call_reach_the_server(server: Served) -> None:
    connect(server).invoke("Hi", temperature=0.5, top_p=0.9, seed=3, max_tokens=9, stop=["END"])
    request = server.requests[0]
    assert request["temperature"] == 0.5
    assert request["top_p"] == 0.9
    assert request["seed"] == 3
    assert request["max_tokens"] == 9
    assert request["stop"] == ["END"]


def test_a_seed_that_is_ignored_is_not_sent(server: Served, behaviour: Behaviour) -> None:
    behaviour.seed = False
    connect(server).invoke("Hi", seed=3)
    assert "seed" not in server.requests[0]


def test_an_adapter_is_refused(server: Served) -> None:
    with pytest.raises(ModelError, match="runs on the local model only"):
        connect(server).invoke("Hi", adapter="mine")


@pytest.mark.parametrize("way", ["openai", "llama.cpp"])
def test_cached_tokens_are_counted(server: Served, behaviour: Behaviour, way: str) -> None:
    if way == "openai":
        behaviour.cached = 21
    else:
        behaviour.timings = {"cache_n": 21, "prompt_n": 9}
    reply = connect(server).invoke("Hi")
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_token_details"] == {"cache_read": 21}
    assert reply.response_metadata["usage"]["cached_tokens"] == 21


@pytest.mark.parametrize(
    ("listing", "props", "window"),
    [
        ({"max_model_len": 16_384}, None, 16_384),
        ({}, {"default_generation_settings": {"n_ctx": 8_192}}, 8_192),
        ({"meta": {"n_ctx_train": 32_768}}, {"default_generation_settings": {"n_ctx": 512}}, 512),
        ({"context_length": 2_048}, {"other": 1}, 2_048),
        ({}, None, 4_096),
    ],
)
def test_the_window_is_the_one_that_the_server_runs_with(
    listing: dict[str, Any], props: dict[str, Any] | None, window: int
) -> None:
    with serving(Behaviour(listing=listing, props=props)) as server:
        assert open_remote(server.name).window == window


@pytest.mark.parametrize(
    ("model", "listing", "parameters"),
    [
        ("tiny-3b", {}, 3_000_000_000),
        ("Qwen/Qwen3-0.6B", {}, 600_000_000),
        ("other", {"meta": {"n_params": 494_032_768}}, 494_032_768),
        ("other", {}, 1_000_000_000),
    ],
)
def test_the_size_is_told_or_read_from_the_name(
    model: str, listing: dict[str, Any], parameters: int
) -> None:
    with serving(Behaviour(model=model, listing=listing)) as server:
        assert open_remote(server.name).parameters == parameters


def test_text_streams_with_usage_at_the_end(server: Served, behaviour: Behaviour) -> None:
    model = connect(server)
    behaviour.says = says("One two three four.")
    pieces = list(model.stream("Hi"))
    assert len([piece for piece in pieces if piece.text]) > 2
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = whole + piece
    assert whole.text == "One two three four."
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 5
    assert whole.response_metadata["finish_reason"] == "stop"


def test_a_streamed_call_comes_in_one_valid_piece(server: Served) -> None:
    bound = connect(server).bind_tools([READ], tool_choice="any", allowed=ALLOWED)
    pieces = [piece for piece in bound.stream("Read a.txt") if piece.tool_calls]
    assert [piece.tool_calls[0]["args"] for piece in pieces] == [{"path": "b.txt"}]


def test_a_reply_can_be_cancelled_while_the_server_is_silent(
    server: Served, behaviour: Behaviour
) -> None:
    model = connect(server)
    behaviour.hangs = threading.Event()
    with pytest.raises(Cancelled):
        model.invoke("Hi", cancel=lambda: len(server.requests) > 0)


def test_a_cancellable_call_is_the_same_call(server: Served) -> None:
    model = connect(server)
    plain, watched = grounded(model), grounded(model, cancel=lambda: False)
    assert watched.tool_calls == plain.tool_calls
    assert watched.usage_metadata == plain.usage_metadata


def test_a_stream_that_breaks_off_is_an_error(server: Served, behaviour: Behaviour) -> None:
    model = connect(server)
    behaviour.says, behaviour.breaks_off = says("One two three four five."), True
    with pytest.raises(ModelError, match="broke off"):
        model.invoke("Hi", cancel=lambda: False)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(server: Served, behaviour: Behaviour, status: int) -> None:
    model = connect(server)
    behaviour.failures = [status, status]
    assert model.invoke("Hi").text == "Hello."
    assert len(server.requests) == 3


def test_a_server_that_stays_busy_is_given_up(server: Served, behaviour: Behaviour) -> None:
    model = connect(server)
    behaviour.chat_status = 503
    with pytest.raises(ConnectionLost, match="could not answer"):
        model.invoke("Hi")
    assert len(server.requests) == endpoint.ATTEMPTS


def test_a_refused_request_is_not_repeated(server: Served, behaviour: Behaviour) -> None:
    model = connect(server)
    behaviour.chat_status, behaviour.chat_error = 400, "temperature\nmust be cold"
    with pytest.raises(ModelError, match=r"refused the request \(HTTP 400\): temperature must be"):
        model.invoke("Hi")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "error",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
        "the request exceeds the available context size (4096), it has 5000 tokens",
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart(
    server: Served, behaviour: Behaviour, error: str
) -> None:
    model = connect(server)
    behaviour.chat_status, behaviour.chat_error = 400, error
    with pytest.raises(ContextTooLong) as caught:
        model.invoke("Hi")
    assert (caught.value.tokens, caught.value.limit) == (5_000, 4_096)


def test_nobody_at_the_address_is_said() -> None:
    with pytest.raises(ConnectionLost, match=r"no answer from http://127\.0\.0\.1:9/v1 .*runs"):
        open_remote("openai:m@http://127.0.0.1:9/v1")


def test_a_web_site_is_no_server(server: Served, behaviour: Behaviour) -> None:
    behaviour.is_web_site = True
    with pytest.raises(ModelUnavailable, match="not as an OpenAI-compatible server does"):
        open_remote(server.name)


def test_a_wrong_path_is_said(server: Served) -> None:
    with pytest.raises(ModelUnavailable, match="the URL usually ends in /v1"):
        open_remote(f"openai:tiny@{server.url.removesuffix('/v1')}/v7")


def test_a_model_that_is_not_there_is_said_with_those_that_are(server: Served) -> None:
    with pytest.raises(ModelUnavailable, match="has no model `other`; it has tiny-3b"):
        open_remote(f"openai:other@{server.url}")


def test_without_a_name_the_first_model_is_taken(server: Served) -> None:
    model = open_remote(f"openai:@{server.url}")
    assert model.model_name == "tiny-3b"
    assert {request["model"] for request in server.requests} == {"tiny-3b"}


def test_a_refused_key_is_said(server: Served, behaviour: Behaviour) -> None:
    behaviour.key = "secret"
    with pytest.raises(ModelUnavailable, match="refused the key.*TUNEWARD_API_KEY"):
        open_remote(server.name)


def test_the_key_is_sent_and_openais_key_stays_home(
    server: Served, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-private")
    open_remote(server.name)
    assert set(server.keys) == {"none"}
    monkeypatch.setenv("TUNEWARD_API_KEY", "secret")
    behaviour.key = "secret"
    assert open_remote(server.name).invoke("Hi").text == "Hello."


@pytest.mark.parametrize(
    "name", ["openai:", "openai:m", "openai:m@", "openai:m@ftp://x", "openai:m@http://"]
)
def test_a_malformed_address_is_said(name: str) -> None:
    with pytest.raises(ModelUnavailable, match="write openai:MODEL@URL"):
        open_remote(name)


def test_a_key_in_the_url_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="must hold no key"):
        open_remote("openai:m@http://user:pass@127.0.0.1/v1")


def test_a_remote_model_is_opened_by_name(server: Served, home: Any) -> None:
    model = load_chat(server.name, home, max_tokens=7)
    assert isinstance(model, ChatRemote)
    assert model.max_tokens == 7


def test_without_the_extra_its_name_is_said(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from models import load

    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'tuneward\[remote\]'"):
        load_chat("openai:m@http://127.0.0.1:9/v1", home)


def test_token_counts_are_upper_estimates(server: Served) -> None:
    model = connect(server)
    assert model.count_tokens("four words of text!!") >= 5
    assert model.count_tokens("你好世界") == 4
    assert model.get_num_tokens_from_messages([HumanMessage("Hi")], [READ]) > 20


def test_scoring_is_refused_with_the_way_out(server: Served) -> None:
    with pytest.raises(ModelError, match="use a local model"):
        connect(server).score("Hi", ["a", "b"])


def test_abilities_are_what_they_say() -> None:
    assert Abilities("m", json_schema="json_schema", tool_choice=True).missing() == (
        "pattern",
        "logprobs",
        "seed",
    )
