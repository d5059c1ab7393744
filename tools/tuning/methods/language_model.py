"""What all methods on a language model share: opening it, rows of ids, answers, what it costs."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from models import catalogue
from models.errors import ModelUnavailable
from models.load import Quant
from models.trainable import Trainable, load_language_model
from tools.tuning.calibration import Numbers, Truths
from tools.tuning.design import BETWEEN, Design
from tools.tuning.errors import MethodUnsuitable, SkillError
from tools.tuning.examples import (
    ClassPrediction,
    Example,
    Input,
    Prediction,
    TextExample,
    TextInput,
)
from tools.tuning.methods.base import Bench, Method
from tools.tuning.methods.label_words import encode, encode_row, start_ids
from tools.tuning.methods.reader import Reader
from tools.tuning.task import Task, TaskKind

T = TypeVar("T")
FLOPS = {"cpu": 4e10, "cuda": 4e13}
"""Operations a second that a model reaches here: two slow cores in fp32, a small card in bf16."""
UNKNOWN_WEIGHTS = 500_000_000
"""Assumed of a model that the catalogue does not list and that is no folder here."""
WORD_TOKENS = 32
"""Kept free of a window for the label's word."""
LEAST_ROW = 16
"""A row with fewer tokens has no text to speak of."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A language model that is loaded, ready to be read."""

    trainable: Trainable
    reader: Reader
    asked: str
    """The name that it was asked for by, which finds it again."""

    @property
    def tokenizer(self) -> Any:
        return self.trainable.tokenizer

    def facts(self) -> dict[str, Any]:
        return {**self.trainable.facts, "asked": self.asked}


def open_model(bench: Bench, quant: Quant | None = None) -> Opened:
    """The language model of the bench, frozen and in evaluation mode.

    Raises:
        ModelUnavailable: it is not there, or cannot be read in part.
        OutOfMemory: it does not fit.
    """
    asked = bench.base or catalogue.DEFAULT
    if asked.startswith((".", "~")):  # a skill is used from other folders than it was made in
        asked = str(Path(asked).expanduser().resolve())
    trainable = load_language_model(asked, bench.home, bench.device, quant)
    trainable.model.requires_grad_(False)
    return Opened(trainable, Reader(trainable.model), asked)


def open_known(bench: Bench, base: Mapping[str, Any], quant: Quant | None = None) -> Opened:
    """The language model that a skill was made for.

    Raises:
        SkillError: it is not there, or what is there has other weights or another tokenizer.
    """
    asked = bench.base or str(base.get("asked") or base.get("name"))
    try:
        opened = open_model(Bench(bench.home, base=asked, device=bench.device), quant)
    except ModelUnavailable as error:
        raise SkillError(f"the skill needs the model `{asked}`: {error}") from error
    facts = opened.facts()
    for key, what in (("digest", "weights"), ("tokenizer_digest", "tokenizer")):
        if facts[key] != base.get(key):
            raise SkillError(
                f"the skill was made for the {what} {str(base.get(key))[:12]} of "
                f"`{base.get('name')}`, but `{asked}` has {facts[key][:12]}; name its own model "
                "with --base, or tune it again"
            )
    return opened


class LanguageModelMethod(Method):
    """A method that asks a language model for the label. Sub-classes say how."""

    kinds: ClassVar[tuple[TaskKind, ...]] = ("classification",)
    base: ClassVar[Literal["none", "encoder", "language_model"]] = "language_model"

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self._opened: Opened | None = None
        self.halvings = 0
        """How often the batches that are read begin halved, as in `Bench.batch_halvings`."""

    @classmethod
    def unsuitable(cls, task: Task, rows: int) -> str | None:
        """A left-to-right model cannot tag a word by what follows it, so no ner."""
        if task.kind == "ner":
            return f"{cls.name} labels whole texts; for ner take encoder or encoder_lora"
        return super().unsuitable(task, rows)

    @property
    def opened(self) -> Opened:
        """The model; there after `fit` and `load`."""
        if self._opened is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._opened

    def base_facts(self) -> dict[str, Any]:
        return self.opened.facts()

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        texts = [given for given in inputs if isinstance(given, TextInput)]
        if len(texts) != len(inputs):
            raise MethodUnsuitable(f"{self.name} labels texts, not lists of words")
        if not texts:
            return []
        return answers(self.task, self.label_probabilities(texts))

    @abstractmethod
    def label_probabilities(self, texts: Sequence[TextInput]) -> Numbers:
        """[texts, labels of the task]."""

    def head_ids(self, design: Design) -> list[int]:
        """What stands before every row: the begin mark and the instruction."""
        tokenizer = self.opened.tokenizer
        return [*start_ids(tokenizer), *encode(tokenizer, design.head() + BETWEEN)]

    def row_ids(self, design: Design, texts: Sequence[TextInput], limit: int) -> list[list[int]]:
        """The rows of these texts, at most so many tokens each, and never more than fit."""
        return [encode_row(self.opened.tokenizer, design, text, limit) for text in texts]

    def row_limit(self, wanted: int, design: Design, reserved: int = 0) -> int:
        """Tokens that a row may have: as wanted, and so that head, label and `reserved` fit.

        Raises:
            MethodUnsuitable: the labels alone fill the model's window.
        """
        room = self.opened.trainable.window - len(self.head_ids(design)) - WORD_TOKENS - reserved
        if room < LEAST_ROW:
            raise MethodUnsuitable(
                f"{len(design.names)} labels fill the window of {self.opened.trainable.window} "
                "tokens; take an encoder method"
            )
        return min(wanted, room)


def texts_of(examples: Sequence[Example]) -> list[TextExample]:
    """The examples as what they are in a classification task."""
    texts = [example for example in examples if isinstance(example, TextExample)]
    if len(texts) != len(examples):
        raise MethodUnsuitable("tagged sentences cannot be used here; an encoder method takes them")
    return texts


def truths(task: Task, examples: Sequence[TextExample]) -> Truths:
    """[examples, labels]: which labels each has."""
    return np.array([[label in e.labels for label in task.labels] for e in examples], dtype=bool)


def offsets_of(facts: Mapping[str, Any], task: Task) -> Numbers:
    """The calibration's offsets as a skill's facts hold them.

    Raises:
        SkillError: they are no numbers, or not one a label.
    """
    try:
        found = np.array(facts["offsets"], dtype=float)
    except (KeyError, TypeError, ValueError) as error:
        raise SkillError(f"the skill has no sound offsets: {error}") from error
    if found.shape != (len(task.labels),) or not np.isfinite(found).all():
        raise SkillError(f"the skill has not one offset for each of {len(task.labels)} labels")
    return found


def answers(task: Task, found: Numbers) -> list[Prediction]:
    """Predictions of probabilities [texts, labels]."""
    predictions: list[Prediction] = []
    for row in found:
        if task.multi_label:
            labels = tuple(label for label, p in zip(task.labels, row, strict=True) if p > 0.5)
        else:
            labels = (task.labels[int(row.argmax())],)
        predictions.append(ClassPrediction(labels, tuple(map(float, row))))
    return predictions


def some(items: Sequence[T], count: int, seed: int) -> list[T]:
    """So many of them, drawn by the seed, in their order."""
    if len(items) <= count:
        return list(items)
    chosen = np.random.default_rng(seed).choice(len(items), count, replace=False)
    return [items[i] for i in sorted(chosen)]


def seconds_of(tokens: float, bench: Bench) -> float:
    """Of one pass over so many tokens."""
    device = "cuda" if (bench.device or "").startswith("cuda") else "cpu"
    return 2 * weights_of(bench) * tokens / FLOPS[device]


def weights_of(bench: Bench) -> int:
    """How many the language model has, without loading it; a guess where nothing says so."""
    name = bench.base or catalogue.DEFAULT
    if catalogue.is_known(name):
        return catalogue.find(name).parameters
    folder = Path(name).expanduser()
    files = [folder] if folder.is_file() else list(folder.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) // 2 or UNKNOWN_WEIGHTS
