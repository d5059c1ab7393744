"""A task: what kind of answer is wanted, and out of which labels."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

TaskKind = Literal["classification", "ner"]
"""The kinds of task that are served; more follow on the same rails."""
TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)


@dataclass(frozen=True, slots=True)
class Task:
    """One labelling job, as its training data define it."""

    kind: TaskKind
    labels: tuple[str, ...]
    """Classes, or entity types without `O`; sorted, each once."""
    multi_label: bool = False
    """A text may have any number of the labels, none included."""
    pairs: bool = False
    """An input is two texts."""
    by_character: bool = False
    """Tokens are single characters (Chinese, say), so nothing goes between them."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON; `Task.from_dict(stored)` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Task":
        return cls(**{**stored, "labels": tuple(stored["labels"])})
