"""The first control: what one can say without reading the text, or one word at a time.

Classification: the shares of the labels, whatever the text. Ner: each known word gets the tags that
it had, unknown words `O`, and the likeliest legal sequence of them is the answer.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tools.tuning.errors import MethodUnsuitable, SkillError
from tools.tuning.examples import Example, Input, Prediction, TokenInput
from tools.tuning.methods.base import Bench, Cost, Method, Progress, Settings
from tools.tuning.methods.bio import tag_names, tag_prediction
from tools.tuning.methods.labels import class_flags, class_predictions, tag_examples
from tools.tuning.task import Task, TaskKind

FILE = "counts.json"
LEAST = 1e-6
"""Probability of a tag that a word never had."""


class Majority(Method):
    """Counts of labels, or of each word's tags."""

    name: ClassVar[str] = "majority"
    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification", "ner")
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "none"
    rung: ClassVar[int] = 0

    def __init__(self, task: Task, settings: Settings | None = None) -> None:
        super().__init__(task, settings)
        self._tags = tag_names(task.labels)
        self._shares: list[float] = []
        self._words: dict[str, dict[str, int]] = {}
        """Only words that were part of an entity: what else they were is `O`."""

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {}

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        return Cost(1e-7 * rows * tokens, 100 * rows)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        if not train:
            raise MethodUnsuitable("majority needs labelled examples, and there are none")
        bench.check()
        if self.task.kind == "ner":
            self._words = _counts(train)
        else:
            self._shares = class_flags(self.task, train).mean(axis=0).tolist()
        bench.on_progress(Progress("tune", 1, 1))

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        if self.task.kind != "ner":
            shares = np.tile(np.array(self._shares), (len(inputs), 1))
            return [*class_predictions(self.task, shares)]
        return [
            tag_prediction(self._tags, self._log_shares(given.tokens))
            for given in inputs
            if isinstance(given, TokenInput)
        ]

    def base_facts(self) -> dict[str, Any]:
        return {}

    def save_weights(self, folder: Path) -> None:
        counts = {"shares": self._shares, "words": self._words}
        text = json.dumps(counts, ensure_ascii=False, sort_keys=True)
        (folder / FILE).write_text(text + "\n", "utf-8")

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        try:
            counts = json.loads((folder / FILE).read_text("utf-8"))
            self._shares = [float(share) for share in counts["shares"]]
            self._words = {
                word: {tag: int(count) for tag, count in tags.items() if tag in self._tags}
                for word, tags in counts["words"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SkillError(f"{folder / FILE} is missing or broken: {error}") from error
        if self.task.kind != "ner" and len(self._shares) != len(self.task.labels):
            raise SkillError(f"{folder / FILE} has not one share a label")

    def _log_shares(self, words: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
        shares = np.full((len(words), len(self._tags)), LEAST)
        for place, word in enumerate(words):
            seen = self._words.get(word, {"O": 1})
            whole = sum(seen.values()) or 1
            for tag, count in seen.items():
                shares[place, self._tags.index(tag)] = max(LEAST, count / whole)
        logs: np.ndarray[Any, np.dtype[np.float64]] = np.log(shares)
        return logs


def _counts(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for example in tag_examples(examples):
        for word, tag in zip(example.input.tokens, example.tags, strict=True):
            counts.setdefault(word, Counter())[tag] += 1
    return {word: dict(tags) for word, tags in counts.items() if set(tags) != {"O"}}
