"""A small server that speaks the OpenAI protocol and obeys, ignores or breaks it as a test wants.

The obedient one reads the JSON schema of a request and makes the smallest value that it permits, so
it has no opinions: whatever it says is legal. Each request is kept for the test to look at.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = Mapping[str, Any]
Says = Callable[[Body], str]


@dataclass
class Behaviour:
    """What the server does."""

    schema_forms: Sequence[str] = ("json_schema", "json_object")
    """Forms of `response_format` that it obeys; others are ignored."""
    patterns: bool = True
    """Patterns inside schemas are obeyed."""
    refuses_schemas: bool = False
    """Answers HTTP 400 to any `response_format`."""
    tool_choice: bool = True
    logprobs: bool = True
    seed: bool = True
    says: Says = lambda body: "Hello."
    """The text of a free reply."""
    failures: list[int] = field(default_factory=list)
    """HTTP statuses of the next replies, before it behaves."""
    chat_status: int = 200
    chat_error: str = "refused"
    model: str = "tiny-3b"
    listing: dict[str, Any] = field(default_factory=dict)
    """More keys of the model in /v1/models."""
    props: dict[str, Any] | None = None
    is_web_site: bool = False
    """Answers everything with an HTML page."""
    key: str | None = None
    """The only key that it takes."""
    hangs: threading.Event | None = None
    """Replies to chats only once this is set."""
    cached: int = 0
    timings: dict[str, Any] | None = None
    finish: str = "stop"
    breaks_off: bool = False
    """A stream ends in the middle."""


@dataclass
class Served:
    """A running server."""

    url: str
    behaviour: Behaviour
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The model as `--model` takes it."""
        return f"openai:{self.behaviour.model}@{self.url}"


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Served]:
    """Runs the server on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_address[1]}/v1", behaviour)
    server.served = served  # type: ignore[attr-defined]  # the handler finds it there
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        if behaviour.hangs is not None:
            behaviour.hangs.set()
        server.shutdown()
        thread.join()
        server.server_close()


FITTING = ("fgé/fgh-77.zip", "out/made.csv", "made.txt")
"""Texts for the patterns that the tests use."""


def without_patterns(schema: Any) -> Any:
    """The schema as a server reads it that ignores patterns."""
    if isinstance(schema, list):
        return [without_patterns(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_patterns(one) for key, one in schema.items() if key != "pattern"}


def smallest(schema: Mapping[str, Any]) -> Any:
    """A value that the schema permits: the last choice of each, since the first is too easy."""
    if "enum" in schema:
        return schema["enum"][-1]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return smallest(schema["anyOf"][-1])
    if "pattern" in schema:
        return next(text for text in (*FITTING, "x") if re.search(schema["pattern"], text))
    kind = schema.get("type", "object")
    if kind == "object":
        return {key: smallest(schema["properties"][key]) for key in schema.get("properties", {})}
    if kind == "array":
        return [smallest(schema.get("items", {}))] * max(1, schema.get("minItems", 0))
    values = {"string": "x" * max(1, schema.get("minLength", 0)), "integer": 1, "number": 1.5}
    return values.get(str(kind), True if kind == "boolean" else None)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def served(self) -> Served:
        return self.server.served  # type: ignore[attr-defined,no-any-return]  # set by `serving`

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `requests` instead."""

    def do_GET(self) -> None:
        behaviour = self.served.behaviour
        if behaviour.is_web_site:
            self._send("<html>Welcome</html>", kind="text/html")
        elif not self._key_is_right():
            self._fail(401, "wrong key")
        elif self.path == "/v1/models":
            row = {"id": behaviour.model, "object": "model", **behaviour.listing}
            self._send(json.dumps({"object": "list", "data": [row]}))
        elif self.path == "/props" and behaviour.props is not None:
            self._send(json.dumps(behaviour.props))
        else:
            self._fail(404, "not found")

    def do_POST(self) -> None:
        served, behaviour = self.served, self.served.behaviour
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        served.requests.append(body)
        if behaviour.hangs is not None:
            behaviour.hangs.wait(60)
        if behaviour.is_web_site:
            self._send("<html>Welcome</html>", kind="text/html")
        elif not self._key_is_right():
            self._fail(401, "wrong key")
        elif behaviour.failures:
            self._fail(behaviour.failures.pop(0), "busy")
        elif behaviour.chat_status != 200:
            self._fail(behaviour.chat_status, behaviour.chat_error)
        elif behaviour.refuses_schemas and "response_format" in body:
            self._fail(400, "response_format is not supported")
        elif self.path != "/v1/chat/completions":
            self._fail(404, "not found")
        elif body.get("stream"):
            self._stream(_reply(body, behaviour), behaviour)
        else:
            self._send(json.dumps(_reply(body, behaviour)))

    def _key_is_right(self) -> bool:
        sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.served.keys.append(sent)
        return self.served.behaviour.key in (None, sent)

    def _fail(self, status: int, message: str) -> None:
        self._send(json.dumps({"error": {"message": message, "code": status}}), status=status)

    def _send(self, text: str, *, status: int = 200, kind: str = "application/json") -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, whole: dict[str, Any], behaviour: Behaviour) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        choice = whole["choices"][0]
        text = choice["message"].get("content") or ""
        deltas: list[dict[str, Any]] = [
            {"content": text[i : i + 4]} for i in range(0, len(text), 4)
        ]
        if calls := choice["message"].get("tool_calls"):
            deltas.append({"tool_calls": [{**call, "index": i} for i, call in enumerate(calls)]})
        head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": whole["model"]}
        for i, delta in enumerate(deltas):
            if behaviour.breaks_off and i == 2:
                return
            piece = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}
            self._event({**head, "choices": [piece]})
        last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        self._event({**head, "choices": [last]})
        self._event({**head, "choices": [], "usage": whole["usage"]})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, value: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()


def _reply(body: Body, behaviour: Behaviour) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _text(body, behaviour)}
    finish = behaviour.finish
    if behaviour.tool_choice and body.get("tools") and body.get("tool_choice") != "none":
        function = body["tools"][-1]["function"]
        arguments = json.dumps(smallest(function["parameters"]))
        call = {"name": function["name"], "arguments": arguments}
        message = {"role": "assistant", "content": None}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": call}]
        finish = "tool_calls"
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish}
    if body.get("logprobs") and behaviour.logprobs:
        choice["logprobs"] = {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": []}]}
    usage: dict[str, Any] = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
    if behaviour.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": behaviour.cached}
    made = {"id": "1", "object": "chat.completion", "created": 1, "model": behaviour.model}
    made |= {"choices": [choice], "usage": usage}
    return made | ({"timings": behaviour.timings} if behaviour.timings else {})


def _text(body: Body, behaviour: Behaviour) -> str:
    wanted = body.get("response_format") or {}
    if wanted.get("type") in behaviour.schema_forms:
        schema = wanted["json_schema"]["schema"] if "json_schema" in wanted else wanted["schema"]
        if not behaviour.patterns:
            schema = without_patterns(schema)
        return json.dumps(smallest(schema), ensure_ascii=False)
    if body.get("temperature") == 1.0 and not behaviour.seed:
        _text.counter += 1  # type: ignore[attr-defined]  # each reply differs from the last
        return f"boat {_text.counter}"  # type: ignore[attr-defined]
    return behaviour.says(body)


_text.counter = 0  # type: ignore[attr-defined]
