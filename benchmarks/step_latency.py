"""Seconds per step at step 10 of a run, against transformers' `generate` on the full prompt.

    python benchmarks/step_latency.py [--model default] [--repeats 3] [--calls NAME...]

Nine steps are made with the real tools over the example workspace, each call spelled out by the
grammar. Then step 10 is asked for in several ways: any tool, and one tool at a time. Both sides
use the same weights in memory, the same prompt and the same grammar (the grounded JSON schemas of
the arguments), and choose the likeliest token:

    ours       ChatLocal as in a run: the cache holds what step 9 left, forced tokens cost no pass
    generate   transformers' generate with a logits processor that asks llguidance for the mask of
               every token and for nothing else; the whole prompt is read at each step

The sides alternate; figures are medians of the repeats. `passes` is forward passes per generated
token of ours (theirs is 1), `composed` marks calls with text that the model makes up.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from machine import heading, median

from agent.app import Agent
from agent.context import overview
from agent.planner import CALL_TOKENS
from agent.settings import default_home
from models.asking import ask
from models.chat import ChatLocal
from models.load import load_chat
from models.options import make_options
from models.request import Request, Usage
from prompts.render import render
from tools.toolbox import Toolbox

WORKSPACE = Path(__file__).parents[1] / "examples" / "goals" / "workspace"
GOAL = (
    "orders.csv says what was ordered and customers.csv where the customers live. Find out for each"
    " country how many orders were returned, what they were worth, and what the notes say about"
    " repairs. Save the tables under out/ and finish with one sentence."
)
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("list_files", {}),
    ("preview_table", {"path": "orders.csv"}),
    ("preview_table", {"path": "customers.csv"}),
    ("column_values", {"path": "orders.csv", "column": "status"}),
    ("read_file", {"path": "notes/2024-03-04-repairs.txt"}),
    (
        "filter_rows",
        {
            "path": "orders.csv",
            "column": "status",
            "comparison": "equals",
            "value": "returned",
            "save_as": "out/returned.csv",
        },
    ),
    ("preview_table", {"path": "out/returned.csv"}),
    (
        "join_tables",
        {
            "left": "out/returned.csv",
            "column": "customer_id",
            "right": "customers.csv",
            "keep": "matching",
            "save_as": "out/returned-with-customers.csv",
        },
    ),
    ("preview_table", {"path": "out/returned-with-customers.csv"}),
]
CALLS = ("any", "count_rows", "aggregate", "finish")


@dataclass
class Figures:
    """One way to ask for step 10, measured on both sides."""

    call: str
    reply: str = ""
    composed: bool = False
    usages: list[Usage] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    prefill: list[float] = field(default_factory=list)
    decode: list[float] = field(default_factory=list)
    valid: int = 0
    same: bool = True

    @property
    def theirs(self) -> list[float]:
        return [a + b for a, b in zip(self.prefill, self.decode, strict=True)]

    @property
    def passes(self) -> float:
        return self.usages[0].forward_passes / max(1, self.usages[0].generated_tokens)


class Run:
    """The conversation up to step 10, and the model's cache as step 9 left it."""

    def __init__(self, model: ChatLocal, toolbox: Toolbox) -> None:
        self.model = model
        self.toolbox = toolbox
        self.messages: list[BaseMessage] = [
            SystemMessage(render("agent")),
            HumanMessage(render("goal", goal=GOAL, overview=overview(toolbox.world))),
        ]
        for name, arguments in STEPS:
            known = self._step(name, arguments)
        # A call that is spelled out needs no pass; a step that chooses has read all but its end.
        engine = model.engine
        engine.score(known, [])
        self._cache, self._key = engine.cache, engine.network.adapters.key(None)
        state, _ = self._cache.take(known, self._key)
        assert state is not None
        self._state, self._known = state, known[: state.length]
        self.allowed = toolbox.allowed(lambda _: True)

    def _step(self, name: str, arguments: Mapping[str, Any]) -> tuple[int, ...]:
        """Make the call as the model would write it; the prompt and all but the reply's end."""
        keys = {key: {"enum": [value]} for key, value in arguments.items()}
        only = {
            "type": "object",
            "properties": keys,
            "required": list(keys),
            "additionalProperties": False,
        }
        asked = self.request("any", {name: only}).prompt_ids
        message = self.ask("any", {name: only})
        result = self.toolbox.call(name, message.tool_calls[0]["args"], seconds=60)
        call_id = message.tool_calls[0]["id"]
        self.messages += [message, ToolMessage(result, tool_call_id=call_id, name=name)]
        return (*asked, *message.response_metadata["token_ids"][:-2])

    def ask(self, choice: str, allowed: Mapping[str, Any]) -> AIMessage:
        bound = self.model.bind_tools(
            self.toolbox.tools, tool_choice=choice, allowed=allowed, max_tokens=CALL_TOKENS
        )
        return bound.invoke(self.messages)

    def prompt_ids(self) -> tuple[int, ...]:
        return self.request("any", self.toolbox.allowed(lambda _: True)).prompt_ids

    def request(self, choice: str, allowed: Mapping[str, Any]) -> Request:
        """What the engine is asked: its prompt and grammar are what the other side gets."""
        bound: Any = self.model.bind_tools(
            self.toolbox.tools, tool_choice=choice, allowed=allowed, max_tokens=CALL_TOKENS
        )
        options = make_options(self.model._defaults, None, bound.kwargs)
        network = self.model.engine.network
        return ask(self.messages, options, self.model.renderer, network).request

    def rewind(self) -> None:
        """Put the cache back to where step 9 left it."""
        self._cache.clear()
        copy = self._state.fork(self._state.length)
        self._cache.put(copy, self._known, self._key)


class Guided:
    """A logits processor as one would write it: a mask for each token, nothing saved."""

    def __init__(self, run: Run, request: Request) -> None:
        from llguidance import LLMatcher
        from llguidance.torch import allocate_token_bitmask

        network = run.model.engine.network
        self._matcher = LLMatcher(network.tokenizer.llguidance, request.grammar)
        self._bits = allocate_token_bitmask(1, network.vocab_size)
        self._read = len(request.prompt_ids)
        self.first_asked: float | None = None

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        from llguidance.torch import apply_token_bitmask_inplace, fill_next_token_bitmask

        if self.first_asked is None:
            self.first_asked = time.perf_counter()
        self._matcher.consume_tokens(input_ids[0, self._read :].tolist())
        self._read = input_ids.shape[1]
        fill_next_token_bitmask(self._matcher, self._bits)
        apply_token_bitmask_inplace(scores, self._bits.to(scores.device))
        return scores


def generate(run: Run, request: Request) -> tuple[list[int], float, float]:
    """The other side: ids, seconds to the first token and seconds of the rest."""
    import torch
    from transformers import LogitsProcessorList

    network: Any = run.model.engine.network
    prompt = torch.tensor([request.prompt_ids], device=network.model.device)
    ends = sorted(network.tokenizer.end_ids)
    started = time.perf_counter()
    guided = Guided(run, request)
    with torch.inference_mode():
        ids = network.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=CALL_TOKENS,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=ends[0],
            logits_processor=LogitsProcessorList([guided]),
        )
    ended = time.perf_counter()
    assert guided.first_asked is not None
    new = [i for i in ids[0, len(request.prompt_ids) :].tolist() if i not in ends]
    return new, guided.first_asked - started, ended - guided.first_asked


def measure(run: Run, figures: Figures) -> None:
    """One way to ask, first of us, then of the other side."""
    name = figures.call
    run.rewind()
    started = time.perf_counter()
    message = run.ask(name, run.allowed)
    figures.ours.append(time.perf_counter() - started)
    figures.usages.append(Usage(**message.response_metadata["usage"]))
    figures.valid += len(message.tool_calls)
    figures.reply = message.response_metadata["raw"]
    ids, prefill, decode = generate(run, run.request(name, run.allowed))
    figures.prefill.append(prefill)
    figures.decode.append(decode)
    figures.same &= ids == message.response_metadata["token_ids"]
    if message.tool_calls:
        call = message.tool_calls[0]
        figures.composed = _composes(run.allowed[call["name"]], call["args"])


def _composes(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Some argument is a text that no list of values holds."""
    options = schema.get("anyOf", [schema])
    free = [
        name
        for name, value in arguments.items()
        if isinstance(value, str)
        and not any(_listed(o.get("properties", {}).get(name, {}), value) for o in options)
    ]
    return bool(free)


def _listed(prop: Mapping[str, Any], value: str) -> bool:
    return value in prop.get("enum", ()) or any(_listed(p, value) for p in prop.get("anyOf", ()))


def report(measured: Sequence[Figures]) -> None:
    print(
        f"\n{'step 10':14}{'ours s':>8}{'prefill':>8}{'decode':>8}{'other':>7}"
        f"{'generate s':>12}{'prefill':>8}{'decode':>8}{'ratio':>7}{'tokens':>7}{'passes':>7}"
        f"{'cached':>8}  reply"
    )
    for f in measured:
        usage = f.usages[0]
        prefill = median([u.prefill_seconds for u in f.usages])
        decode = median([u.decode_seconds for u in f.usages])
        ours, theirs = median(f.ours), median(f.theirs)
        cached = usage.cached_tokens / usage.prompt_tokens
        marks = ("composed " if f.composed else "") + ("" if f.same else "differs ")
        print(
            f"{f.call:14}{ours:8.2f}{prefill:8.2f}{decode:8.2f}{ours - prefill - decode:7.2f}"
            f"{theirs:12.2f}{median(f.prefill):8.2f}{median(f.decode):8.2f}{theirs / ours:7.1f}"
            f"{usage.generated_tokens:7}{f.passes:7.2f}{cached:8.1%}  {marks}{f.reply[:60]!r}"
        )
    _summary("all calls", measured)
    _summary("calls without composed text", [f for f in measured if not f.composed])
    asked = sum(len(f.usages) for f in measured)
    print(f"valid calls: {sum(f.valid for f in measured)} of {asked}")
    same = sum(f.same for f in measured)
    print(f"both sides wrote the same tokens in {same} of {len(measured)} ways to ask")


def _summary(title: str, measured: Sequence[Figures]) -> None:
    if not measured:
        return
    ratio = sum(median(f.theirs) for f in measured) / sum(median(f.ours) for f in measured)
    middle = median([median(f.theirs) / median(f.ours) for f in measured])
    passes = sum(f.usages[0].forward_passes for f in measured)
    tokens = sum(f.usages[0].generated_tokens for f in measured)
    cached = sum(f.usages[0].cached_tokens for f in measured)
    prompt = sum(f.usages[0].prompt_tokens for f in measured)
    print(
        f"{title} ({len(measured)}): {ratio:.1f}x faster in total, {middle:.1f}x in the median;"
        f" {passes / tokens:.2f} passes a token; {cached / prompt:.1%} of the prompt cached"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--calls", nargs="+", default=list(CALLS), help="`any` or a tool's name")
    options = parser.parse_args()
    print(heading())
    model: Any = load_chat(options.model, default_home())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "workspace"
        shutil.copytree(WORKSPACE, folder)
        agent = Agent(workspace=folder, home=Path(scratch) / "home")
        started = time.perf_counter()
        run = Run(model, agent.tools(agent.goal(GOAL, drafted=False)))
        print(
            f"{model.model_name}, {model.parameters / 1e6:.0f}M weights; prompt of step 10:"
            f" {len(run.prompt_ids()):,} tokens; nine steps took"
            f" {time.perf_counter() - started:.1f} s",
            flush=True,
        )
        measured = [Figures(name) for name in options.calls]
        for _ in range(options.repeats):
            for figures in measured:
                measure(run, figures)
        report(measured)


if __name__ == "__main__":
    main()
