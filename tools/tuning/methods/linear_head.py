"""A linear head on frozen vectors: logistic regression on texts, or on words in their sentence.

The encoder stays as it is, so a fit takes one pass over the texts and some seconds. Words come with
the shape of the word and of its neighbours; the answer is the likeliest legal BIO sequence.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tools.tuning.errors import SkillError
from tools.tuning.examples import Example, Input, Prediction, inputs_of
from tools.tuning.methods import logistic
from tools.tuning.methods.base import Bench, Cost, Method, Progress, Settings
from tools.tuning.methods.bio import tag_names, tag_numbers, tag_prediction
from tools.tuning.methods.encoder_cost import reading_cost
from tools.tuning.methods.encoder_files import read_tensors, write_tensors
from tools.tuning.methods.features import text_features
from tools.tuning.methods.frozen import Frozen, frozen, known_frozen
from tools.tuning.methods.labels import class_flags, class_predictions, need_examples, tag_examples
from tools.tuning.methods.logistic import Choice, Logistic
from tools.tuning.task import Task, TaskKind

FILE = "head.safetensors"
STRENGTHS = (10.0, 1.0, 100.0)
"""Inverse penalties that are tried, the likeliest first. With unit vectors 10 was within 0.01 of
the best at 8 to 64 examples a class of SST-2 and TREC, 30 to 100 from 200 a class."""

Numbers = NDArray[np.float32]


class LinearHead(Method):
    """Logistic regression on a frozen encoder."""

    name: ClassVar[str] = "linear_head"
    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification", "ner")
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "encoder"
    rung: ClassVar[int] = 10

    def __init__(self, task: Task, settings: Settings | None = None) -> None:
        super().__init__(task, settings)
        self._tags = tag_names(task.labels)
        self._frozen: Frozen | None = None
        self._head: Logistic | None = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            "c": 0.0,  # 0: by cross-validation among 10, 1 and 100
            "balance_above": 3.0,  # labels this much rarer than others: weights are tried too
            "most_words": 20_000,  # of ner; a head on 1,600 numbers learns little more from more
            "max_tokens": 256,
        }

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        read = reading_cost(rows * min(tokens, int(self.settings["max_tokens"])), bench)
        labels = len(self._tags) if self.task.kind == "ner" else len(self.task.labels)
        units = (
            min(rows * tokens, int(self.settings["most_words"]))
            if self.task.kind == "ner"
            else rows
        )
        regression = 5e-7 * units * labels * (1 if self.task.kind == "ner" else 15) * 1_500 / 50
        return Cost(read.seconds + regression, read.bytes + 12_000 * units)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        need_examples(self.name, self.task, train)
        if bench.start is not None:  # the loss of a linear head has one minimum
            note = "begins anew: a linear head ends the same wherever it begins"
            bench.on_progress(Progress("encode", note=note))
        self._frozen = frozen(bench, max_tokens=int(self.settings["max_tokens"]))
        bench.on_progress(Progress("encode", 0, 2))
        features, answers = self._known(train, bench)
        bench.on_progress(Progress("tune", 1, 2))
        choices = self._choices(answers)
        flags = self.task.multi_label
        choice = logistic.choose(
            features, answers, choices, flags=flags, seed=bench.seed, check=bench.check
        )
        bench.check()
        self._head = logistic.fit(features, answers, choice, flags=flags)
        note = f"C {choice.c:g}{', rare labels weighed up' if choice.balanced else ''}"
        bench.on_progress(Progress("tune", 2, 2, note=note))

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        if not inputs:
            return []
        if self.task.kind != "ner":
            features = text_features(self._open, self.task, inputs)
            return [*class_predictions(self.task, self._fitted.probabilities(features))]
        return [
            tag_prediction(self._tags, self._fitted.log_probabilities(words))
            for words in self._open.reader.word_vectors(inputs)
        ]

    def base_facts(self) -> dict[str, Any]:
        return self._open.facts

    def save_weights(self, folder: Path) -> None:
        tensors = {
            "weights": torch.from_numpy(self._fitted.weights.astype(np.float32)),
            "bias": torch.from_numpy(self._fitted.bias.astype(np.float32)),
        }
        write_tensors(folder / FILE, tensors)

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        limit = int(self.settings["max_tokens"])
        self._frozen = known_frozen(bench, base, max_tokens=limit)
        tensors = read_tensors(folder / FILE)
        outputs = len(self._tags) if self.task.kind == "ner" else len(self.task.labels)
        try:
            weights, bias = tensors["weights"].numpy(), tensors["bias"].numpy()
        except KeyError as error:
            raise SkillError(f"{folder / FILE} lacks the tensor {error}") from error
        if weights.ndim != 2 or len(weights) != outputs or bias.shape != (outputs,):
            raise SkillError(f"{folder / FILE} does not fit the labels of the skill")
        self._head = Logistic(weights, bias, flags=self.task.multi_label)

    @property
    def _open(self) -> Frozen:
        if self._frozen is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._frozen

    @property
    def _fitted(self) -> Logistic:
        if self._head is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._head

    def _known(self, train: Sequence[Example], bench: Bench) -> tuple[Numbers, Numbers]:
        """Features and answers of the training texts, or of the words of training sentences."""
        if self.task.kind != "ner":
            features = text_features(self._open, self.task, inputs_of(train), bench)
            return features, class_flags(self.task, train)
        chosen: list[Example] = []
        words = 0
        for i in np.random.default_rng(bench.seed).permutation(len(train)):
            if words < int(self.settings["most_words"]):
                chosen.append(train[i])
                words += len(tag_examples([train[i]])[0].tags)
        vectors = self._open.reader.word_vectors(inputs_of(chosen), bench.check)
        numbers = [n for e in tag_examples(chosen) for n in tag_numbers(self._tags, e.tags)]
        return np.concatenate(vectors), np.eye(len(self._tags), dtype=np.float32)[numbers]

    def _choices(self, answers: Numbers) -> list[Choice]:
        given = float(self.settings["c"])
        if self.task.kind == "ner":
            return [Choice(given or STRENGTHS[0])]
        strengths = (given,) if given else STRENGTHS
        found = [Choice(c) for c in strengths]
        if logistic.is_skewed(answers, float(self.settings["balance_above"])):
            found += [Choice(c, balanced=True) for c in strengths]
        return found
