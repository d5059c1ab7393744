"""Finds out what a server really obeys: some take a JSON schema or a forced tool and ignore it.

Each question has an answer that only an obedient server gives: the schema asks for words that the
prompt does not mention. Five or six short requests, once at the start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import HumanMessage

from models.endpoint import Endpoint
from models.errors import ConnectionLost, ModelError, ModelUnavailable, ReplyNotUnderstood
from models.remote_calls import (
    SchemaForm,
    call_schema,
    read_call,
    response_format,
    without_thinking,
)
from models.schemas import Schema

DEFAULT_WINDOW = 4096
"""What the least generous servers give without saying so."""
_FORMS: tuple[SchemaForm, ...] = ("json_schema", "json_object")
_WORDS = ("brindle-41", "quoxer-17", "fennet-88")
_SCHEMAS: dict[str, Any] = {
    name: {
        "type": "object",
        "properties": {
            "word": {"type": "string", "enum": list(_WORDS)},
            "note": {"type": "string", "maxLength": 12},
        },
        "required": ["word", "note"],
        "additionalProperties": False,
    }
    for name in ("keep_word", "drop_word")
}
_PATTERNED: dict[str, Any] = {
    "keep_file": {
        "type": "object",
        "properties": {
            "file": {
                "type": "string",
                "pattern": r"^([f-hé-ë]{2,4}/){1,2}[f-h]{3,5}-[7-9]{2}(\.tar|\.zip)$",
                "maxLength": 30,
            }
        },
        "required": ["file"],
        "additionalProperties": False,
    }
}
_GREETING = [HumanMessage("Say hello.")]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one model on one server obeys."""

    model: str
    json_schema: SchemaForm | None = None
    """The form of `response_format` that is obeyed, unions included; then calls are valid."""
    patterns: bool = False
    """Plain patterns inside a schema are obeyed too."""
    tool_choice: bool = False
    """`tool_choice: required` gives a call."""
    logprobs: bool = False
    seed: bool = False
    """The same seed gives the same text at temperature 1."""
    window: int = DEFAULT_WINDOW
    window_known: bool = False
    """The server said how large the window is."""
    parameters: int = 0
    """How many weights; 0 where the server does not say."""

    def response_format(self, schema: Schema, name: str) -> dict[str, Any]:
        """The schema in the form that this server obeys."""
        assert self.json_schema is not None
        return response_format(schema, name, self.json_schema, patterns=self.patterns)

    def missing(self) -> tuple[str, ...]:
        """The abilities that the probe did not find, by the API's names."""
        found = {
            "response_format json_schema": self.json_schema is not None,
            "pattern": self.patterns,
            "tool_choice required": self.tool_choice,
            "logprobs": self.logprobs,
            "seed": self.seed,
        }
        return tuple(name for name, there in found.items() if not there)


def probe(endpoint: Endpoint) -> Abilities:
    """Asks the server.

    Raises:
        ConnectionLost: it cannot be reached.
        ModelUnavailable: it is no OpenAI-compatible server, or does not have the model.
    """
    found = _described(endpoint)
    if found.model != endpoint.address.model:
        endpoint.client.model_name = found.model
    logprobs, seed = _logprobs_and_seed(endpoint)
    form = next((form for form in _FORMS if _obeys_schema(endpoint, form, _SCHEMAS)), None)
    return replace(
        found,
        json_schema=form,
        patterns=form is not None and _obeys_schema(endpoint, form, _PATTERNED),
        tool_choice=_obeys_tool_choice(endpoint),
        logprobs=logprobs,
        seed=seed,
    )


def _described(endpoint: Endpoint) -> Abilities:
    """The model's name, window and size, from what the server lists."""
    listed = endpoint.get("/models")
    rows = listed.get("data") if isinstance(listed, dict) else None
    models = [row for row in rows or () if isinstance(row, dict) and isinstance(row.get("id"), str)]
    wanted = endpoint.address.model
    if not models:
        if not wanted:
            raise ModelUnavailable(
                f"{endpoint.address.url} lists no models; name one: "
                f"openai:MODEL@{endpoint.address.url}"
            )
        return Abilities(wanted)  # some proxies list nothing; the first request will tell
    names = [str(row["id"]) for row in models]
    if wanted and wanted not in names and not any(n.split(":")[0] == wanted for n in names):
        raise ModelUnavailable(
            f"{endpoint.address.url} has no model `{wanted}`; it has {', '.join(names[:10])}"
        )
    row = next((row for row in models if row["id"] == wanted), models[0])
    meta: Any = row.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    window = _number(row.get("max_model_len")) or _served_window(endpoint)
    window = window or _number(row.get("context_length")) or _number(meta.get("n_ctx"))
    return Abilities(
        wanted or names[0],
        window=window or DEFAULT_WINDOW,
        window_known=bool(window),
        parameters=_number(meta.get("n_params")),
    )


def _served_window(endpoint: Endpoint) -> int:
    """llama.cpp tells the window that it was started with, which may be below the model's."""
    try:
        props = endpoint.get("^/props")
    except ModelError:
        return 0
    settings = props.get("default_generation_settings") if isinstance(props, dict) else None
    return _number(settings.get("n_ctx")) if isinstance(settings, dict) else 0


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _obeys_schema(endpoint: Endpoint, form: SchemaForm, schemas: Mapping[str, Schema]) -> bool:
    wanted = call_schema(schemas, 20)
    body = {"response_format": response_format(wanted, "call", form, patterns=True)}
    try:
        reply = endpoint.ask(_GREETING, temperature=0, max_tokens=80, extra_body=body)
        read_call(without_thinking(str(reply.text)), schemas, "probe")
    except (ReplyNotUnderstood, ModelError) as error:
        return _ignored(error)
    return True


def _obeys_tool_choice(endpoint: Endpoint) -> bool:
    tool = {
        "type": "function",
        "function": {
            "name": "keep_word",
            "description": "Keeps a word.",
            "parameters": _SCHEMAS["keep_word"],
        },
    }
    try:
        reply = endpoint.ask(
            _GREETING, temperature=0, max_tokens=60, tools=[tool], tool_choice="required"
        )
    except ModelError as error:
        return _ignored(error)
    calls = reply.tool_calls
    return (
        bool(calls) and calls[0]["name"] == "keep_word" and calls[0]["args"].get("word") in _WORDS
    )


def _logprobs_and_seed(endpoint: Endpoint) -> tuple[bool, bool]:
    """Two texts with one seed; also whether they come with log probabilities."""
    asked = [HumanMessage("Invent a name for a boat and a name for its captain.")]
    settings: dict[str, Any] = {"temperature": 1.0, "max_tokens": 12, "seed": 7}
    with_logprobs = True
    try:
        first = endpoint.ask(asked, logprobs=True, **settings)
    except ModelError as error:
        _ignored(error)
        with_logprobs = False
        first = endpoint.ask(asked, temperature=1.0, max_tokens=12)
    given = first.response_metadata.get("logprobs")
    has_logprobs = with_logprobs and isinstance(given, dict) and bool(given.get("content"))
    try:
        again = endpoint.ask(asked, **settings)
    except ModelError as error:
        return has_logprobs, _ignored(error)
    return has_logprobs, bool(again.text) and again.text == first.text


def _ignored(error: ModelError) -> bool:
    """A refusal means that the server lacks the ability; not being reached means nothing."""
    if isinstance(error, ConnectionLost):
        raise error
    return False
