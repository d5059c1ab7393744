"""What the loop and its journal cost a step, the model and the tools themselves excluded.

    python benchmarks/journal.py [--steps 60] [--tokenizer default] [--folder DIR]

A run of real tools over the example workspace, with a scripted model. `step` is the wall clock of
one step less the seconds in the engine, in the model's own preparation and inside the tools. That
preparation is `count` (the messages as tokens, rendered once and counted before the call) and
`prompt` (the schemas as a grammar). What is left is the loop's: the journal, the workspace's state,
grounding, the gate, LangChain's chain and stream. Half of the steps write a file, the others look.
With `--tokenizer` the prompts are those of that model.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from langchain_core.tools import BaseTool
from machine import heading, median, percentile

import agent.app
from agent.app import Agent
from agent.journal import Journal
from agent.loop import Loop
from agent.settings import default_home
from models.chat import ChatLocal, ScriptedModel
from models.engine import Engine
from models.load import load_network
from models.request import OnText, Reply, Request, Usage
from tools.toolbox import Toolbox
from tools.workspace import Workspace

WORKSPACE = Path(__file__).parents[1] / "examples" / "goals" / "workspace"
GOAL = "Look through the tables and the notes, and write down what you find in out/note-0.txt."


class ReadyEngine(Engine):
    """Answers with what the script says, in the network's own tokens, without a pass."""

    replies: Iterator[str]

    def generate(self, requests: Sequence[Request], **how: Any) -> list[Reply]:
        return [self._reply(request, how["on_text"]) for request in requests]

    def _reply(self, request: Request, on_text: OnText) -> Reply:
        text = next(self.replies)
        ids = tuple(self.network.tokenizer.encode(text))
        for token in ids:
            on_text(0, self.network.tokenizer.decode([token]))
        usage = Usage(prompt_tokens=len(request.prompt_ids), generated_tokens=len(ids))
        return Reply(ids=ids, text=text, finish="stop", usage=usage)


def calls(steps: int) -> Iterator[dict[str, Any]]:
    """Writing, then looking at what is there: reads are no repeats after a write."""
    looks = [
        ("read_file", {"path": "notes/2024-02-05-team.txt"}),
        ("preview_table", {"path": "orders.csv"}),
        ("count_mentions", {"path": "orders.csv", "text": "returned"}),
        ("column_values", {"path": "customers.csv", "column": "country"}),
    ]
    for step in range(steps):
        name, arguments = looks[step // 2 % len(looks)]
        if step % 2 == 0:
            name = "write_file"
            arguments = {"path": f"out/note-{step}.txt", "text": f"Looked {step} times. " * 5}
        yield {"name": name, "arguments": arguments}


class Watch:
    """Seconds in a few functions, step by step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.commits = 0
        self._now: dict[str, float] = defaultdict(float)
        self._inside = threading.local()

    def timed(self, owner: type, name: str, part: str) -> Any:
        """The method with its seconds added to `part`, inner calls of the same part not twice."""
        method: Callable[..., Any] = getattr(owner, name)

        def wrapped(*args: Any, **kw: Any) -> Any:
            if getattr(self._inside, part, False):
                return method(*args, **kw)
            setattr(self._inside, part, True)
            started = time.perf_counter()
            try:
                return method(*args, **kw)
            finally:
                self._now[part] += time.perf_counter() - started
                setattr(self._inside, part, False)

        return patch.object(owner, name, wrapped)

    def step(self, method: Callable[[Loop], Any]) -> Callable[[Loop], Any]:
        """The loop's step, which closes the account of one step."""

        def wrapped(loop: Loop) -> Any:
            self._now.clear()
            started = time.perf_counter()
            ended = method(loop)
            whole = time.perf_counter() - started
            if ended is None:
                own = whole - sum(self._now[part] for part in ("engine", "prompt", "count", "tool"))
                self.steps.append({**self._now, "step": own})
            return ended

        return wrapped

    def commit(self, method: Callable[[Journal], Any]) -> Callable[[Journal], Any]:
        """The journal's commit, counted where it writes."""

        def wrapped(journal: Journal) -> Any:
            events = method(journal)
            self.commits += bool(events)
            return events

        return wrapped


PARTS: dict[str, tuple[type, str]] = {
    "engine": (Engine, "generate"),
    "tool": (BaseTool, "invoke"),
    "journal": (Journal, "commit"),
    "state": (Workspace, "state"),
    "allowed": (Toolbox, "allowed"),
    "prompt": (ChatLocal, "_ask"),
    "count": (ChatLocal, "get_num_tokens_from_messages"),
}


def run(folder: Path, model: ChatLocal, steps: int, *, durable: bool) -> Watch:
    """One run of so many steps in a fresh copy of the workspace."""
    watch = Watch()
    with tempfile.TemporaryDirectory(dir=folder) as scratch, ExitStack() as patches:
        home, workspace = Path(scratch) / "home", Path(scratch) / "workspace"
        shutil.copytree(WORKSPACE, workspace)
        patches.enter_context(patch.object(Journal, "commit", watch.commit(Journal.commit)))
        for part, (owner, name) in PARTS.items():
            patches.enter_context(watch.timed(owner, name, part))
        if isinstance(model.engine, ReadyEngine):
            patches.enter_context(watch.timed(ReadyEngine, "generate", "engine"))
        patches.enter_context(patch.object(Loop, "_step", watch.step(Loop._step)))
        journal = partial(Journal, durable=durable)
        patches.enter_context(patch.object(agent.app, "Journal", journal))
        runner = Agent(model, home=home, workspace=workspace, plan="off", thought_chars=0)
        budget = {"steps": steps, "tokens": 10**9, "seconds": 10_000}
        result = runner.invoke({"goal": GOAL, "budget": budget})
        assert result.status == "budget_steps", result
    return watch


@contextmanager
def scripted(steps: int, tokenizer: str | None) -> Iterator[ChatLocal]:
    """A model that makes the calls."""
    if tokenizer is None:
        yield ScriptedModel(list(calls(steps)), window=1_000_000)
        return
    network = load_network(tokenizer, default_home())
    network.window = 1_000_000
    engine = ReadyEngine(network)
    model = ChatLocal(engine=engine)
    dialect = model.renderer.dialect
    spelled = [dialect.call(c["name"], c["arguments"], "abcdefghi") for c in calls(steps)]
    engine.replies = iter(spelled)
    yield model


def wait_for_disk(folder: Path) -> float:
    """Seconds that a write of one page waits for this disk."""
    seconds = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(20):
            started = time.perf_counter()
            file.write(os.urandom(4096))
            file.flush()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
    return median(seconds)


def row(watch: Watch, part: str) -> str:
    values = [1000 * step.get(part, 0.0) for step in watch.steps]
    return f"{part:10}{median(values):9.1f}{percentile(values, 0.95):9.1f}{max(values):9.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tokenizer", help="render prompts with this model's tokenizer")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="a folder on the disk to measure"
    )
    options = parser.parse_args()
    folder = options.folder.resolve()
    print(heading())
    print(f"fsync of one page: {1000 * wait_for_disk(folder):.2f} ms (median)")
    for durable in (False, True):
        with scripted(options.steps, options.tokenizer) as model:
            watch = run(folder, model, options.steps, durable=durable)
        each = watch.commits / len(watch.steps)
        print(
            f"\n{'with' if durable else 'without'} fsync, {len(watch.steps)} steps,"
            f" {each:.2f} commits a step, tokenizer: {options.tokenizer or 'bytes'}"
        )
        print(f"{'ms a step':10}{'median':>9}{'p95':>9}{'max':>9}")
        for part in ("step", "journal", "state", "allowed"):
            print(row(watch, part))
        print("not counted:")
        for part in ("count", "prompt", "engine", "tool"):
            print(row(watch, part))


if __name__ == "__main__":
    main()
