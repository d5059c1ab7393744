"""The scripted network says its script, and finds its way back after the grammar bent it."""

import json
import subprocess
import sys

import pytest

from models.engine import Engine
from models.errors import ModelError
from models.request import Reply, Request, Sampling
from models.scripted import ByteTokenizer, Script, ScriptedNetwork

PROMPT = tuple(ByteTokenizer().encode("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"))
TWO_TOOLS = r"""
start: "{\"name\": \"" ("list_files" | "read_files") "\", \"arguments\": " arguments "}"
arguments: %json {
  "type": "object", "properties": {"path": {"type": "string", "maxLength": 12}},
  "required": ["path"], "additionalProperties": false,
  "x-guidance": {"whitespace_flexible": false}
}
"""


def say(replies: Script, grammar: str | None = None, **sampling: float) -> str:
    return ask(replies, grammar, **sampling).text


def ask(replies: Script, grammar: str | None = None, **sampling: float) -> Reply:
    request = Request(PROMPT, grammar=grammar, sampling=Sampling(**sampling))  # type: ignore[arg-type]
    return Engine(ScriptedNetwork(replies)).generate([request])[0]


def test_without_a_grammar_it_says_the_script_to_the_letter() -> None:
    for text in ("Hello.", "Grüße, 你好 👋🏽", '{"name": "x"}', "", "aaaa bbbb aaaa"):
        assert say([text]) == text


def test_a_call_is_said_as_json() -> None:
    call = {"name": "read_files", "arguments": {"path": "ä.txt"}}
    assert json.loads(say([call])) == call
    assert json.loads(say([call], TWO_TOOLS)) == call


def test_after_forced_text_it_goes_on_where_the_script_fits_again() -> None:
    # The tool does not exist; the nearest byte wins, and the arguments are still the script's.
    said = json.loads(say(['{"name": "remove_files", "arguments": {"path":"b.txt"}}'], TWO_TOOLS))
    assert said["name"] in ("list_files", "read_files")
    assert said["arguments"] == {"path": "b.txt"}


def test_other_white_space_than_the_grammar_wants_does_not_derail_it() -> None:
    spaced = '{ "name" : "list_files" ,  "arguments" : { "path" : "c.txt" } }'
    assert json.loads(say([spaced], TWO_TOOLS))["arguments"] == {"path": "c.txt"}


@pytest.mark.parametrize("text", ["", "I would rather talk.", "}}}}", '{"name": 12', "\n\n\n"])
def test_any_text_becomes_a_complete_reply_under_a_grammar(text: str) -> None:
    reply = ask([text], TWO_TOOLS)
    assert reply.finish == "stop"
    assert set(json.loads(reply.text)) == {"name", "arguments"}


def test_a_function_gets_the_request_and_answers_it() -> None:
    def answer(request: Request) -> str:
        return f"{len(request.prompt_ids)} tokens, note {request.note}"

    request = Request((1, 2, 3), note="n")
    assert Engine(ScriptedNetwork(answer)).generate([request])[0].text == "3 tokens, note n"
    assert say([answer]) == f"{len(PROMPT)} tokens, note None"


def test_replies_are_taken_in_order_and_one_too_many_is_an_error() -> None:
    network = ScriptedNetwork(["one", {"name": "two", "arguments": {}}])
    engine = Engine(network)
    texts = [engine.generate([Request(PROMPT)])[0].text for _ in range(2)]
    assert texts == ["one", '{"name": "two", "arguments": {}}']
    with pytest.raises(ModelError, match="2 replies"):
        engine.generate([Request(PROMPT)])


def test_it_says_its_script_at_a_high_temperature_too() -> None:
    assert say(["steady"], temperature=1.0, seed=3) == "steady"


def test_special_tokens_are_read_as_such_or_as_plain_text() -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.encode("<|im_end|>") == [257]
    assert tokenizer.encode("<|im_end|>", special=False) == list(b"<|im_end|>")
    assert tokenizer.decode(tokenizer.encode("a<|im_start|>é<|end|>")) == "a<|im_start|>é<|end|>"


def test_the_network_needs_no_torch() -> None:
    code = (
        "import sys; from models.engine import Engine; from models.request import Request; "
        "from models.scripted import ScriptedNetwork; "
        "reply = Engine(ScriptedNetwork(['x'])).generate([Request((1,), grammar='start: \"x\"')]); "
        "print(reply[0].text, [m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "x []"
