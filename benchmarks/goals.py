"""Runs every goal of a folder, each on a fresh copy of its workspace, and prints what passed.

    python benchmarks/goals.py [--goals examples/goals] [--model NAME]... [--control SEEDS]

A goal passes when every success and audit check holds. `valid` is the share of the model's replies
that were a legal call, `refused` the share of calls that a tool answered with an error (legal but
wrong). The control calls tools at random from the same grammar, with as many steps.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from machine import heading
from pydantic import PrivateAttr

from agent.app import Agent
from agent.events import Event
from agent.goal_file import load_goal
from agent.settings import default_home


class RandomCaller(BaseChatModel):
    """Chooses a tool and each argument at random from what the grammar allows."""

    seed: int = 0
    parameters: int = 0
    window: int = 1_000_000
    _random: random.Random = PrivateAttr(default_factory=random.Random)

    def model_post_init(self, context: Any) -> None:
        self._random.seed(self.seed)

    @property
    def _llm_type(self) -> str:
        return "random"

    def bind_tools(self, tools: Sequence[Any], **kw: Any) -> Any:
        return self.bind(**kw)

    def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
        return 0

    def get_num_tokens(self, text: str) -> int:
        return len(text) // 4

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        *,
        allowed: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> ChatResult:
        words = " ".join(m.text for m in messages if m.type != "system").split()
        name = self._random.choice(list(allowed or {}))
        arguments = self._value((allowed or {})[name], words)
        call = {"name": name, "args": arguments, "id": f"call_{len(messages)}"}
        message = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _value(self, schema: Mapping[str, Any], words: list[str]) -> Any:
        if "anyOf" in schema:
            return self._value(self._random.choice(schema["anyOf"]), words)
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            required = schema.get("required", ())
            return {
                key: self._value(prop, words)
                for key, prop in schema.get("properties", {}).items()
                if key in required or self._random.random() < 0.5
            }
        if kind == "array":
            return [self._value(schema["items"], words)]
        if kind in ("integer", "number"):
            return self._random.randint(1, 10)
        if kind == "boolean":
            return self._random.random() < 0.5
        if "pattern" in schema:
            return f"out/result{'.csv' if 'csv' in schema['pattern'] else '.txt'}"
        start = self._random.randrange(len(words))
        return " ".join(words[start : start + self._random.randint(1, 4)])


@dataclass
class Outcome:
    """One goal, carried out once."""

    goal: str
    status: str
    passed: bool
    seconds: float
    calls: list[str] = field(default_factory=list)
    replies: int = 0
    valid: int = 0
    refused: int = 0


class Recorder:
    """Counts what the model did."""

    def __init__(self) -> None:
        self.outcome = Outcome("", "", False, 0.0)

    def event(self, event: Event) -> None:
        if event.type == "replied":
            self.outcome.replies += 1
            call = event.data["call"]
            if thought := event.data["thought"].strip():
                self.outcome.calls.append(f"# {thought[:160]}")
            if call is not None:
                self.outcome.valid += 1
                self.outcome.calls.append(f"{call['name']}{json.dumps(call['arguments'])[:160]}")
        if event.type == "tool_returned":
            self.outcome.refused += not event.data["ok"]
            self.outcome.calls.append(f"   -> {event.data['result'][:160]!r}")

    def text(self, piece: str) -> None:
        pass


def run_goals(agent: Agent, recorder: Recorder, files: Sequence[Path]) -> Iterator[Outcome]:
    """Carry out each goal file on a copy of its folder."""
    for file in files:
        recorder.outcome = Outcome(file.stem, "", False, 0.0)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "goals"
            shutil.copytree(file.parent, folder, ignore=shutil.ignore_patterns("out"))
            started = time.perf_counter()
            result = agent.invoke(load_goal(folder / file.name))
            recorder.outcome.seconds = time.perf_counter() - started
        recorder.outcome.status = result.status
        recorder.outcome.passed = result.exit_code == 0
        yield recorder.outcome


def report(name: str, outcomes: Sequence[Outcome]) -> None:
    replies = sum(o.replies for o in outcomes)
    calls = sum(o.valid for o in outcomes)
    print(f"\n{name}: {sum(o.passed for o in outcomes)} of {len(outcomes)} passed")
    print(f"{'goal':24} {'status':18} {'steps':>5} {'seconds':>8}")
    for o in outcomes:
        print(f"{o.goal:24} {o.status:18} {o.valid:5} {o.seconds:8.1f}")
    refused = sum(o.refused for o in outcomes)
    print(f"valid {calls}/{replies}, refused {refused}/{calls}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goals", type=Path, default=Path("examples/goals"))
    parser.add_argument("--only", help="goals whose name holds this")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--control", type=int, default=0, help="seeds of the random control")
    parser.add_argument("--plan", choices=("off", "once", "adaptive"))
    parser.add_argument("--thought", type=int, help="characters of thought before each call")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    files = [f for f in sorted(options.goals.glob("*.yaml")) if (options.only or "") in f.stem]
    print(heading())
    for name in options.model:
        recorder = Recorder()
        agent = Agent(
            name,
            home=default_home(),
            listener=recorder,
            plan=options.plan,
            thought_chars=options.thought,
        )
        outcomes = []
        for outcome in run_goals(agent, recorder, files):
            outcomes.append(outcome)
            print(f"  {outcome.goal}: {outcome.status}, {outcome.seconds:.0f} s", flush=True)
            if options.verbose:
                print("\n".join(f"      {line}" for line in outcome.calls), flush=True)
        report(name, outcomes)
    passed = []
    for seed in range(options.control):
        recorder = Recorder()
        with tempfile.TemporaryDirectory() as home:
            agent = Agent(RandomCaller(seed=seed), home=home, listener=recorder, plan="off")
            outcomes = list(run_goals(agent, recorder, files))
        passed.append(sum(o.passed for o in outcomes))
        if seed == 0:
            report("random control, seed 0", outcomes)
    if passed:
        mean = sum(passed) / len(passed)
        print(f"\nrandom control: {mean:.2f} of {len(files)} passed on average, {passed}")


if __name__ == "__main__":
    main()
