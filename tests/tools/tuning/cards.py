"""Cards and files of skills for tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tools.tuning.skill_card import ClassFact, DataFact, SkillCard, SplitScores
from tools.tuning.task import Task

TASK = Task("classification", ("bad", "good"))


def card(**values: Any) -> SkillCard:
    """A card of a classifier, with every part filled in."""
    scores = SplitScores(
        rows=200,
        metric="accuracy",
        value=0.91,
        low=0.87,
        high=0.95,
        others={"macro_f1": 0.9},
        classes=(ClassFact(label="good", precision=0.9, recall=0.8, f1=0.85, support=100),),
        controls={"majority": 0.5, "nearest": 0.8},
    )
    facts: dict[str, Any] = {
        "name": "sentiment",
        "description": "Says whether a review is good or bad",
        "task": TASK,
        "method": "majority",
        "data": (DataFact(role="train", name="reviews.csv", sha256="0" * 64, rows=800),),
        "seeds": (0, 1, 2),
        "dev": scores,
        "test": scores,
        "seed_spread": 0.01,
        "licence": "Apache-2.0",
        "job": "20260101-000000-abcd",
    }
    return SkillCard(**{**facts, **values})


def weights(value: float = 1.0) -> Callable[[Path], None]:
    """Writes files as a method with weights would."""

    def write(folder: Path) -> None:
        save_file({"w": np.full((8, 4), value, np.float32)}, folder / "model.safetensors")
        (folder / "method.json").write_text('{"method": "majority"}\n')
        (folder / "inner").mkdir()
        (folder / "inner" / "labels.txt").write_text("bad\ngood\n")

    return write
