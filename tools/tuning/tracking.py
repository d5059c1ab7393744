"""Sends a job's figures to TensorBoard or Weights & Biases too, where `--track` asks for it.

Both are optional (`pip install 'tuneward[track]'`); what they write lies in the job's folder.
Weights & Biases stays offline unless WANDB_MODE says otherwise: `wandb sync` sends it afterwards.
"""

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.errors import ModelUnavailable
from tools.tuning.job_spec import Track

Tracker = Callable[[Mapping[str, Any]], None]
FIGURES = ("loss", "score")


def check_track(track: Track) -> None:
    """Raises ModelUnavailable where its package is not installed."""
    if find_spec(track) is None:
        raise ModelUnavailable(
            f"--track {track} needs the extra `track`: run `pip install 'tuneward[track]'`"
        )


def open_tracker(
    track: Track, folder: Path, name: str, *, after: int = 0
) -> tuple[Tracker, Callable[[], None]]:
    """What takes the job's events, and what ends it.

    Args:
        folder: the job's.
        name: of the run, as it is shown.
        after: the number of events that earlier attempts left; steps go on from there.
    """
    check_track(track)
    log, close = _tensorboard(folder) if track == "tensorboard" else _wandb(folder, name)
    count = after

    def take(event: Mapping[str, Any]) -> None:
        nonlocal count
        figures = {
            f"{event.get('method', event.get('stage', 'job'))}/{key}": float(event[key])
            for key in FIGURES
            if isinstance(event.get(key), int | float)
        }
        count += 1
        if figures:
            log(figures, count)

    return take, close


_Log = Callable[[Mapping[str, float], int], None]


def _tensorboard(folder: Path) -> tuple[_Log, Callable[[], None]]:
    from tensorboard.summary import Writer  # type: ignore[import-not-found,unused-ignore] # optional

    writer: Any = Writer(str(folder / "tensorboard"))

    def log(figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, step)

    return log, writer.close


def _wandb(folder: Path, name: str) -> tuple[_Log, Callable[[], None]]:
    import wandb  # type: ignore[import-not-found,unused-ignore] # optional

    mode: Any = os.environ.get("WANDB_MODE", "offline")
    run: Any = wandb.init(
        project="tuneward", name=name, id=name, dir=str(folder), mode=mode, resume="allow"
    )

    def log(figures: Mapping[str, float], step: int) -> None:
        run.log(dict(figures), step=step)

    return log, run.finish
