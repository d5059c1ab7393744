"""A remote model at the server of a test, what it is offered to call, and what the server says."""

import json
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from models.remote import ChatRemote, open_remote
from tests.models.openai_server import Served

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
