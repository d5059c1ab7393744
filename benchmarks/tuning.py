"""Skills from few and many labels: ours against what people use, on the same splits in one run.

    python benchmarks/tuning.py DATA                                     all; hours on 2 cores
    python benchmarks/tuning.py DATA --set trec6 --shots 8 --draws 1     a look
    python benchmarks/tuning.py DATA --set wnut17 --only "ours, auto" --budget 1200

DATA holds public sets as published (JSONL): sst2, trec6, clinc150_small (few labels a class, drawn
five times), crossner_ai, crossner_music, wnut17, fewclue_eprstmt (as they are, by seeds). Every
contender of a draw gets the same training rows and is scored on the same test rows; each runs in a
process of its own, whose seconds and peak memory are printed. Peers: logistic regression on frozen
embeddings, SetFit (where it is installed), a plain transformers run, PEFT prompt tuning and LoRA
with Trainer (`tuning_peers.py`). Nobody sees the test rows before the end. A draw for which `auto`
registered nothing counts with the better of the controls that it had measured.
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import heading
from tuning_peers import PEERS, Score

from agent.settings import default_home

FEW = {"sst2": (8, 16, 64), "trec6": (8, 16, 64), "clinc150_small": (8, 16, 50)}
"""Sets that are drawn from, with rows a class."""
WHOLE = ("crossner_ai", "crossner_music", "wnut17", "fewclue_eprstmt")
TAGGED = ("crossner_ai", "crossner_music", "wnut17")
TEST_FILES = {
    "sst2": "dev",
    "clinc150_small": "val",
    "crossner_ai": "dev",
    "crossner_music": "dev",
    "wnut17": "dev",
    "fewclue_eprstmt": "dev_0",
}
TRAIN_FILES = {"fewclue_eprstmt": "train_0"}
TEST_ROWS = 1_000
"""Of a test file at most; trec6 has none, so the last 500 rows of its training file serve."""
LANGUAGE_MODEL = {"sst2": (8, 16)}
"""Where peers with a language model take part: the embedded one is slow."""
OURS = ("auto", "linear_head", "contrastive", "encoder", "encoder_lora")
OURS_LANGUAGE_MODEL = ("soft_prompt", "lora")


@dataclass(frozen=True)
class Case:
    """One set, one number of shots, one draw."""

    name: str
    shots: int
    """Rows a class; 0 for the whole training file."""
    draw: int

    @property
    def kind(self) -> str:
        return (
            "ner" if self.name in ("crossner_ai", "crossner_music", "wnut17") else "classification"
        )

    @property
    def title(self) -> str:
        return f"{self.name}, {self.shots} a class" if self.shots else self.name


def contenders(case: Case) -> list[str]:
    """Who takes part in a case, ours first."""
    with_model = case.shots in LANGUAGE_MODEL.get(case.name, ())
    ours = [name for name in OURS if case.kind == "classification" or name != "contrastive"]
    ours += OURS_LANGUAGE_MODEL if with_model else ()
    peers = [
        name
        for name, peer in PEERS.items()
        if case.kind in peer.kinds and peer.available() and (with_model or not peer.language_model)
    ]
    return [f"ours, {name}" for name in ours] + peers


def write_files(case: Case, data: Path, folder: Path) -> tuple[Path, Path]:
    """The training and test rows of a case as files."""
    source = data / case.name
    rows = read(source / f"{TRAIN_FILES.get(case.name, 'train')}.jsonl")
    if case.name in TEST_FILES:
        test = read(source / f"{TEST_FILES[case.name]}.jsonl")
    else:
        rows, test = rows[:-500], rows[-500:]
    random.Random(0).shuffle(test)
    if case.shots:
        rows = drawn(rows, case.shots, case.draw)
    train_file, test_file = folder / "train.jsonl", folder / "test.jsonl"
    for path, found in ((train_file, rows), (test_file, test[:TEST_ROWS])):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found))
    return train_file, test_file


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a set, with the columns that both sides read."""
    rows = (json.loads(line) for line in path.read_text("utf-8").splitlines() if line)
    return [
        {key: row[key] for key in (("tokens", "tags") if "tags" in row else ("text", "label"))}
        for row in rows
    ]


def drawn(rows: list[dict[str, Any]], shots: int, draw: int) -> list[dict[str, Any]]:
    """So many rows of each class."""
    order = list(rows)
    random.Random(draw).shuffle(order)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in order:
        of_class = found.setdefault(row["label"], [])
        if len(of_class) < shots:
            of_class.append(row)
    mixed = [row for of_class in found.values() for row in of_class]
    random.Random(draw).shuffle(mixed)
    return mixed


def measure(name: str, case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """One contender on one case, in this process."""
    with tempfile.TemporaryDirectory() as scratch:
        train, test = write_files(case, options.data, Path(scratch))
        began = time.perf_counter()
        if name.startswith("ours, "):
            method = name.removeprefix("ours, ")
            found = ours(method, case, train, test, Path(scratch), options)
        else:
            found = PEERS[name].run(case.kind, train, test, case.draw, options.home)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1024 if sys.platform == "linux" else 1024**2
    return {"score": found.value, "note": found.note, "seconds": seconds, "peak": peak / unit}


def ours(
    method: str, case: Case, train: Path, test: Path, scratch: Path, options: argparse.Namespace
) -> Score:
    """`tuneward tune` in this process, in a home of its own with the models of the real one."""
    from tools.tuning.errors import BudgetSpent, NotBetter
    from tools.tuning.job_spec import DataFile, JobSpec
    from tools.tuning.job_store import JobStore
    from tools.tuning.tuning import run

    home = scratch / "home"
    home.mkdir()
    (home / "models").symlink_to(options.home / "models", target_is_directory=True)
    spec = JobSpec.model_validate(
        {
            "kind": case.kind,
            "skill": "measured",
            "train": DataFile.at(train),
            "test": DataFile.at(test),
            "method": method,
            "budget_seconds": options.budget,
            "seed": case.draw,
            "device": options.device,
        }
    )
    job = JobStore(home).new(spec)
    try:
        outcome = run(spec, job.folder, home)
    except NotBetter:
        return Score(control_score(case, train, test, home, options), "nothing registered")
    except BudgetSpent:
        return Score(0.0, "no time")
    assert outcome.test is not None
    return Score(outcome.test, outcome.method)


def control_score(
    case: Case, train: Path, test: Path, home: Path, options: argparse.Namespace
) -> float:
    """The better control on the test rows: what a person is left with."""
    from tools.tuning.evaluation import measure as measure_on
    from tools.tuning.method_catalogue import CONTROLS, method_class
    from tools.tuning.methods.base import Bench
    from tools.tuning.reading import read_dataset

    bench = Bench(home, device=options.device)
    learned = read_dataset(train, case.kind)  # type: ignore[arg-type]  # one of the kinds
    held = read_dataset(test, case.kind, task=learned.task)  # type: ignore[arg-type]  # likewise
    scores = []
    for name in CONTROLS:
        method = method_class(name)(learned.task)
        method.fit(learned.examples, (), bench)
        scores.append(measure_on(method, learned.task, held.examples, bench)[0].metrics.score)
    return max(scores)


def in_child(name: str, case: Case) -> dict[str, Any]:
    """The same in a process of its own."""
    one = json.dumps([name, case.name, case.shots, case.draw])
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--one", one],
        text=True,
        capture_output=True,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no word"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(title: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """The contenders of one set and number of shots, and how far `auto` is from the best peer."""
    print(f"\n### {title}\n\n| | score | seconds | peak MB | notes |\n|---|---|---|---|---|")
    means: dict[str, tuple[float, float]] = {}
    for name, draws in found.items():
        good = [one for one in draws if "score" in one]
        failed = [one["failed"] for one in draws if "failed" in one]
        if not good:
            print(f"| {name} | failed | | | {failed[0] if failed else ''} |")
            continue
        scores = [one["score"] for one in good]
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        means[name] = statistics.mean(scores), spread
        notes = sorted({one["note"] for one in good if one["note"]}) + failed[:1]
        counted = [f"{note} x{sum(one['note'] == note for one in good)}" for note in notes]
        print(
            f"| {name} | {means[name][0]:.3f} ± {spread:.3f} |"
            f" {statistics.mean(one['seconds'] for one in good):.0f} |"
            f" {max(one['peak'] for one in good):.0f} | {', '.join(counted)} |"
        )
    peers = {name: mean for name, mean in means.items() if not name.startswith("ours")}
    if peers and "ours, auto" in means:
        best = max(peers, key=lambda name: peers[name][0])
        gain = means["ours, auto"][0] - peers[best][0]
        allowed = max(peers[best][1], means["ours, auto"][1])
        verdict = "within" if gain >= -allowed else "BELOW"
        print(f"\nauto minus the best peer ({best}): {gain:+.3f}; {verdict} one sd ({allowed:.3f})")
    sys.stdout.flush()


def cases(options: argparse.Namespace) -> dict[str, list[Case]]:
    """The cases by title."""
    found: dict[str, list[Case]] = {}
    for name in options.set or [*FEW, *WHOLE]:
        for shots in FEW.get(name, (0,)):
            if shots and options.shots and shots not in options.shots:
                continue
            for draw in range(options.draws):
                case = Case(name, shots, draw)
                found.setdefault(case.title, []).append(case)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", action="append", choices=[*FEW, *WHOLE])
    parser.add_argument("--shots", action="append", type=int)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--budget", type=float, default=1200, help="seconds of each of our runs")
    parser.add_argument("--only", action="append", help="contenders whose name begins so")
    parser.add_argument("--device", help="for ours; the best one where left out")
    parser.add_argument("--home", type=Path, default=default_home())
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.home = options.home.resolve()
    if options.one:
        name, set_name, shots, draw = json.loads(options.one)
        print(json.dumps(measure(name, Case(set_name, shots, draw), options)))
        return
    print(heading())
    print(f"{options.draws} draws, at most {options.budget:.0f} s for each run of ours")
    for title, drawn_cases in cases(options).items():
        names = [
            name
            for name in contenders(drawn_cases[0])
            if not options.only or any(name.startswith(begin) for begin in options.only)
        ]
        table(title, {name: [in_child(name, case) for case in drawn_cases] for name in names})


if __name__ == "__main__":
    main()
