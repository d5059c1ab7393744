"""A skill on a long file: rows a second, and the memory that this takes.

    python benchmarks/apply_skill.py TRAIN.jsonl [--rows 100000] [--method linear_head]

TRAIN holds labelled texts. The skill is fitted on 500 of them and registered in a home of its own
that shares the models of this one. Its texts, again and again with a number before each, are the
rows. `tuneward skills apply` answers them in a process of its own; its memory is looked at twice a
second. Memory is flat where the second half of the rows needs no more than the first.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import heading

from agent.settings import default_home
from tools.tuning.method_catalogue import method_class
from tools.tuning.methods.base import Bench
from tools.tuning.reading import read_dataset
from tools.tuning.skill_card import SkillCard
from tools.tuning.skill_store import SkillStore

FITTED = 500
SETTINGS = {"linear_head": {"c": 1.0}}
NAME = "measured"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--method", default="linear_head")
    given = parser.parse_args()
    print(heading())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        (home / "models").symlink_to(default_home() / "models")
        rows = Path(folder) / "rows.csv"
        mean = prepare(home, given.train, given.method, rows, given.rows)
        print(f"{given.method}, {given.rows:,} rows of {mean:.0f} characters on average")
        apply(home, rows, given.rows)


def prepare(home: Path, train: Path, method: str, rows: Path, count: int) -> float:
    """Register the skill and write the rows; the mean length of a text."""
    data = read_dataset(train, "classification")
    made = method_class(method)(data.task, SETTINGS.get(method))
    made.fit(data.examples[:FITTED], (), Bench(home=home))
    card = SkillCard(name=NAME, description="Measured", task=data.task, method=method)
    SkillStore(home).register(NAME, card, made.save)
    texts = [each.input.text for each in data.examples if hasattr(each.input, "text")]
    with rows.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("number", "text"))
        writer.writerows((i, f"{i} {texts[i % len(texts)]}") for i in range(count))
    return sum(map(len, texts)) / len(texts)


def apply(home: Path, rows: Path, count: int) -> None:
    """Answer the rows and print how that went."""
    out = rows.with_name("out.csv")
    words = ["skills", "apply", NAME, "--in", str(rows), "--out", str(out), "--json"]
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "agent", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TUNEWARD_HOME": str(home)},
    )
    held: list[int] = []
    while process.poll() is None:
        time.sleep(0.5)
        held.append(memory_of(process.pid))
    assert process.stdout is not None
    facts = json.loads(process.stdout.read())
    with out.open(encoding="utf-8", newline="") as file:
        numbers = [int(row["number"]) for row in csv.DictReader(file)]
    assert numbers == list(range(count)), "rows were lost, or their order"
    held = [each for each in held if each]
    half = len(held) // 2
    print(
        f"{facts['rows']:,} rows in {facts['seconds']:.0f} s: "
        f"{facts['rows'] / facts['seconds']:,.0f} a second "
        f"(with start {time.monotonic() - began:.0f} s); every row in its place"
    )
    print(
        f"memory: {max(held[:half]) / 1e6:.0f} MB at most in the first half of the time, "
        f"{max(held[half:]) / 1e6:.0f} MB in the second"
    )


def memory_of(pid: int) -> int:
    """Bytes that a process holds; 0 once it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
