"""A remote model as a chat model: options, counts, streams, cancelling and structured output."""

import threading
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from models.errors import Cancelled, ModelError, ReplyNotUnderstood
from models.load import load_chat
from models.remote import ChatRemote
from tests.models.openai_server import Behaviour, Served
from tests.models.remote_model import READ, connect, grounded, says

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_a_remote_model_is_opened_by_name(server: Served, home: Any) -> None:
    model = load_chat(server.name, home, max_tokens=7)
    assert isinstance(model, ChatRemote)
    assert model.max_tokens == 7


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


def test_scoring_is_refused_with_the_way_out(server: Served) -> None:
    with pytest.raises(ModelError, match="use a local model"):
        connect(server).score("Hi", ["a", "b"])


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


def test_token_counts_are_upper_estimates(server: Served) -> None:
    model = connect(server)
    assert model.count_tokens("four words of text!!") >= 5
    assert model.count_tokens("你好世界") == 4
    assert model.get_num_tokens_from_messages([HumanMessage("Hi")], [READ]) > 20


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


def test_a_stream_that_breaks_off_is_an_error(server: Served, behaviour: Behaviour) -> None:
    model = connect(server)
    behaviour.says, behaviour.breaks_off = says("One two three four five."), True
    with pytest.raises(ModelError, match="broke off"):
        model.invoke("Hi", cancel=lambda: False)


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
