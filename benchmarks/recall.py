"""Does search_documents find the right document? Recall at 5 against BM25 and plain MiniLM.

    python benchmarks/recall.py DATA [--questions N] [--model minilm-l6]

DATA holds three public sets as published (JSONL). From each, questions that people or annotators
wrote for one document, and those documents:
    functions   bfcl_v4 (simple_python, multiple): a request, and the documentation of the function
                that answers it (one file for each function name, 589 of them)
    apis        toolalpaca (eval_simulated): an instruction, and the documentation of the API calls
                that its reference solution makes (one file for each call)
    tables      agentbench_db (dev): a question in plain words, and the table that holds the answer
                (a CSV file without its title; requests to change a table are left out)
All files are one collection: an answer must be found among all of them. A hit is a passage of a
right file among the five shown. `BM25` ranks the same passages by words, `vectors` by the encoder
alone; `vectors of files` is one for each whole file, cut at the model's 256 tokens. Intervals are
95 %, bootstrapped over questions; differences are paired.
"""

import argparse
import csv
import io
import json
import math
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from machine import heading, median, percentile
from numpy.typing import NDArray

from agent.settings import default_home
from memory.ingest import ingest
from memory.sources import shown_source
from memory.store import FaissMemory
from models.embedder import load_embedder
from tools.context import ToolContext
from tools.documents_memory import get_tools
from tools.sections import sections_of
from tools.workspace import Workspace

SHOWN = 5
RESAMPLES = 4_000
PLACE = re.compile(r"^\[\d+\] (.+), (?:page|line|row)s? [\d-]+$", re.MULTILINE)

Search = Callable[[str], list[str]]
"""From a question to the sources of at most five passages."""


@dataclass(frozen=True)
class Question:
    """A question and the files any of which answers it."""

    set: str
    text: str
    right: frozenset[str]


@dataclass(frozen=True)
class Collection:
    """Files by name, and the questions about them."""

    files: dict[str, str]
    questions: list[Question]


def collection(data: Path) -> Collection:
    """The three sets as one."""
    parts = [functions(data / "bfcl_v4"), apis(data / "toolalpaca"), tables(data / "agentbench_db")]
    files = {name: text for part in parts for name, text in part.files.items()}
    return Collection(files, [question for part in parts for question in part.questions])


def functions(folder: Path) -> Collection:
    """Requests and function documentation of the Berkeley function-calling leaderboard."""
    documents: dict[str, dict[str, None]] = {}
    questions = []
    for row in [*rows(folder / "simple_python.jsonl"), *rows(folder / "multiple.jsonl")]:
        for function in row["function"]:
            documents.setdefault(function["name"], {})[function_text(function)] = None
        (answer,) = row["ground_truth"]
        right = frozenset(f"functions/{name}.md" for name in answer)
        questions.append(Question("functions", row["question"][0][0]["content"], right))
    files = {f"functions/{name}.md": "\n".join(texts) for name, texts in documents.items()}
    return Collection(files, questions)


def function_text(function: dict[str, Any]) -> str:
    """A function's name, what it does and its parameters, as Markdown."""
    lines = [f"# {function['name']}", "", function["description"], ""]
    for name, facts in function["parameters"].get("properties", {}).items():
        lines.append(f"- `{name}` ({facts.get('type', 'any')}): {facts.get('description', '')}")
    return "\n".join(lines) + "\n"


def apis(folder: Path) -> Collection:
    """Instructions and API documentation of ToolAlpaca's simulated evaluation."""
    files = {
        f"apis/{api['Name']}/{name}.md": f"# {api['Name']}: {name}\n\n{text}\n"
        for api in json.loads((folder / "eval_simulated_apis.json").read_text())
        for name, text in api["Function_Description"].items()
        if name != "components"
    }
    questions = []
    for row in rows(folder / "eval_simulated.jsonl"):
        called = {f"apis/{row['api']}/{call['Action']}.md" for call in row["golden"]}
        if right := frozenset(called & files.keys()):
            questions.append(Question("apis", row["instruction"], right))
    return Collection(files, questions)


def tables(folder: Path) -> Collection:
    """Questions and tables of AgentBench's database task."""
    files: dict[str, str] = {}
    questions = []
    for number, row in enumerate(rows(folder / "dev.jsonl")):
        out = io.StringIO()
        info = row["table"]["table_info"]
        names = [column["name"] for column in info["columns"]]
        csv.writer(out).writerows([names, *info["rows"]])
        name = next((n for n, text in files.items() if text == out.getvalue()), None)
        files.setdefault(name or f"tables/t{number:02}.csv", out.getvalue())
        if not {"INSERT", "UPDATE", "DELETE"} & set(row["type"]):
            right = frozenset([name or f"tables/t{number:02}.csv"])
            questions.append(Question("tables", row["description"], right))
    return Collection(files, questions)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file."""
    yield from (json.loads(line) for line in path.read_text().splitlines() if line.strip())


class BM25:
    """Okapi BM25 (k1 1.2, b 0.75) over lower-case words."""

    def __init__(self, texts: Sequence[str], sources: Sequence[str]) -> None:
        counts = [Counter(words(text)) for text in texts]
        self._sources = sources
        self._lengths = np.array([sum(count.values()) for count in counts])
        self._postings: dict[str, list[tuple[int, int]]] = {}
        for number, count in enumerate(counts):
            for word, times in count.items():
                self._postings.setdefault(word, []).append((number, times))

    def __call__(self, question: str) -> list[str]:
        scores = np.zeros(len(self._lengths))
        norm = 1.2 * (0.25 + 0.75 * self._lengths / self._lengths.mean())
        for word in words(question):
            found = self._postings.get(word, [])
            rarity = math.log(1 + (len(scores) - len(found) + 0.5) / (len(found) + 0.5))
            for number, times in found:
                scores[number] += rarity * times * 2.2 / (times + norm[number])
        return [self._sources[i] for i in np.argsort(-scores, kind="stable")[:SHOWN]]


def words(text: str) -> list[str]:
    """Lower-case words; `snake_case` and `dotted.names` come apart."""
    return re.findall(r"[^\W_]+", text.lower())


class Nearest:
    """The files whose one vector is nearest to the question's."""

    def __init__(self, embedder: Embeddings, files: dict[str, str]) -> None:
        self._embedder = embedder
        self._sources = list(files)
        self._vectors = np.array(embedder.embed_documents(list(files.values())))

    def __call__(self, question: str) -> list[str]:
        scores = self._vectors @ np.array(self._embedder.embed_query(question))
        return [self._sources[i] for i in np.argsort(-scores, kind="stable")[:SHOWN]]


def search_documents(memory: FaissMemory, folder: Path) -> Search:
    """The tool itself; sources are read from what it shows."""
    (tool,) = get_tools(ToolContext(Workspace(folder), memory=memory))
    return lambda question: PLACE.findall(tool.invoke({"query": question}))


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the means of resampled questions."""
    chance = np.random.default_rng(0)
    picks = chance.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def report(questions: Sequence[Question], hits: dict[str, NDArray[np.float64]]) -> None:
    """Recall for each set and contender, then the paired differences."""
    ours = next(iter(hits))
    print(f"\n{'recall at 5':24}{'questions':>10}" + "".join(f"{name:>26}" for name in hits))
    for part in [*dict.fromkeys(question.set for question in questions), "all"]:
        chosen = np.array([part in (question.set, "all") for question in questions])
        row = f"{part:24}{chosen.sum():>10}"
        for values in hits.values():
            low, high = interval(values[chosen])
            row += f"{values[chosen].mean():>12.3f} [{low:.3f}, {high:.3f}]"
        print(row)
    for other in list(hits)[1:]:
        for part in [*dict.fromkeys(question.set for question in questions), "all"]:
            chosen = np.array([part in (question.set, "all") for question in questions])
            gain = hits[ours][chosen] - hits[other][chosen]
            low, high = interval(gain)
            print(f"{ours} minus {other}, {part}: {gain.mean():+.3f} [{low:+.3f}, {high:+.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, help="at most so many of each set")
    parser.add_argument("--model", default="minilm-l6")
    options = parser.parse_args()
    print(heading())
    made = collection(options.data)
    questions = [
        question
        for part in dict.fromkeys(question.set for question in made.questions)
        for question in [q for q in made.questions if q.set == part][: options.questions]
    ]
    embedder = load_embedder(options.model, default_home())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        for name, text in made.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        with FaissMemory(Path(scratch) / "memory", embedder) as memory:
            started = time.perf_counter()
            taken = ingest(["."], memory, root=root, read=sections_of)
            seconds = time.perf_counter() - started
            print(
                f"{len(taken.added)} files in {taken.chunks_added} passages, "
                f"taken in within {seconds:.0f} s ({taken.chunks_added / seconds:.0f} a second)"
            )
            for name, reason in taken.failed.items():
                print(f"left out: {name}: {reason}")
            chunks = list(memory.scan({"kind": "chunk"}))
            contenders: dict[str, Search] = {
                "search_documents": search_documents(memory, root),
                "BM25": BM25(
                    [chunk.page_content for chunk in chunks],
                    [shown_source(chunk.metadata["source"], root) for chunk in chunks],
                ),
                "vectors": lambda question: [
                    shown_source(found.metadata["source"], root)
                    for found in memory.similarity_search(question, k=SHOWN)
                ],
                "vectors of files": Nearest(embedder, made.files),
            }
            hits: dict[str, NDArray[np.float64]] = {}
            for name, search in contenders.items():
                spent, right = [], []
                for question in questions:
                    started = time.perf_counter()
                    right.append(bool(question.right & set(search(question.text))))
                    spent.append(1_000 * (time.perf_counter() - started))
                hits[name] = np.array(right, dtype=float)
                print(
                    f"{name}: {median(spent):.1f} ms a question, p95 {percentile(spent, 0.95):.1f}"
                )
    report(questions, hits)


if __name__ == "__main__":
    main()
