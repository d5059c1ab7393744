"""The way to a server: address and key, and what is said where it is busy, refuses or is not."""

from typing import Any

import pytest

from models import endpoint
from models.errors import ConnectionLost, ContextTooLong, ModelError, ModelUnavailable
from models.load import load_chat
from models.remote import open_remote
from tests.models.openai_server import Behaviour, Served
from tests.models.remote_model import connect

pytestmark = pytest.mark.usefixtures("no_waiting")


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


def test_without_the_extra_its_name_is_said(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from models import load

    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'tuneward\[remote\]'"):
        load_chat("openai:m@http://127.0.0.1:9/v1", home)
