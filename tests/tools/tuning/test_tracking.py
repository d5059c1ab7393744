"""Figures of a job reach TensorBoard and Weights & Biases; small modules play these two."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from models.errors import ModelUnavailable
from tools.tuning.job_spec import Track
from tools.tuning.tracking import check_track, open_tracker

Told = list[tuple[Any, ...]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What the two were told."""
    calls: Told = []

    class Writer:
        def __init__(self, folder: str) -> None:
            calls.append(("open", folder))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            calls.append((name, value, step))

        def close(self) -> None:
            calls.append(("close",))

    class Run:
        def log(self, figures: dict[str, float], step: int) -> None:
            calls.extend((name, value, step) for name, value in figures.items())

        def finish(self) -> None:
            calls.append(("close",))

    def init(**how: Any) -> Run:
        assert (how["id"], how["resume"], how["mode"]) == ("job-1", "allow", "offline")
        calls.append(("open", how["dir"]))
        return Run()

    def put(name: str, **values: object) -> None:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)

    put("tensorboard", __path__=[])
    put("tensorboard.summary", Writer=Writer)
    put("wandb", init=init)
    return calls


@pytest.mark.parametrize("track", ["tensorboard", "wandb"])
def test_losses_and_scores_are_passed_on_with_growing_steps(
    told: Told, track: Track, tmp_path: Path
) -> None:
    take, close = open_tracker(track, tmp_path, "job-1", after=10)
    take({"type": "progress", "method": "lora", "stage": "tune", "step": 1, "loss": 0.5})
    take({"type": "phase", "phase": "fit"})
    take({"type": "progress", "stage": "tune", "loss": 0.25, "score": 1, "note": "x"})
    take({"type": "progress", "stage": "tune", "loss": "nan", "score": None})
    close()
    assert told[0] == (
        "open",
        str(tmp_path / "tensorboard" if track == "tensorboard" else tmp_path),
    )
    assert told[1:] == [
        ("lora/loss", 0.5, 11),
        ("tune/loss", 0.25, 13),
        ("tune/score", 1.0, 13),
        ("close",),
    ]


def test_a_tracker_that_is_not_installed_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tools.tuning.tracking.find_spec", lambda _: None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'tuneward\[track\]'"):
        check_track("wandb")
