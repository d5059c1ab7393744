"""A look at the disk before a job begins: a training that cannot keep its state should not start.

The estimate is an upper bound from sizes alone. While a new state is written the old one is still
there, and the finished weights come beside both. The state of one fit is removed before that of the
next is written, so of several methods the largest counts.
"""

import shutil
from pathlib import Path

from memory.errors import DiskFull
from models import catalogue
from models.errors import ModelUnavailable
from tools.tuning.job_spec import AUTO, JobSpec
from tools.tuning.task import TaskKind

SMALL_BYTES = 200_000_000
"""For log, events, adapters, heads and their states."""
STATE_COPIES = 4
"""A state of full fine-tuning: the weights, two moments for each, and the best weights so far."""
_FULLY_TUNED: dict[str, tuple[str, tuple[TaskKind, ...]]] = {
    "contrastive": (catalogue.EMBEDDER, ("classification",)),
    "encoder": (catalogue.EMBEDDER, ("classification", "ner")),
    "full": (catalogue.DEFAULT, ("classification",)),
}
"""Methods that train every weight of their base: the base that they take by themselves, and the
kinds of task that they serve."""


def check_room(spec: JobSpec, home: Path) -> None:
    """Raises DiskFull where the disk of `home` has less room than the job may need."""
    needed = needed_bytes(spec)
    place = next(p for p in (home, *home.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise DiskFull(
            f"this job may need {_in_words(needed)} in {home} and only {_in_words(free)} are free; "
            "make room, take a smaller --base, or a --method that trains less (linear_head, lora)"
        )


def needed_bytes(spec: JobSpec) -> int:
    """The most that the job may write."""
    weights = [
        4 * _weights_of(spec.base or base)
        for name, (base, kinds) in _FULLY_TUNED.items()
        if spec.method in (AUTO, name) and spec.kind in kinds
    ]
    return SMALL_BYTES + (2 * STATE_COPIES + 1) * max(weights, default=0)


def _weights_of(base: str) -> int:
    """How many weights a base has; 0 where only opening it would tell."""
    folder = Path(base).expanduser()
    if base.startswith((".", "/", "~")) and folder.is_dir():
        return sum(path.stat().st_size for path in folder.rglob("*.safetensors")) // 4
    try:
        return catalogue.find(base).parameters
    except ModelUnavailable:  # a hub id; a wrong name is said by whoever loads it
        return 0


def _in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
