"""Soft prompts: seconds a step and accuracy, ours against PEFT + Trainer on the same everything.

    python benchmarks/soft_prompt.py DATA                    the whole table
    python benchmarks/soft_prompt.py DATA --steps 10 --draws 1 --rows 20     a look at the speed

DATA is a folder with `train.jsonl` and `dev.jsonl` of `{"text": ..., "label": ...}` rows (SST-2).
One model, one batch size, as many virtual tokens, steps and training rows for all; each row of the
table runs in a process of its own, whose peak memory is printed. Accuracy is on rows of dev, mean
and standard deviation over draws of the training rows. No method sees dev: the last state counts.
PEFT's prompts begin as the same written words as ours (TEXT), at the best of two rates; its
prefixes cannot and begin at zero.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import heading, median

from tools.tuning.design import BETWEEN, design
from tools.tuning.examples import TextExample, TextInput
from tools.tuning.task import Task

TOKENS = 20
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "ours, front": ("soft_prompt", {"placement": "front", "tokens": TOKENS}),
    "ours, suffix": ("soft_prompt", {"placement": "suffix", "tokens": TOKENS}),
    "ours, key-values front": ("kv_prefix", {"placement": "front"}),
    "ours, key-values suffix": ("kv_prefix", {"placement": "suffix"}),
}
PEERS: dict[str, tuple[str, float]] = {
    "PEFT + Trainer, prompt, lr 1e-2": ("prompt", 1e-2),
    "PEFT + Trainer, prompt, lr 3e-2": ("prompt", 3e-2),
    "PEFT + Trainer, prefix, lr 1e-2": ("prefix", 1e-2),
}
FIRST_PEER = "PEFT + Trainer, prompt, lr 1e-2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--home", type=Path, default=Path("~/.cache/tuneward-bench").expanduser())
    parser.add_argument("--base", default="default")
    parser.add_argument("--shots", type=int, default=16, help="training rows of each class")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200, help="of dev that are answered")
    parser.add_argument("--template", default="label")
    parser.add_argument("--only", action="append", help="rows of the table that begin so")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--draw", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measured = measure(options.one, options)
        print(json.dumps(measured))
        return
    print(heading())
    print(
        f"{options.base}, {options.shots} rows a class, batch {options.batch}, {TOKENS} virtual "
        f"tokens, {options.steps} steps, {options.draws} draws, {options.rows} rows answered\n"
    )
    print("| | seconds a step | steps a peer's step takes | fit, seconds | accuracy | peak MB |")
    print("|---|---|---|---|---|---|", flush=True)
    peer: float | None = None
    for name in [*PEERS, *OURS]:
        if options.only and not any(name.startswith(begin) for begin in options.only):
            continue
        found = [in_child(name, draw) for draw in range(options.draws)]
        step = median([one["step"] for one in found])
        peer = step if name == FIRST_PEER else peer
        ratio = "" if peer is None else f"{peer / step:.1f}"
        scores = [one["accuracy"] for one in found]
        spread = f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
        print(
            f"| {name} | {step:.2f} | {ratio} | {median([one['fit'] for one in found]):.0f} | "
            f"{statistics.mean(scores):.3f}{spread} | {max(one['peak'] for one in found):.0f} |",
            flush=True,
        )


def in_child(name: str, draw: int) -> dict[str, float]:
    """One row of the table for one draw, in a process of its own."""
    arguments = [sys.executable, __file__, *sys.argv[1:], "--one", name, "--draw", str(draw)]
    done = subprocess.run(arguments, check=True, text=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    rows = read(options.data / "train.jsonl")
    test = read(options.data / "dev.jsonl")
    random.Random(0).shuffle(test)
    train = draw_rows(rows, options.shots, seed=options.draw)
    task = Task("classification", tuple(sorted({row.labels[0] for row in rows})))
    if name in OURS:
        found = measure_ours(*OURS[name], task, train, test[: options.rows], options)
    else:
        found = measure_peft(*PEERS[name], task, train, test[: options.rows], options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**found, "peak": peak / (1024 if sys.platform == "linux" else 1024**2)}


def measure_ours(
    method: str,
    settings: dict[str, Any],
    task: Task,
    train: Sequence[TextExample],
    test: Sequence[TextExample],
    options: argparse.Namespace,
) -> dict[str, float]:
    from tools.tuning.method_catalogue import method_class
    from tools.tuning.methods.base import Bench, Progress

    marks: list[tuple[int, float]] = []

    def note(progress: Progress) -> None:
        if progress.stage == "tune" and not progress.note:
            marks.append((progress.step, time.perf_counter()))

    steps = {"steps": options.steps, "epochs": 10_000, "evaluate_every": 10_000}
    fitted = method_class(method)(
        task, {**settings, **steps, "batch": options.batch, "template": options.template}
    )
    bench = Bench(options.home, base=options.base, seed=options.draw, on_progress=note)
    began = time.perf_counter()
    fitted.fit(train, [], bench)
    took = time.perf_counter() - began
    pairs = zip(marks, marks[1:], strict=False)
    each = [(t2 - t1) / (s2 - s1) for (s1, t1), (s2, t2) in pairs if s2 > s1]
    found = fitted.predict([row.input for row in test])
    right = [one.labels == row.labels for one, row in zip(found, test, strict=True)]  # type: ignore[union-attr]
    # The mean: a suffix reads its texts during the first steps, which a median would hide.
    return {"step": statistics.mean(each), "fit": took, "accuracy": statistics.mean(right)}


def measure_peft(
    kind: str,
    rate: float,
    task: Task,
    train: Sequence[TextExample],
    test: Sequence[TextExample],
    options: argparse.Namespace,
) -> dict[str, float]:
    """As PEFT's examples do it: the answer's tokens are labels, all else is masked."""
    import torch
    from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from models.trainable import load_language_model
    from tools.tuning.methods.label_words import encode, own_tokens

    opened = load_language_model(options.base, options.home)
    tokenizer, one = opened.tokenizer, design(task, options.template)
    common = {"task_type": TaskType.CAUSAL_LM, "num_virtual_tokens": TOKENS}
    if kind == "prompt":
        words = encode(tokenizer, one.head() + BETWEEN)
        model = get_peft_model(opened.model, PromptTuningConfig(**common))
        ids = torch.tensor((words * (TOKENS // len(words) + 1))[:TOKENS])
        with torch.no_grad():
            first = opened.model.get_input_embeddings()(ids)
            model.prompt_encoder["default"].embedding.weight.copy_(first)
    else:
        model = get_peft_model(opened.model, PrefixTuningConfig(**common, init_weights="zero"))
    answers = own_tokens(tokenizer, one.lead, one.words)

    def collate(batch: list[TextExample]) -> dict[str, torch.Tensor]:
        rows = [
            [*encode(tokenizer, one.row(row.input)), answers[task.labels.index(row.labels[0])]]
            for row in batch
        ]
        longest = max(map(len, rows))
        padded = torch.zeros((len(rows), longest), dtype=torch.long)
        mask, labels = torch.zeros_like(padded), torch.full_like(padded, -100)
        for i, row in enumerate(rows):
            padded[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
            labels[i, len(row) - 1] = row[-1]
        return {"input_ids": padded, "attention_mask": mask, "labels": labels}

    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=options.steps,
            per_device_train_batch_size=options.batch,
            learning_rate=rate,
            warmup_steps=max(1, round(0.06 * options.steps)),
            weight_decay=0.0,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            seed=options.draw,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=list(train),  # type: ignore[arg-type]  # anything with a length will do
            data_collator=collate,
            callbacks=[Clock()],
        )
        began = time.perf_counter()
        trainer.train()
        took = time.perf_counter() - began
    model.eval()
    right = []
    for row in test:
        ids = torch.tensor([encode(tokenizer, one.row(row.input))], device=model.device)
        with torch.no_grad():
            scores = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
        right.append(task.labels[int(scores[answers].argmax())] == row.labels[0])
    each = [two - one for one, two in zip(marks, marks[1:], strict=False)]
    return {"step": statistics.mean(each), "fit": took, "accuracy": statistics.mean(right)}


def read(path: Path) -> list[TextExample]:
    """Rows of a JSONL file with `text` and `label`."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        TextExample(TextInput(row["text"]), (row["label"],), number)
        for number, row in enumerate(rows, 1)
    ]


def draw_rows(rows: Sequence[TextExample], shots: int, *, seed: int) -> list[TextExample]:
    """So many of each class."""
    order = list(rows)
    random.Random(seed).shuffle(order)
    chosen: dict[str, list[TextExample]] = {}
    for row in order:
        of_class = chosen.setdefault(row.labels[0], [])
        if len(of_class) < shots:
            of_class.append(row)
    return [row for of_class in chosen.values() for row in of_class]


if __name__ == "__main__":
    main()
