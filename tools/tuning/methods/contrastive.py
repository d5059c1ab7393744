"""Contrastive fine-tuning of the encoder, then a linear head: the idea of SetFit for few examples.

The encoder learns to put texts of one label closer together than to all others, over all pairs of
each batch, streamed; then a logistic regression reads its vectors. A pair of texts is read as one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from models.trainable import Trainable
from tools.tuning.errors import SkillError
from tools.tuning.examples import Example, Input, Prediction, inputs_of
from tools.tuning.methods import checkpoint, logistic, training
from tools.tuning.methods.base import Bench, Cost, Method, Progress, Settings
from tools.tuning.methods.beginning import skill_to_begin_as, take_over
from tools.tuning.methods.contrast import PartnerBatches, contrastive_loss
from tools.tuning.methods.encoder_cost import reading_cost, training_cost
from tools.tuning.methods.encoder_files import (
    facts_of,
    load_tuned_encoder,
    open_encoder,
    read_tensors,
    save_tuned_encoder,
    write_tensors,
)
from tools.tuning.methods.encoder_inputs import EncoderInputs
from tools.tuning.methods.encoder_network import EncoderNetwork, trainable_weights
from tools.tuning.methods.encoder_reader import EncoderReader
from tools.tuning.methods.labels import class_flags, class_predictions, need_examples
from tools.tuning.methods.linear_head import STRENGTHS
from tools.tuning.methods.logistic import Choice, Logistic
from tools.tuning.methods.recipe import Loss, Recipe, Trained
from tools.tuning.task import Task, TaskKind

FILE = "head.safetensors"
TIMES_SEEN = 20
"""Each text is in so many batches: with 8 a class of TREC, 30 steps reached 0.80 as 60 did."""
LEAST_STEPS = 40
MOST_STEPS = 500
"""Beyond it a large data set would take hours, and an encoder with a head is better there."""


class Contrastive(Method):
    """The encoder tuned by pairs, and logistic regression on it."""

    name: ClassVar[str] = "contrastive"
    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification",)
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "encoder"
    rung: ClassVar[int] = 30

    def __init__(self, task: Task, settings: Settings | None = None) -> None:
        super().__init__(task, settings)
        self.trained: Trained | None = None
        self._reader: EncoderReader | None = None
        self._head: Logistic | None = None
        self._facts: dict[str, Any] = {}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            "lr": 1e-4,  # SetFit's 2e-5 is for larger encoders; 3e-5 was 0.01 to 0.02 below
            "batch": 32,  # texts, which are 496 pairs
            "steps": 0,  # 0: by the number of examples
            "warmup": 0.1,
            "weight_decay": 0.01,
            "max_tokens": 256,
        }

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"lr": 3e-5}]

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        length = min(tokens, int(self.settings["max_tokens"]))
        batch = int(self.settings["batch"]) * length
        trained = training_cost(self._steps(rows) * batch, batch, bench)
        read = reading_cost(rows * length, bench)
        return Cost(trained.seconds + read.seconds, trained.bytes)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        need_examples(self.name, self.task, train)
        base = open_encoder(bench)
        facts = facts_of(base, bench)
        self._warm(base, facts, bench)
        answers = class_flags(self.task, train)
        self.trained = self._train_encoder(base, train, answers, facts, bench)
        reader = EncoderReader(base, max_tokens=int(self.settings["max_tokens"]))
        bench.on_progress(Progress("encode", 0, 1))
        features = reader.text_vectors(inputs_of(train), bench.check)
        # Vectors that were pulled apart with these very texts say nothing about penalties.
        choice = Choice(STRENGTHS[0])
        self._head = logistic.fit(features, answers, choice, flags=self.task.multi_label)
        self._reader, self._facts = reader, facts

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        if not inputs:
            return []
        features = self._fitted_reader.text_vectors(inputs)
        return [*class_predictions(self.task, self._fitted_head.probabilities(features))]

    def base_facts(self) -> dict[str, Any]:
        return self._facts

    def save_weights(self, folder: Path) -> None:
        """The tuned encoder and its tokenizer as transformers saves them, the head beside them."""
        save_tuned_encoder(folder, self._fitted_reader.base)
        tensors = {
            "weights": torch.from_numpy(self._fitted_head.weights.astype(np.float32)),
            "bias": torch.from_numpy(self._fitted_head.bias.astype(np.float32)),
        }
        write_tensors(folder / FILE, tensors)

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        """The skill brings its whole encoder, so none other is needed."""
        tuned = load_tuned_encoder(folder, bench)
        self._reader = EncoderReader(tuned, max_tokens=int(self.settings["max_tokens"]))
        tensors = read_tensors(folder / FILE)
        shape = (len(self.task.labels), self._reader.width)
        try:
            weights, bias = tensors["weights"].numpy(), tensors["bias"].numpy()
        except KeyError as error:
            raise SkillError(f"{folder / FILE} lacks the tensor {error}") from error
        if weights.shape != shape or bias.shape != shape[:1]:
            raise SkillError(f"{folder / FILE} does not fit the labels of the skill")
        self._head = Logistic(weights, bias, flags=self.task.multi_label)
        self._facts = dict(base)

    @property
    def _fitted_reader(self) -> EncoderReader:
        if self._reader is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._reader

    @property
    def _fitted_head(self) -> Logistic:
        if self._head is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._head

    def _warm(self, base: Trainable, facts: Mapping[str, Any], bench: Bench) -> None:
        """Begins with the encoder of the bench's skill, where there is one that fits."""
        if (skill := skill_to_begin_as(self, facts, bench)) is not None:
            take_over(base.model, skill._fitted_reader.base.model.state_dict())

    def _train_encoder(
        self,
        base: Trainable,
        train: Sequence[Example],
        answers: np.ndarray[Any, np.dtype[np.float32]],
        facts: Mapping[str, Any],
        bench: Bench,
    ) -> Trained:
        """Change the encoder in place."""
        inputs = EncoderInputs(base, max_tokens=int(self.settings["max_tokens"]))
        rows = inputs.texts(inputs_of(train))
        flags = torch.from_numpy(answers)
        assert base.sentence is not None
        network = EncoderNetwork(base.model, 1, pooling=base.sentence.pooling)

        def loss(chosen: Sequence[int]) -> Loss:
            network.train()
            batch = inputs.batch([rows[i] for i in chosen], base.model.device)
            vectors = network.vectors(batch)
            return contrastive_loss(vectors, flags[list(chosen)].to(vectors.device))

        recipe = Recipe(
            steps=self._steps(len(rows)),
            lr=float(self.settings["lr"]),
            warmup=float(self.settings["warmup"]),
            weight_decay=float(self.settings["weight_decay"]),
        )
        return training.train(
            trainable_weights(base.model),
            PartnerBatches(answers, int(self.settings["batch"]), seed=bench.seed),
            loss,
            recipe,
            bench,
            identity=checkpoint.identity_of(
                self.name, self.settings, self.task, facts, bench.seed, train
            ),
        )

    def _steps(self, rows: int) -> int:
        given = int(self.settings["steps"])
        wanted = TIMES_SEEN * rows // int(self.settings["batch"])
        return given or min(MOST_STEPS, max(LEAST_STEPS, wanted))
