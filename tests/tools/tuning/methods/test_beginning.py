"""A fit on an encoder begins as an earlier skill, or says why it begins anew."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.tiny_encoder import write_encoder
from tests.tools.tuning.methods.problems import CLASSES, PROBLEMS, TAGS, classes, tags
from tools.tuning.examples import ClassPrediction, Example, TagPrediction, inputs_of
from tools.tuning.methods.base import Bench, Method
from tools.tuning.methods.contrastive import Contrastive
from tools.tuning.methods.encoder import Encoder
from tools.tuning.methods.encoder_lora import EncoderLora
from tools.tuning.methods.linear_head import LinearHead
from tools.tuning.methods.word_shapes import SHAPES
from tools.tuning.task import Task

CASES: dict[str, tuple[type[Method], str, dict[str, Any], dict[str, Any]]] = {
    "encoder": (Encoder, "classes", {"epochs": 4, "lr": 3e-3}, {"epochs": 1, "lr": 1e-12}),
    "tagger": (Encoder, "tags", {"epochs": 4, "lr": 3e-3}, {"epochs": 1, "lr": 1e-12}),
    "lora": (EncoderLora, "classes", {"epochs": 6, "lr": 1e-2}, {"epochs": 1, "lr": 1e-12}),
    "lora tagger": (EncoderLora, "tags", {"epochs": 6, "lr": 1e-2}, {"epochs": 1, "lr": 1e-12}),
    "contrastive": (Contrastive, "classes", {"steps": 20, "lr": 3e-3}, {"steps": 1, "lr": 1e-12}),
}
"""Method, problem, settings that learn something, and settings that change nothing."""


@dataclass
class Made:
    """A skill in a folder, and the rows that it was made of."""

    folder: Path
    task: Task
    rows: list[Example]


def fitted(method: Method, rows: Sequence[Example], bench: Bench) -> list[str]:
    """Fit it; what it told of its beginning."""
    notes: list[str] = []
    method.fit(rows, [], replace(bench, on_progress=lambda progress: notes.append(progress.note)))
    return [note for note in notes if note.startswith("begins ")]


def said(method: Method, rows: Sequence[Example]) -> np.ndarray[Any, Any]:
    """How sure it is of its answers."""
    found = method.predict(inputs_of(rows))
    return np.concatenate(
        [
            one.probabilities if isinstance(one, ClassPrediction) else one.scores
            for one in found
            if isinstance(one, ClassPrediction | TagPrediction)
        ]
    )


@pytest.fixture
def make(tiny_bench: Bench, tmp_path: Path) -> Callable[[str], Made]:
    def made(name: str) -> Made:
        kind, problem, settings, _ = CASES[name]
        task, examples = PROBLEMS[problem]
        method, rows = kind(task, {"batch": 8, **settings}), examples(24)
        fitted(method, rows, tiny_bench)
        method.save(tmp_path / "skill")
        return Made(tmp_path / "skill", task, rows)

    return made


@pytest.mark.parametrize("name", CASES)
def test_a_fit_begins_as_the_skill(
    name: str, make: Callable[[str], Made], tiny_bench: Bench
) -> None:
    skill = make(name)
    kind, _, _, still = CASES[name]
    wanted = said(kind.load(skill.folder, tiny_bench), skill.rows)
    warm, cold = (kind(skill.task, {"batch": 8, **still}) for _ in range(2))
    assert fitted(warm, skill.rows, replace(tiny_bench, start=skill.folder)) == ["begins as skill"]
    assert fitted(cold, skill.rows, tiny_bench) == []
    assert said(warm, skill.rows) == pytest.approx(wanted, abs=1e-3)
    assert abs(said(cold, skill.rows) - wanted).max() > 0.02


def test_a_tagger_that_began_as_one_is_saved_like_the_first(
    make: Callable[[str], Made], tiny_bench: Bench, tmp_path: Path
) -> None:
    skill = make("tagger")
    method = Encoder(TAGS, {"batch": 8, "epochs": 1})
    fitted(method, skill.rows, replace(tiny_bench, start=skill.folder))
    method.save(tmp_path / "next")
    first, second = (
        json.loads((folder / "config.json").read_text())["type_vocab_size"]
        for folder in (skill.folder, tmp_path / "next")
    )
    assert first == second == 2 + len(SHAPES)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("method", "the skill was made by encoder"),
        ("labels", "the skill knows other labels: bad, good, odd"),
        ("base", "the skill was made for the weights"),
        ("settings", "the skill has r 16"),
        ("broken", "is missing or broken"),
    ],
)
def test_a_skill_that_does_not_fit_is_said_and_the_fit_begins_anew(
    case: str, why: str, make: Callable[[str], Made], tiny_bench: Bench, tmp_path: Path
) -> None:
    skill = make("lora" if case == "settings" else "encoder")
    bench = replace(tiny_bench, start=skill.folder)
    method: Method = Encoder(CLASSES, {"epochs": 1})
    rows = classes(12)
    if case == "method":
        method = Contrastive(CLASSES, {"steps": 2})
    if case == "labels":
        method, rows = Encoder(TAGS, {"epochs": 1}), tags(12)
    if case == "base":
        bench = replace(bench, base=str(write_encoder(tmp_path / "other", window=64, seed=1)))
    if case == "settings":
        method = EncoderLora(CLASSES, {"epochs": 1, "r": 4})
    if case == "broken":
        (skill.folder / "head.safetensors").unlink()
    (note,) = fitted(method, rows, bench)
    assert note.startswith("begins anew: ")
    assert why in note
    assert len(method.predict(inputs_of(rows))) == len(rows)


def test_a_linear_head_says_that_it_begins_anew(
    make: Callable[[str], Made], tiny_bench: Bench
) -> None:
    skill = make("encoder")
    method = LinearHead(CLASSES, {"c": 1.0})
    (note,) = fitted(method, skill.rows, replace(tiny_bench, start=skill.folder))
    assert note.startswith("begins anew: ")
