"""The second control: a vote of the nearest labelled examples, by the cosine of frozen vectors.

Classification votes over texts, ner over the words of the training sentences. How many vote is
found by leaving each training text out once; words take a fixed number.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tools.tuning.errors import SkillError
from tools.tuning.examples import Example, Input, Prediction, TagExample, inputs_of
from tools.tuning.methods.base import Bench, Cost, Method, Progress, Settings
from tools.tuning.methods.bio import tag_names, tag_numbers, tag_prediction
from tools.tuning.methods.encoder_cost import reading_cost
from tools.tuning.methods.encoder_files import read_tensors, write_tensors
from tools.tuning.methods.features import text_features
from tools.tuning.methods.frozen import Frozen, frozen, known_frozen
from tools.tuning.methods.labels import class_flags, class_predictions, need_examples, tag_examples
from tools.tuning.task import Task, TaskKind

FILE = "neighbours.safetensors"
VOTERS = (1, 4, 16)
"""Tried with texts; the fewest of equals."""
SMOOTHING = 0.05
"""A share of the votes that goes to all answers alike, so that none is impossible."""
SLAB = 1_024
"""Inputs that are compared at once."""

Vectors = NDArray[np.float32]


class Nearest(Method):
    """A vote of the nearest examples."""

    name: ClassVar[str] = "nearest"
    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification", "ner")
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "encoder"
    rung: ClassVar[int] = 5

    def __init__(self, task: Task, settings: Settings | None = None) -> None:
        super().__init__(task, settings)
        self._tags = tag_names(task.labels)
        self._frozen: Frozen | None = None
        self._vectors: Vectors = np.zeros((0, 1), dtype=np.float32)
        self._answers: Vectors = np.zeros((0, 1), dtype=np.float32)
        self._voters = 1

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            "voters": 0,  # 0: found among 1, 4 and 16; notes of kNN prompting use these three
            "word_voters": 4,  # for ner
            "most": 20_000,  # texts or words that are kept, drawn by the seed: 31 MB
            "max_tokens": 256,
        }

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        return reading_cost(rows * min(tokens, int(self.settings["max_tokens"])), bench)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        need_examples(self.name, self.task, train)
        self._frozen = frozen(bench, max_tokens=int(self.settings["max_tokens"]))
        bench.on_progress(Progress("encode", 0, 1))
        if self.task.kind == "ner":
            self._keep_words(train, bench)
        else:
            some = _drawn(train, int(self.settings["most"]), bench.seed)
            self._vectors = text_features(
                self._frozen, self.task, inputs_of(some), bench, last_only=True
            )
            self._answers = class_flags(self.task, some)
            self._voters = int(self.settings["voters"]) or self._best_voters()
        bench.on_progress(Progress("select", 1, 1, note=f"{self._voters} examples vote"))

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        if not inputs:
            return []
        if self.task.kind == "ner":
            reader = self._open.reader
            return [
                tag_prediction(self._tags, np.log(self._votes(reader.last_layer_of_words(words))))
                for words in reader.word_vectors(inputs)
            ]
        vectors = text_features(self._open, self.task, inputs, last_only=True)
        return [*class_predictions(self.task, self._votes(vectors))]

    def base_facts(self) -> dict[str, Any]:
        return self._open.facts

    def save_weights(self, folder: Path) -> None:
        tensors = {
            "vectors": torch.from_numpy(self._vectors),
            "answers": torch.from_numpy(self._answers),
            "voters": torch.tensor(self._voters),
        }
        write_tensors(folder / FILE, tensors)

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        limit = int(self.settings["max_tokens"])
        self._frozen = known_frozen(bench, base, max_tokens=limit)
        tensors = read_tensors(folder / FILE)
        answers = len(self._tags) if self.task.kind == "ner" else len(self.task.labels)
        try:
            self._vectors = tensors["vectors"].numpy()
            self._answers = tensors["answers"].numpy()
            self._voters = int(tensors["voters"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise SkillError(f"{folder / FILE} is broken: {error}") from error
        if self._answers.shape != (len(self._vectors), answers) or self._voters < 1:
            raise SkillError(f"{folder / FILE} does not fit the labels of the skill")
        reader = self._frozen.reader
        numbers = reader.word_width if self.task.kind == "ner" else reader.width
        parts = 4 if self.task.pairs else 1  # see `text_features`
        if self._vectors.shape[1:] != (parts * numbers // len(reader.layers),):
            raise SkillError(f"{folder / FILE} holds vectors that its encoder does not make")

    @property
    def _open(self) -> Frozen:
        if self._frozen is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._frozen

    def _keep_words(self, train: Sequence[Example], bench: Bench) -> None:
        """Words of whole sentences, up to the most that are kept."""
        chosen: list[TagExample] = []
        words = 0
        for example in tag_examples(_drawn(train, len(train), bench.seed)):
            if words < int(self.settings["most"]):
                chosen.append(example)
                words += len(example.tags)
        reader = self._open.reader
        found = reader.word_vectors(inputs_of(chosen), bench.check)
        self._vectors = np.concatenate([reader.last_layer_of_words(words) for words in found])
        numbers = [n for e in chosen for n in tag_numbers(self._tags, e.tags)]
        self._answers = np.eye(len(self._tags), dtype=np.float32)[numbers]
        self._voters = int(self.settings["word_voters"])

    def _votes(self, vectors: Vectors) -> Vectors:
        """Inputs x answers: the shares of the votes."""
        parts = [
            self._shares(vectors[start : start + SLAB] @ self._vectors.T, self._voters)
            for start in range(0, len(vectors), SLAB)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self._answers.shape[1]), np.float32)

    def _shares(self, similarity: Vectors, voters: int) -> Vectors:
        voters = min(voters, similarity.shape[1])
        nearest = np.argpartition(-similarity, voters - 1, axis=1)[:, :voters]
        # The nearest of equals decides: a vote weighs a little more, the nearer it is.
        weight = 1 + 0.01 * np.take_along_axis(similarity, nearest, axis=1)
        weight = np.clip(weight, 1e-3, None) / np.clip(weight, 1e-3, None).sum(1, keepdims=True)
        shares: Vectors = (weight[:, None] @ self._answers[nearest])[:, 0].astype(np.float32)
        if self.task.multi_label:
            return shares
        answers = shares.shape[1]
        mixed: Vectors = ((1 - SMOOTHING) * shares + SMOOTHING / answers).astype(np.float32)
        return mixed

    def _best_voters(self) -> int:
        """How many are right most often about a text that they do not include."""
        some = slice(0, 2_000)
        similarity = self._vectors[some] @ self._vectors.T
        np.fill_diagonal(similarity, -2.0)
        truth = self._answers[some]
        right: dict[int, float] = {}
        for voters in VOTERS:
            if voters < len(self._vectors):
                shares = self._shares(similarity, voters)
                if self.task.multi_label:
                    hits = ((shares > 0.5) == (truth > 0.5)).all(axis=1)
                else:
                    hits = truth[np.arange(len(truth)), shares.argmax(axis=1)]
                right[voters] = float(hits.mean())
        return max(right, key=lambda voters: right[voters], default=1)


def _drawn(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """At most so many, in an order that the seed draws."""
    order = np.random.default_rng(seed).permutation(len(examples))[:count]
    return [examples[i] for i in order]
