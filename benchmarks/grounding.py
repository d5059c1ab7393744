"""What it costs to know, before each call, exactly what may be called: seconds a step, by part.

    python benchmarks/grounding.py [--model default] [--repeats 5] [--files 10000] [--columns 1000]

state     the loop's fingerprint of all files (`Workspace.state`, asked four times a step)
allowed   argument schemas with what exists now (`Toolbox.allowed`)
text      those schemas as one grammar (`call_grammar`)
compile   the grammar compiled by llguidance for the model's own tokenizer
mask      which tokens may come first, after those that must
walk      a whole call chosen at random: all its masks, and the slowest one of them

The grammar is compiled anew in each repeat; in a run it is kept while nothing changed. No network
runs here: only the model's tokenizer is used.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from machine import heading, median

from agent.app import Agent
from agent.settings import default_home
from models.call_grammar import call_grammar
from models.dialect import Dialect, find_dialect
from models.grammar import Grammars, Matcher
from models.load import load_network
from models.network import Network

PARTS = ("state", "allowed", "text", "compile", "mask", "walk")
STATES = 4
"""How often a step of the loop asks for the state of the workspace."""


@dataclass(frozen=True)
class Case:
    """A workspace to make."""

    name: str
    files: int
    tables: int = 1
    columns: int = 10

    def make(self, folder: Path) -> None:
        """Text files in folders of a hundred, and tables of ten rows."""
        for number in range(self.files - self.tables):
            inside = folder / f"folder{number // 100:03}"
            inside.mkdir(exist_ok=True)
            (inside / f"report-{number:05}.txt").write_text(f"Report {number}\n")
        head = [f"measure_{i}_of_the_table" for i in range(self.columns)]
        for number in range(self.tables):
            rows = [",".join(str(r * i) for i in range(self.columns)) for r in range(10)]
            text = "\n".join([",".join(head), *rows])
            (folder / f"table-{number:03}.csv").write_text(text + "\n")


@dataclass
class Figures:
    """Seconds of each part, one entry a repeat."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {p: [] for p in PARTS})
    slowest_mask: float = 0.0
    tokens: int = 0
    characters: int = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name].append(time.perf_counter() - started)

    def row(self, name: str) -> str:
        middle = {part: median(self.seconds[part]) for part in PARTS}
        step = STATES * middle["state"] + sum(middle[p] for p in PARTS[1:5])
        cells = "".join(f"{1000 * middle[part]:9.1f}" for part in PARTS)
        return f"{name:34}{cells}{1000 * self.slowest_mask:9.1f}{1000 * step:9.1f}"


def measure(case: Case, network: Network, dialect: Dialect, repeats: int) -> Figures:
    """Make the workspace and take each part's time, after one round that warms up."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "workspace"
        folder.mkdir()
        case.make(folder)
        agent = Agent(workspace=folder, home=Path(scratch) / "home")
        toolbox = agent.tools(agent.goal("Find the table and add it up.", drafted=False))
        state: Callable[[], str] = toolbox.world._workspace.state  # type: ignore[attr-defined]
        tokenizer = network.tokenizer
        for repeat in range(repeats + 1):
            if repeat == 1:
                figures = Figures()
            with figures.part("state"):
                state()
            with figures.part("allowed"):
                allowed = toolbox.allowed(lambda _: True)
            with figures.part("text"):
                grammar = call_grammar(allowed, dialect, tokenizer)
            grammars = Grammars(tokenizer.llguidance, network.vocab_size)
            with figures.part("compile"):
                matcher = grammars.matcher(grammar)
            with figures.part("mask"):
                while forced := matcher.forced():
                    matcher.consume(forced)
                matcher.mask()
            with figures.part("walk"):
                _walk(matcher, network, figures, random.Random(repeat))
            figures.characters = len(grammar)
    return figures


def _walk(matcher: Matcher, network: Network, figures: Figures, chance: random.Random) -> None:
    """Follow the grammar to its end, any allowed token being as good as another."""
    while not matcher.finished:
        if forced := matcher.forced():
            matcher.consume(forced)
            continue
        started = time.perf_counter()
        allowed = np.flatnonzero(matcher.mask())
        figures.slowest_mask = max(figures.slowest_mask, time.perf_counter() - started)
        choices = [i for i in allowed.tolist() if i not in network.tokenizer.end_ids]
        if not choices or figures.tokens > 20_000:
            return
        figures.tokens += 1
        matcher.consume([chance.choice(choices)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=1_000)
    options = parser.parse_args()
    print(heading())
    network = load_network(options.model, default_home())
    started = time.perf_counter()
    _ = network.tokenizer.llguidance
    print(
        f"tokenizer of {network.name} for llguidance: {time.perf_counter() - started:.2f} s, once"
    )
    files, columns = options.files, options.columns
    cases = [
        Case("10 files", 10),
        Case(f"{files:,} files", files),
        Case(f"{files:,} files, {columns:,} columns", files, columns=columns),
        Case(f"1,000 files, {columns:,} columns", 1_000, columns=columns),
        Case("200 tables of 25 columns", 200, tables=200, columns=25),
    ]
    titles = "".join(f"{title:>9}" for title in (*PARTS, "slowest", "step"))
    print(f"\n{'milliseconds, medians':34}{titles}")
    for case in cases:
        figures = measure(case, network, find_dialect(network.tokenizer), options.repeats)
        print(figures.row(case.name), flush=True)
    print(f"step = {STATES} x state + allowed + text + compile + mask")


if __name__ == "__main__":
    main()
