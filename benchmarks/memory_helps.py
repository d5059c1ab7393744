"""Does memory help? The same goals with memory off and with memory written, one after the other.

    python benchmarks/memory_helps.py --model NAME [--each 6]

Five families of goals over an orders table that is made here, `--each` goals of a family. With
memory on, the lessons of verified runs collect in a home that begins empty, as they would for a
person whose goals resemble each other. Success counts every check; intervals are 95 %, by
resampling the pairs of runs.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import heading

from agent.app import Agent
from agent.events import Event
from agent.settings import default_home
from models.embedder import load_embedder
from models.load import load_chat

STATUSES = ("open", "sent", "returned", "refused", "paid", "late", "lost", "packed")
CITIES = ("Oslo", "Turin", "Porto", "Lyon", "Graz", "Ghent")
TOOLS = ["count_rows", "top_rows", "calculate", "filter_rows", "aggregate", "write_file"]
ROWS = 60
RESAMPLES = 10_000


class Steps:
    """Counts the replies of a run."""

    def __init__(self) -> None:
        self.count = 0

    def event(self, event: Event) -> None:
        self.count += event.type == "replied"

    def text(self, piece: str) -> None:
        pass


@dataclass(frozen=True)
class Run:
    """How one goal ended."""

    family: str
    passed: bool
    steps: int
    seconds: float


def orders(rng: random.Random) -> list[dict[str, Any]]:
    """Rows of an orders table, amounts all different."""
    amounts = rng.sample(range(10, 900), ROWS)
    return [
        {
            "order_id": 1000 + i,
            "date": f"2024-{rng.randint(1, 6):02}-{rng.randint(1, 28):02}",
            "city": rng.choice(CITIES),
            "status": STATUSES[i % len(STATUSES)] if i < 8 else rng.choice(STATUSES),
            "amount": amounts[i],
        }
        for i in range(ROWS)
    ]


def goals(rows: Sequence[dict[str, Any]], each: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Family and goal file, the families by turns; the answers stand in the audit checks only."""
    for i in range(each):
        status, city, month = STATUSES[i % 8], CITIES[i % 6], f"2024-{1 + i % 6:02}"
        of_status = [row for row in rows if row["status"] == status]
        yield _number(
            "count",
            f"How many orders in orders.csv have the status {status}? Write only the number to "
            "out/count.txt.",
            "out/count.txt",
            len(of_status),
        )
        yield _number(
            "total",
            f"Put the orders with the status {status} from orders.csv into out/some.csv, then "
            "write the sum of their amounts, only the number, to out/total.txt.",
            "out/total.txt",
            sum(row["amount"] for row in of_status),
        )
        of_month = [row for row in rows if row["date"].startswith(month)]
        yield _table("month", f"Save the orders of {month} from orders.csv as out/month.csv.",
                     "out/month.csv", len(of_month), of_month[:1])  # fmt: skip
        column = ("city", "status")[i % 2]
        groups = {row[column] for row in rows}
        yield _table("groups", f"Save the sum of amount for each {column} of orders.csv as "
                     "out/groups.csv.", "out/groups.csv", len(groups), [])  # fmt: skip
        of_city = max((r for r in rows if r["city"] == city), key=lambda row: row["amount"])
        yield _number(
            "largest",
            f"Put the orders of the city {city} from orders.csv into out/city.csv, then write the "
            "order_id of the one with the largest amount, only the number, to out/largest.txt.",
            "out/largest.txt",
            of_city["order_id"],
        )


def _number(family: str, goal: str, path: str, number: int) -> tuple[str, dict[str, Any]]:
    success = [{"text": {"path": path, "matches": r"^\s*\d+(\.0+)?\s*$"}}]
    audit = [{"text": {"path": path, "matches": rf"^\s*{number}(\.0+)?\s*$"}}]
    return family, _goal(f"{family}-{number}", goal, success, audit)


def _table(
    family: str, goal: str, path: str, rows: int, held: list[dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    check: dict[str, Any] = {"path": path, "rows": rows}
    if held:
        check["contains_rows"] = [{"order_id": row["order_id"]} for row in held]
    return family, _goal(f"{family}-{rows}", goal, [{"file": path}], [{"table": check}])


def _goal(name: str, goal: str, success: list[Any], audit: list[Any]) -> dict[str, Any]:
    return {
        "version": 1,
        "name": name,
        "goal": goal,
        "tools": TOOLS,
        "budget": {"steps": 10},
        "success": success,
        "audit": audit,
        "stop": "finish",
    }


def carry_out(
    agent_of: Any, goal: dict[str, Any], family: str, rows: Sequence[dict[str, Any]]
) -> Run:
    """One run in a fresh workspace."""
    with tempfile.TemporaryDirectory() as scratch:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (Path(scratch) / "orders.csv").write_text("\n".join(lines) + "\n")
        steps = Steps()
        started = time.perf_counter()
        result = agent_of(Path(scratch), steps).invoke(goal)
        seconds = time.perf_counter() - started
    return Run(family, result.exit_code == 0, steps.count, seconds)


def interval(values: Sequence[float]) -> str:
    """Mean and 95 % interval by resampling."""
    rng = random.Random(0)
    means = sorted(sum(rng.choices(values, k=len(values))) / len(values) for _ in range(RESAMPLES))
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]
    return f"{sum(values) / len(values):+.3f} [{low:+.3f}, {high:+.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--each", type=int, default=6, help="goals of a family")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(heading())
    home = default_home()
    model = load_chat(options.model, home)
    embedder = load_embedder("minilm-l6", home)
    rows = orders(random.Random(options.seed))
    pairs: list[tuple[Run, Run]] = []
    with tempfile.TemporaryDirectory() as without, tempfile.TemporaryDirectory() as with_notes:
        for family, goal in goals(rows, options.each):
            runs = []
            for folder, memory in ((without, "off"), (with_notes, "write")):

                def agent_of(
                    workspace: Path, steps: Steps, folder: str = folder, memory: Any = memory
                ) -> Agent:
                    return Agent(
                        model, home=folder, workspace=workspace, memory=memory, embedder=embedder,
                        listener=steps, plan="off", thought_chars=200,
                    )  # fmt: skip

                runs.append(carry_out(agent_of, goal, family, rows))
            pairs.append((runs[0], runs[1]))
            print(f"{goal['name']:14} off {runs[0]}  on {runs[1]}", flush=True)
    report(pairs)


def report(pairs: Sequence[tuple[Run, Run]]) -> None:
    print(f"\n{2 * len(pairs)} runs    passed off   passed on   steps off   steps on")
    for family in (*dict.fromkeys(off.family for off, _ in pairs), "all"):
        some = [pair for pair in pairs if family in (pair[0].family, "all")]
        passed = [sum(run.passed for run in side) for side in zip(*some, strict=True)]
        steps = [sum(run.steps for run in side) / len(some) for side in zip(*some, strict=True)]
        print(
            f"{family:12} {passed[0]:4} of {len(some):2}  {passed[1]:4} of {len(some):2}"
            f"{steps[0]:11.2f}{steps[1]:11.2f}"
        )
    print(f"success, on - off: {interval([on.passed - off.passed for off, on in pairs])}")
    print(f"steps, on - off:   {interval([on.steps - off.steps for off, on in pairs])}")


if __name__ == "__main__":
    main()
