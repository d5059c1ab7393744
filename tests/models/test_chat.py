"""The local chat model through LangChain's door, on a scripted network."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from models.chat import ChatLocal, ScriptedModel
from models.engine import Engine
from models.errors import Cancelled, ContextTooLong, ReplyNotUnderstood
from models.scripted import ScriptedNetwork
from tests.models.composer import compose
from tools.base import ExistingFile
from tools.base import tool as own_tool


@tool
def read_file(path: str, page: int = 1) -> str:
    """Show a file."""
    return f"{path} page {page}"


@tool
def list_files() -> str:
    """Show what is there."""
    return "a.txt"


READ = {"name": "read_file", "arguments": {"path": "a.txt", "page": 2}}
TOOLS = [read_file, list_files]


def only(*paths: str) -> dict[str, Any]:
    """The grounded schema of `read_file`."""
    return {
        "type": "object",
        "properties": {"path": {"enum": list(paths)}},
        "required": ["path"],
        "additionalProperties": False,
    }


def network_of(model: ChatLocal) -> ScriptedNetwork:
    network = model.engine.network
    assert isinstance(network, ScriptedNetwork)
    return network


def summed(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


def test_a_chain_of_prompt_and_model_calls_a_tool() -> None:
    chain = ChatPromptTemplate.from_messages([("human", "Read {path}.")]) | ScriptedModel(
        [READ]
    ).bind_tools(TOOLS, tool_choice="any")
    reply = chain.invoke({"path": "a.txt"})
    assert reply.content == ""
    [call] = reply.tool_calls
    assert (call["name"], call["args"]) == ("read_file", {"path": "a.txt", "page": 2})
    assert read_file.invoke(call).content == "a.txt page 2"


def test_a_demanded_call_comes_even_from_a_model_that_wants_to_talk() -> None:
    model = ScriptedModel(["I would rather talk about the weather."] * 2)
    assert model.bind_tools(TOOLS, tool_choice="required").invoke("Hi").tool_calls
    named = model.bind_tools(TOOLS, tool_choice="list_files").invoke("Hi")
    assert named.tool_calls[0]["name"] == "list_files"


def test_without_a_demand_the_model_may_talk_call_or_do_both() -> None:
    call = '{"name": "list_files", "arguments": {}}'
    model = ScriptedModel(["Hello.", call, f"I look.\n{call}"]).bind_tools(TOOLS)
    talk, act, both = (model.invoke("Hi") for _ in range(3))
    assert (talk.content, talk.tool_calls) == ("Hello.", [])
    assert (act.content, act.tool_calls[0]["name"]) == ("", "list_files")
    assert (both.content, both.tool_calls[0]["name"]) == ("I look.", "list_files")


def test_with_tool_choice_none_what_looks_like_a_call_is_text() -> None:
    call = '{"name": "list_files", "arguments": {}}'
    reply = ScriptedModel([call]).bind_tools(TOOLS, tool_choice="none").invoke("Hi")
    assert (reply.content, reply.tool_calls) == (call, [])


def test_a_thought_lands_in_the_content() -> None:
    model = ScriptedModel(["I will look around here first.\n" + '{"name": "list_files"'])
    reply = model.bind_tools(TOOLS, tool_choice="any", thought_chars=16).invoke("Hi")
    assert reply.text.startswith("I will look aro")
    assert len(reply.content) <= 16 + len(".parquet")
    assert reply.tool_calls


def test_a_thought_may_be_one_json_object_with_its_call() -> None:
    call = '"call": {"name": "read_file", "arguments": {"path": "a.txt"}}}'
    script = [f'{{"thought": "I read a.txt.", {call}'] * 2
    model = ScriptedModel(script, calls="wrapped")
    chain = model.bind_tools(TOOLS, tool_choice="any", thought_chars=40)
    reply = chain.invoke("Hi")
    assert reply.content == "I read a.txt."
    assert [made["args"] for made in reply.tool_calls] == [{"path": "a.txt"}]
    streamed = list(chain.stream("Hi"))
    whole = sum(streamed[1:], streamed[0])
    assert (whole.content, whole.tool_calls) == (reply.content, reply.tool_calls)
    bare = ScriptedModel(["{" + call], calls="wrapped").bind_tools(TOOLS, tool_choice="any")
    said = bare.invoke("Hi")
    assert (said.content, len(said.tool_calls)) == ("", 1)


def test_only_what_is_allowed_can_be_called_though_all_is_shown() -> None:
    model = ScriptedModel([READ, {"name": "list_files", "arguments": {}}])
    chain = model.bind_tools(TOOLS, tool_choice="any", allowed={"read_file": only("b.txt")})
    for _ in range(2):
        [call] = chain.invoke("Hi").tool_calls
        assert (call["name"], call["args"]) == ("read_file", {"path": "b.txt"})
    prompt = network_of(model).tokenizer.decode(network_of(model).requests[0].prompt_ids)
    assert "list_files" in prompt
    assert network_of(model).requests[0].prompt_ids == network_of(model).requests[1].prompt_ids


def test_a_demand_without_any_allowed_tool_is_refused() -> None:
    chain = ScriptedModel([READ]).bind_tools(TOOLS, tool_choice="any", allowed={})
    with pytest.raises(ValueError, match="no such tool is allowed"):
        chain.invoke("Hi")


def test_an_unknown_tool_choice_is_refused() -> None:
    with pytest.raises(ValueError, match="'write_file' is none of the tools read_file, list_files"):
        ScriptedModel([READ]).bind_tools(TOOLS, tool_choice="write_file")


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(TypeError, match="no option temprature"):
        ScriptedModel(["Hi"]).invoke("Hi", temprature=1)


def test_grounding_is_not_shown_to_the_model() -> None:
    @own_tool(effect="read")
    def look(path: ExistingFile) -> str:
        """Look into a file.

        Args:
            path: the file
        """
        return path

    model = ScriptedModel([{"name": "look", "arguments": {"path": "a"}}])
    reply = model.bind_tools([look], tool_choice="any").invoke("Hi")
    [request] = network_of(model).requests
    assert reply.tool_calls[0]["args"] == {"path": "a"}
    assert "x-ground" not in network_of(model).tokenizer.decode(request.prompt_ids)
    assert "x-ground" not in (request.grammar or "")


def test_a_call_that_is_cut_off_is_invalid_and_says_why() -> None:
    model = ScriptedModel([READ], max_tokens=40)
    reply = model.bind_tools(TOOLS, tool_choice="any").invoke("Hi")
    assert reply.tool_calls == []
    [broken] = reply.invalid_tool_calls
    assert broken["name"] == "read_file"
    assert "ended within its arguments" in str(broken["error"])
    assert reply.response_metadata["finish_reason"] == "length"


def test_a_streamed_call_that_is_cut_off_raises_after_its_pieces() -> None:
    model = ScriptedModel([READ], max_tokens=40)
    chunks: list[Any] = []

    def read_all() -> None:
        for chunk in model.bind_tools(TOOLS, tool_choice="any").stream("Hi"):
            chunks.append(chunk)

    with pytest.raises(ReplyNotUnderstood, match="ended within its arguments") as caught:
        read_all()
    assert caught.value.reply.startswith('{"name": "read_file"')
    assert chunks[-1].usage_metadata is not None


def test_what_the_grammar_cannot_enforce_is_checked_afterwards() -> None:
    schema = only("a.txt", "b.txt")
    schema["properties"]["path"]["not"] = {"const": "a.txt"}
    model = ScriptedModel([READ])
    chain = model.bind_tools(TOOLS, tool_choice="any", allowed={"read_file": schema})
    reply = chain.invoke("Hi")
    assert reply.tool_calls == []
    assert "['path'] is wrong" in str(reply.invalid_tool_calls[0]["error"])


@pytest.mark.parametrize("thought_chars", [0, 30])
def test_a_streamed_call_is_the_invoked_call(thought_chars: int) -> None:
    replies: list[Any] = ["I read.\n" + '{"name": "read_file", "arguments": {"path": "é😀"}}'] * 2
    model = ScriptedModel(replies)
    chain = model.bind_tools(TOOLS, tool_choice="any", thought_chars=thought_chars)
    invoked = chain.invoke("Hi")
    chunks = [chunk for chunk in chain.stream("Hi") if isinstance(chunk, AIMessageChunk)]
    streamed = summed(chunks)
    assert streamed.content == invoked.content
    assert streamed.tool_calls == invoked.tool_calls
    assert len([c for c in chunks if c.tool_call_chunks]) >= 2
    assert chunks[-1].chunk_position == "last"
    for key in ("token_ids", "raw", "finish_reason", "model_name"):
        assert streamed.response_metadata[key] == invoked.response_metadata[key]
    assert [c.usage_metadata for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert streamed.usage_metadata is not None
    assert streamed.usage_metadata["output_tokens"] == len(invoked.response_metadata["token_ids"])


def test_a_stream_that_is_left_stops_the_model() -> None:
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return False

    model = ScriptedModel(["word " * 5_000, "Hello."], max_tokens=25_000)
    stream = model.stream("Hi", cancel=cancel)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(asked) < 20_000
    assert model.invoke("Hi").content == "Hello."


def test_a_cancelled_reply_raises() -> None:
    model = ScriptedModel(["word " * 100] * 2)
    tokens = iter(range(1_000))
    with pytest.raises(Cancelled):
        model.invoke("Hi", cancel=lambda: next(tokens) > 10)
    tokens = iter(range(1_000))
    with pytest.raises(Cancelled):
        list(model.stream("Hi", cancel=lambda: next(tokens) > 10))


async def test_a_cancelled_task_stops_the_model() -> None:
    begun = threading.Event()
    passes: list[int] = []

    def slow() -> bool:
        begun.set()
        passes.append(1)
        return False

    model = ScriptedModel(["word " * 5_000, "Hello."], max_tokens=25_000)
    task = asyncio.create_task(model.ainvoke("Hi", cancel=slow))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await model.ainvoke("Hi")).content == "Hello."
    assert len(passes) < 20_000


async def test_many_at_once_wait_for_each_other() -> None:
    model = ChatLocal(engine=Engine(ScriptedNetwork(compose)))
    replies = await asyncio.gather(*(model.ainvoke(f"number {i}") for i in range(8)))
    assert [f"number {i}" in str(r.content) for i, r in enumerate(replies)] == [True] * 8


def test_stop_strings_end_the_reply_before_them() -> None:
    model = ScriptedModel(["one two three"] * 3, stop=["two"])
    assert model.invoke("Hi").content == "one "
    assert model.invoke("Hi", stop=["three"]).content == "one two "
    assert "".join(str(c.content) for c in model.stream("Hi")) == "one "


def test_usage_counts_the_cache_and_the_forced_tokens() -> None:
    model = ScriptedModel([READ, READ, READ])
    chain = model.bind_tools(TOOLS, tool_choice="any")
    first, second = chain.invoke("Read it."), chain.invoke("Read it again.")
    assert first.usage_metadata is not None
    assert second.usage_metadata is not None
    assert first.usage_metadata["input_token_details"] == {"cache_read": 0}
    assert second.usage_metadata["input_token_details"]["cache_read"] > 200
    usage = first.response_metadata["usage"]
    assert usage["forced_tokens"] > usage["generated_tokens"] // 2
    assert usage["forward_passes"] <= usage["generated_tokens"] - usage["forced_tokens"] + 1
    fresh = chain.invoke("Read it again.", use_cache=False)
    assert fresh.usage_metadata is not None
    assert fresh.usage_metadata["input_token_details"] == {"cache_read": 0}


class Answer(BaseModel):
    """How many rows there are."""

    rows: int
    note: str | None = None


class AnswerDict(TypedDict):
    """How many rows there are."""

    rows: int


@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
def test_structured_output_is_an_object_of_what_was_wanted(method: Any) -> None:
    model = ChatLocal(engine=Engine(ScriptedNetwork(compose)))
    wanted = model.with_structured_output(Answer, method=method)
    assert wanted.invoke("There are 12 rows.") == Answer(rows=12)
    typed = model.with_structured_output(AnswerDict, method=method)
    assert typed.invoke("There are 12 rows.") == {"rows": 12}
    schema = model.with_structured_output(Answer.model_json_schema(), method=method)
    assert schema.invoke("There are 12 rows.")["rows"] == 12


def test_the_fields_of_an_answer_are_told_last_so_the_cache_holds() -> None:
    model = ScriptedModel(["Hello.", '{"rows": 1}'])
    model.invoke("There are 12 rows.")
    model.with_structured_output(Answer).invoke("There are 12 rows.")
    plain, wanted = (
        network_of(model).tokenizer.decode(r.prompt_ids) for r in network_of(model).requests
    )
    assert wanted.startswith(plain[: plain.index("12 rows.")])
    assert "- rows (integer)" in wanted
    assert "- note (string, optional)" in wanted


def test_an_answer_where_tools_are_shown_but_none_may_be_called_keeps_the_prompt() -> None:
    model = ScriptedModel([READ, '{"rows": 5}'])
    model.bind_tools(TOOLS, tool_choice="any").invoke("Hi")
    asked = model.bind_tools(
        TOOLS, tool_choice="none", response_schema=Answer.model_json_schema()
    ).invoke("Hi")
    assert asked.content == '{"rows": 5}'
    first, second = network_of(model).requests
    assert first.prompt_ids == second.prompt_ids


def test_json_mode_without_a_schema_is_any_object() -> None:
    model = ScriptedModel(['{"a": [1, 2]}'])
    assert model.with_structured_output(method="json_mode").invoke("Hi") == {"a": [1, 2]}


def test_an_answer_that_is_cut_off_is_not_understood() -> None:
    model = ScriptedModel(['{"rows": 123456789, "note": "long"}'] * 2, max_tokens=12)
    with pytest.raises(ReplyNotUnderstood, match="no JSON"):
        model.with_structured_output(Answer).invoke("Hi")
    both = model.with_structured_output(Answer, include_raw=True).invoke("Hi")
    assert isinstance(both["raw"], AIMessage)
    assert both["parsed"] is None
    assert isinstance(both["parsing_error"], ReplyNotUnderstood)


def test_include_raw_gives_the_message_too() -> None:
    both = (
        ScriptedModel(['{"rows": 3}']).with_structured_output(Answer, include_raw=True).invoke("Hi")
    )
    assert (both["parsed"], both["parsing_error"]) == (Answer(rows=3), None)


def test_langchains_agent_runs_on_it() -> None:
    model = ChatLocal(engine=Engine(ScriptedNetwork(compose)))
    agent = create_agent(model, [list_files])
    messages = agent.invoke({"messages": [HumanMessage("What is there?")]})["messages"]
    assert [m.type for m in messages] == ["human", "ai", "tool", "ai"]


def test_langchains_agent_gets_a_structured_answer_beside_tools() -> None:
    replies: list[Any] = [
        {"name": "list_files", "arguments": {}},
        {"name": "answer", "arguments": {"rows": 4}},
    ]
    agent = create_agent(
        ScriptedModel(replies), [list_files], response_format=ProviderStrategy(Answer)
    )
    state = agent.invoke({"messages": [HumanMessage("How many?")]})
    assert state["structured_response"] == Answer(rows=4)


def test_cached_replies_are_kept_apart_by_sampling_and_adapter() -> None:
    model = ScriptedModel([f"reply {i}" for i in range(9)], cache=InMemoryCache())
    network_of(model).adapters.load("poet", Path("poet"))
    seen = [
        model.invoke("Hi").content,
        model.invoke("Hi").content,
        model.invoke("Hi", adapter="poet").content,
        model.model_copy(update={"seed": 1}).invoke("Hi").content,
        model.model_copy(update={"adapter": "poet"}).invoke("Hi").content,
    ]
    assert seen == ["reply 0", "reply 0", "reply 1", "reply 2", "reply 3"]


def test_candidates_are_scored_on_one_prompt() -> None:
    model = ScriptedModel(lambda request: "yes")
    scores = model.score("Is it?", ["yes", "no"])
    assert scores[0] > scores[1]


def test_a_prompt_beyond_the_window_says_by_how_much() -> None:
    model = ScriptedModel(["Hello."], window=100)
    with pytest.raises(ContextTooLong) as caught:
        model.invoke("word " * 100)
    assert (caught.value.tokens > 500, caught.value.limit) == (True, 100)


def test_what_the_model_can_do_is_in_its_profile() -> None:
    model = ScriptedModel(["Hi"], window=4_096)
    profile = model.profile or {}
    assert profile["max_input_tokens"] == model.window == 4_096
    assert profile["tool_calling"]
    assert profile["structured_output"]


def test_tokens_of_messages_are_those_of_the_prompt() -> None:
    model = ScriptedModel(["Hello."])
    messages = [HumanMessage("Hi")]
    reply = model.invoke(messages)
    assert reply.usage_metadata is not None
    assert model.get_num_tokens_from_messages(messages) == reply.usage_metadata["input_tokens"]
    assert model.count_tokens("é<|im_end|>") == 2 + len("<|im_end|>")


def test_an_engine_is_needed() -> None:
    with pytest.raises(ValidationError, match="engine"):
        ChatLocal()  # type: ignore[call-arg]  # that is the point
