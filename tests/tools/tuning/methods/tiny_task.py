"""A task of six short texts, tiny models of any kind to label them with, and a bench for both."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models.tiny import publish
from tools.tuning.examples import ClassPrediction, Prediction, TextExample, TextInput
from tools.tuning.methods.base import Bench
from tools.tuning.task import Task

TASK = Task("classification", ("bad", "good", "so so"))
SEVERAL = Task("classification", ("food", "music", "sport"), multi_label=True)
TEXTS = {
    "a fine film": "good",
    "it was great fun to see the fox jump": "good",
    "awful": "bad",
    "dull and long": "bad",
    "some like it, and the quick brown fox does too": "so so",
    "it is a film": "so so",
}


def rows(texts: dict[str, str] = TEXTS) -> list[TextExample]:
    return [
        TextExample(TextInput(text), (label,), line)
        for line, (text, label) in enumerate(texts.items(), 1)
    ]


def bench(folder: Path, kind: str = "llama", *, seed: int = 0, **options: Any) -> Bench:
    """A bench over a random model of that kind; the same seed is the same model."""
    base = publish(folder / f"hub-{seed}", kind, seed=seed)
    return Bench(folder / "home", base=str(base), device="cpu", **options)


def labels(found: list[Prediction]) -> list[tuple[str, ...]]:
    """The answers."""
    return [one.labels for one in found if isinstance(one, ClassPrediction)]


def table(found: list[Prediction]) -> NDArray[np.float64]:
    """[texts, labels]: the probabilities."""
    return np.array([one.probabilities for one in found if isinstance(one, ClassPrediction)])
