"""What the probe finds out of a server: what it obeys, its window and its model's size."""

from dataclasses import replace
from typing import Any

import pytest

from models.probe import Abilities
from models.remote import open_remote
from tests.models.openai_server import Behaviour, Served, serving
from tests.models.remote_model import as_call, connect, grounded

pytestmark = pytest.mark.usefixtures("no_waiting")


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


def test_abilities_are_what_they_say() -> None:
    assert Abilities("m", json_schema="json_schema", tool_choice=True).missing() == (
        "pattern",
        "logprobs",
        "seed",
    )
