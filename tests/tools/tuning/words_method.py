"""A small method that really trains: one weight for each hashed word and label, by our own loop."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from zlib import crc32

import torch
from safetensors.torch import save_file

from tools.tuning.examples import ClassPrediction, Example, Input, Prediction, TextExample
from tools.tuning.kept_examples import text_of
from tools.tuning.methods import checkpoint, training
from tools.tuning.methods.base import Bench, Cost, Method, Settings
from tools.tuning.methods.batches import LengthBatches
from tools.tuning.methods.recipe import Loss, Recipe
from tools.tuning.task import Task, TaskKind

PLACES = 512


class Words(Method):
    """Needs torch alone, so that a job with it starts soon."""

    name: ClassVar[str] = "words"
    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification",)
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "none"
    rung: ClassVar[int] = 10

    def __init__(self, task: Task, settings: Settings | None = None) -> None:
        super().__init__(task, settings)
        self.weight = torch.nn.Parameter(torch.zeros(len(task.labels), PLACES))

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {"epochs": 3, "batch": 16}

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        return Cost(0.01 * rows, 1_000_000)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        rows = [
            (self._features(each.input), each.labels[0])
            for each in train
            if isinstance(each, TextExample)
        ]
        batches = LengthBatches([1] * len(rows), self.settings["batch"], seed=bench.seed)

        def loss(batch: Sequence[tuple[torch.Tensor, str]]) -> Loss:
            # Dropout, so that the state of torch's random numbers counts.
            given = torch.nn.functional.dropout(torch.stack([row for row, _ in batch]), 0.2)
            right = torch.tensor([self.task.labels.index(label) for _, label in batch])
            scores = given @ self.weight.T
            return Loss(
                torch.nn.functional.cross_entropy(scores, right, reduction="sum"), len(batch)
            )

        training.train(
            {"weight": self.weight},
            lambda step: [rows[i] for i in batches(step)],
            loss,
            Recipe(steps=self.settings["epochs"] * batches.per_epoch, lr=0.1),
            bench,
            identity=checkpoint.identity_of(self.name, self.settings, bench.seed, train),
        )

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        given = torch.stack([self._features(each) for each in inputs])
        shares = (given @ self.weight.T).softmax(1).tolist()
        return [
            ClassPrediction((self.task.labels[row.index(max(row))],), tuple(row)) for row in shares
        ]

    def base_facts(self) -> dict[str, Any]:
        return {}

    def save_weights(self, folder: Path) -> None:
        save_file({"weight": self.weight.detach()}, folder / "words.safetensors")

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        raise NotImplementedError("no test loads it")

    def _features(self, given: Input) -> torch.Tensor:
        row = torch.zeros(PLACES)
        for word in text_of(given).split():
            row[crc32(word.encode()) % PLACES] += 1
        return row
