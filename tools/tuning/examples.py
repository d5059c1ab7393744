"""Inputs, labelled examples and predictions, as every part of tuning sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.tuning.task import Task


@dataclass(frozen=True, slots=True)
class TextInput:
    """A text to classify, or two."""

    text: str
    pair: str = ""


@dataclass(frozen=True, slots=True)
class TokenInput:
    """The words (or characters) of one sentence."""

    tokens: tuple[str, ...]


Input = TextInput | TokenInput


@dataclass(frozen=True, slots=True)
class TextExample:
    """A text and its labels."""

    input: TextInput
    labels: tuple[str, ...]
    """One label; for a multi-label task any number, sorted."""
    line: int
    """Where it stands in its file, from 1."""


@dataclass(frozen=True, slots=True)
class TagExample:
    """The words of a sentence and a tag for each, in BIO whatever the file had."""

    input: TokenInput
    tags: tuple[str, ...]
    """`O`, `B-TYPE` or `I-TYPE`, one a token; legal: `I-` continues an entity of its type."""
    line: int
    """Where its first token stands in its file, from 1."""


Example = TextExample | TagExample


@dataclass(frozen=True, slots=True)
class Dataset:
    """The examples of one file."""

    task: Task
    examples: tuple[Example, ...]
    path: Path
    sha256: str
    """Of the file's bytes."""
    empty_lines: tuple[int, ...] = ()
    """Rows without any text; they are left out of `examples`."""
    overlap_lines: tuple[int, ...] = ()
    """Rows with entities that share a word; of those the longest was kept."""

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, slots=True)
class ClassPrediction:
    """What a classifier says about one text."""

    labels: tuple[str, ...]
    """The answer: one label; for a multi-label task every label above 0.5."""
    probabilities: tuple[float, ...]
    """One for each label of the task, in its order; they sum to 1 unless multi-label."""

    @property
    def score(self) -> float:
        """How sure it is, in [0, 1]."""
        return max(self.probabilities, default=0.0)


@dataclass(frozen=True, slots=True)
class TagPrediction:
    """What a tagger says about one sentence."""

    tags: tuple[str, ...]
    """Legal BIO, one a token."""
    scores: tuple[float, ...]
    """How sure it is of each tag, in [0, 1]."""


Prediction = ClassPrediction | TagPrediction


def inputs_of(examples: Sequence[Example]) -> list[Input]:
    """The inputs alone, as `Method.predict` takes them."""
    return [example.input for example in examples]
