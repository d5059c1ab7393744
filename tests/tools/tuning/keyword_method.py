"""A method that answers by a word in the text, so that a test knows every answer beforehand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from tools.tuning.examples import (
    ClassPrediction,
    Example,
    Input,
    Prediction,
    TagPrediction,
    TextInput,
    TokenInput,
)
from tools.tuning.methods.base import Bench, Cost, Method
from tools.tuning.task import TaskKind


class Keyword(Method):
    """A label is given where its name stands in the text, a tag where a token begins with one."""

    name: ClassVar[str] = "keyword"
    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification", "ner")
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "none"
    rung: ClassVar[int] = 0
    most = 0
    """Inputs of the largest call so far."""

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {}

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        return Cost(0, 0)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        return None

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        self.most = max(self.most, len(inputs))
        return [self._one(each) for each in inputs]

    def _one(self, given: Input) -> Prediction:
        if isinstance(given, TokenInput):
            assert given.tokens
            return self._tags(given.tokens)
        assert isinstance(given, TextInput)
        text = f"{given.text} {given.pair}"
        found = tuple(label for label in self.task.labels if label in text)
        if not self.task.multi_label:
            found = found[:1] or self.task.labels[:1]
        return ClassPrediction(
            found, tuple(0.75 if label in found else 0.25 for label in self.task.labels)
        )

    def _tags(self, tokens: Sequence[str]) -> TagPrediction:
        tags: list[str] = []
        for token in tokens:
            label = next((name for name in self.task.labels if token.startswith(name)), None)
            inside = label is not None and bool(tags) and tags[-1] in (f"B-{label}", f"I-{label}")
            tags.append("O" if label is None else f"{'I' if inside else 'B'}-{label}")
        return TagPrediction(tuple(tags), tuple(0.9 if tag == "O" else 0.6 for tag in tags))

    def base_facts(self) -> dict[str, Any]:
        return {}

    def save_weights(self, folder: Path) -> None:
        return None

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        return None
