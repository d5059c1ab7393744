"""Small methods that need no model: real ones, quick and always the same, to choose among."""

import json
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from models.errors import OutOfMemory
from tools.tuning.errors import Diverged
from tools.tuning.examples import (
    ClassPrediction,
    Example,
    Input,
    Prediction,
    TagExample,
    TagPrediction,
    TextExample,
    TextInput,
    TokenInput,
)
from tools.tuning.methods.base import Bench, Cost, Method, Progress
from tools.tuning.task import Task, TaskKind

FILE = "learned.json"


class Counted(Method):
    """What the plain methods share: they keep what they learned as JSON."""

    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification", "ner")
    base: ClassVar[Any] = "none"
    seconds: ClassVar[float] = 0.001
    """What `cost` foresees."""

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self.learned: Any = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {}

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        return Cost(self.seconds * rows / 100, 0)

    def base_facts(self) -> dict[str, Any]:
        return {}

    def save_weights(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(self.learned))

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        self.learned = json.loads((folder / FILE).read_text())


class Majority(Counted):
    """The most frequent label; `O` for every token."""

    name: ClassVar[str] = "majority"
    rung: ClassVar[int] = 0

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        bench.check()
        labels = Counter(e.labels for e in train if isinstance(e, TextExample))
        self.learned = list(labels.most_common(1)[0][0]) if labels else []

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return [_constant(self.task, each, tuple(self.learned)) for each in inputs]


class Shortest(Counted):
    """A second control, no better than the first."""

    name: ClassVar[str] = "nearest"
    rung: ClassVar[int] = 10

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        bench.check()
        rows = [e for e in train if isinstance(e, TextExample)]
        first = min(rows, key=lambda e: (len(e.input.text), e.line), default=None)
        self.learned = list(first.labels) if first else []

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return [_constant(self.task, each, tuple(self.learned)) for each in inputs]


class Words(Counted):
    """Naive Bayes over words; of tokens, the tag that each word had most often."""

    name: ClassVar[str] = "linear_head"
    rung: ClassVar[int] = 30

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {"smooth": 1.0}

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"smooth": 0.1}]

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        counts: dict[str, dict[str, int]] = {}
        for number, example in enumerate(train):
            bench.check()
            pairs = (
                zip(example.input.tokens, example.tags, strict=True)
                if isinstance(example, TagExample)
                else ((w, example.labels[0]) for w in example.input.text.split())
            )
            for word, label in pairs:
                seen = counts.setdefault(word.lower(), {})
                seen[label] = seen.get(label, 0) + 1
            bench.on_progress(Progress("tune", number + 1, len(train), loss=1 / (number + 1)))
        self.learned = counts

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return [self._one(each) for each in inputs]

    def _one(self, given: Input) -> Prediction:
        if isinstance(given, TokenInput):
            tags = [self._tag(token.lower()) for token in given.tokens]
            return TagPrediction(tuple(tags), (1.0,) * len(tags))
        sums = dict.fromkeys(self.task.labels, 0.0)
        for word in given.text.split():
            seen = self.learned.get(word.lower(), {})
            for label in sums:
                sums[label] += math.log(seen.get(label, 0) + self.settings["smooth"])
        top = max(sums.values())
        weights = [math.exp(value - top) for value in sums.values()]
        shares = tuple(weight / sum(weights) for weight in weights)
        return ClassPrediction((max(sums, key=lambda label: sums[label]),), shares)

    def _tag(self, word: str) -> str:
        seen = self.learned.get(word, {"O": 1})
        found = max(seen, key=lambda tag: seen[tag])
        return f"B-{found[2:]}" if found != "O" else "O"


class DearWords(Words):
    """The same at another price."""

    name: ClassVar[str] = "encoder"
    rung: ClassVar[int] = 60


class Backwards(Words):
    """Learns the opposite."""

    name: ClassVar[str] = "contrastive"
    rung: ClassVar[int] = 50

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        found: list[Prediction] = []
        for each in super().predict(inputs):
            assert isinstance(each, ClassPrediction)
            others = [label for label in self.task.labels if label not in each.labels]
            found.append(ClassPrediction((others[0],), each.probabilities))
        return found


class Endless(DearWords):
    """Foresees a cost that no budget has."""

    name: ClassVar[str] = "full"
    rung: ClassVar[int] = 90
    seconds: ClassVar[float] = 1e6


class Slow(DearWords):
    """Foresees little and never comes to an end."""

    name: ClassVar[str] = "lora"
    rung: ClassVar[int] = 80

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        while True:
            bench.check()
            time.sleep(0.01)


class Breaks(DearWords):
    """Has no finite state to go back to."""

    name: ClassVar[str] = "soft_prompt"
    rung: ClassVar[int] = 70

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        raise Diverged("the loss became NaN or infinite at step 3", step=3)


class Hungry(DearWords):
    """Never fits the memory."""

    name: ClassVar[str] = "kv_prefix"
    rung: ClassVar[int] = 75

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        raise OutOfMemory("training does not fit the memory, even in pieces")


def _constant(task: Task, given: Input, labels: tuple[str, ...]) -> Prediction:
    if isinstance(given, TokenInput):
        return TagPrediction(("O",) * len(given.tokens), (1.0,) * len(given.tokens))
    return ClassPrediction(labels, tuple(float(label in labels) for label in task.labels))


def known(*methods: type[Method]) -> dict[str, type[Method]]:
    """Methods by name, the two controls among them."""
    every: tuple[type[Method], ...] = (Majority, Shortest, *methods)
    return {method.name: method for method in every}


GOOD = ("fine", "lovely", "great", "warm", "bright", "happy", "superb", "kind", "sweet", "clever")
BAD = ("dull", "awful", "poor", "cold", "dark", "sad", "nasty", "rude", "bitter", "silly")
PLAIN = ("the", "film", "was", "a", "story", "about", "people", "in", "town", "with", "one", "man")


def reviews(count: int, *, noise: int = 0) -> list[TextExample]:
    """Half praise, half blame, all different; each `noise`-th label is wrong."""
    found = []
    for number in range(count):
        is_good = number % 2 == 0
        words = GOOD if is_good else BAD
        text = " ".join(
            [
                words[number % 10],
                PLAIN[number % 12],
                words[(number // 10) % 10],
                PLAIN[(number // 7) % 12],
                f"n{number}",
            ]
        )
        wrong = noise and number % noise == 0
        label = "good" if is_good != bool(wrong) else "bad"
        found.append(TextExample(TextInput(text), (label,), number + 2))
    return found


TASK = Task("classification", ("bad", "good"))
