"""What a method is: a way to get from labelled examples to a skill, behind one protocol.

    method = LinearHead(task, {"C": 1.0})
    method.fit(train, dev, bench)
    method.predict([TextInput("a fine film")])
    method.save(folder)                            # method.json and the weights beside it
    again = LinearHead.load(folder, bench)

Heavy libraries are imported inside the methods' files only; importing this one brings none.
"""

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from tools.tuning.errors import BudgetSpent, SkillError, Stopped
from tools.tuning.examples import Example, Input, Prediction
from tools.tuning.task import Task, TaskKind

Stage = Literal["design", "encode", "select", "tune", "infer"]
"""The five stages of prompt learning; each progress event names its own."""
METHOD_FILE = "method.json"
MAY_BE_ZERO = ("patience", "each_class_to")
"""Settings for which 0 means never, although their default is another number."""
SHARES = ("warmup", "dropout", "lora_dropout")
"""Settings that are at most 1."""
Settings = Mapping[str, Any]
Words = Mapping[str, tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened during a fit."""

    stage: Stage
    step: int = 0
    """Steps done, from 0."""
    steps: int = 0
    """Steps planned; 0 where unknown."""
    loss: float | None = None
    """Mean training loss since the last event."""
    score: float | None = None
    """On dev, in the task's main metric."""
    note: str = ""
    """What a person should know: a halved batch, an early stop."""


@dataclass(slots=True)
class Bench:
    """What a method works with: where models lie, how long it may take, whom to tell."""

    home: Path
    """TUNEWARD_HOME; models are found and fetched below it."""
    base: str | None = None
    """The encoder or language model to build on, by any name that the catalogue takes."""
    device: str | None = None
    """`cpu`, `cuda` ...; the best one where left out."""
    seed: int = 0
    deadline: float = float("inf")
    """`time.monotonic()` at which the method must have come to an end."""
    checkpoints: Path | None = None
    """Folder for the state of an unfinished fit; a fit that finds one goes on from it."""
    batch_halvings: int = 0
    """How often memory ran out in earlier attempts of the same job, from 0 to 3: batches begin
    that many times halved, with as many more accumulated."""
    start: Path | None = None
    """Folder of a saved method whose weights a fit begins from (`--from SKILL`); a method that
    cannot begin from these says so in a progress note and begins as usual."""
    on_progress: Callable[[Progress], None] = field(default=lambda _: None)
    cancelled: Callable[[], bool] = field(default=lambda: False)

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """To be called before each step.

        Raises:
            Stopped: somebody asked for it.
            BudgetSpent: the time is over.
        """
        if self.cancelled():
            raise Stopped("stopped; `tuneward jobs resume` goes on")
        if self.seconds_left <= 0:
            raise BudgetSpent("the time is over; give a larger --budget")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a fit is expected to take; an order of magnitude, from sizes alone."""

    seconds: float
    bytes: int
    """Of memory, beside the model itself."""


class Method(ABC):
    """One way to get a skill. Constructed for a task, fitted once, then asked."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[TaskKind, ...]]
    """Kinds of task that it serves."""
    base: ClassVar[Literal["none", "encoder", "language_model"]]
    """What it builds on."""
    rung: ClassVar[int]
    """Cheaper methods have lower numbers; the choice prefers them at equal scores."""

    def __init__(self, task: Task, settings: Settings | None = None) -> None:
        """Settings as `complete` takes them; what is left out has the default of the method."""
        self.task = task
        self.settings: dict[str, Any] = self.complete(settings or {})

    @classmethod
    @abstractmethod
    def defaults(cls) -> dict[str, Any]:
        """Every setting with its default; plain JSON values. The source stands beside each."""

    @classmethod
    def words(cls) -> Words:
        """The settings that are one of a few words, by name; None is said as `null`."""
        return {}

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        """A few settings worth trying, the likeliest first; only what differs from the defaults."""
        return [{}]

    @classmethod
    def unsuitable(cls, task: Task, rows: int) -> str | None:
        """Why this method cannot serve the task with so many rows; None where it can."""
        return None if task.kind in cls.kinds else f"{cls.name} does not do {task.kind}"

    @abstractmethod
    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        """What fitting on so many rows of about `tokens` tokens each is expected to take."""

    @abstractmethod
    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        """Learn from `train`; `dev` (may be empty) is for early stopping and calibration only.

        Goes on from `bench.checkpoints` where an unfinished fit of the same data lies there.

        Raises:
            MethodUnsuitable: not with this data.
            BudgetSpent, Stopped: see `Bench.check`; nothing has been learned.
            Diverged: NaN or Inf, and there is no finite state to go back to.
            OutOfMemory: even after the batch was halved three times.
        """

    @abstractmethod
    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """One prediction for each input, in order; the same whatever they are batched with."""

    def save(self, folder: Path) -> None:
        """Write `method.json` and the weights (safetensors and JSON only) into an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.save_weights(folder)
        about = {
            "method": self.name,
            "task": self.task.as_dict(),
            "settings": self.settings,
            "base": self.base_facts(),
        }
        text = json.dumps(about, ensure_ascii=False, indent=2, sort_keys=True)
        (folder / METHOD_FILE).write_text(text + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path, bench: Bench) -> Self:
        """The method as it was saved.

        Raises:
            SkillError: a file is missing, broken, or made for another base model or tokenizer.
        """
        try:
            about = json.loads((folder / METHOD_FILE).read_text("utf-8"))
            method = cls(Task.from_dict(about["task"]), dict(about["settings"]))
            base = dict(about["base"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SkillError(f"{folder / METHOD_FILE} is broken: {_said(error)}") from error
        try:
            method.load_weights(folder, bench, base)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A skill may come from elsewhere: what its files make a method trip over is theirs.
            raise SkillError(f"the files in {folder} are broken: {_said(error)}") from error
        return method

    @abstractmethod
    def base_facts(self) -> dict[str, Any]:
        """The base model by name, digest and tokenizer digest; empty for methods without one."""

    @abstractmethod
    def save_weights(self, folder: Path) -> None:
        """Write what `fit` learned."""

    @abstractmethod
    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        """Read it back and check that `base` is the model at hand."""

    @classmethod
    def complete(cls, settings: Settings) -> dict[str, Any]:
        """The settings with the defaults for what they leave out.

        Raises:
            ValueError: the method has no such setting, or it cannot be that.
        """
        known = cls.defaults()
        unknown = sorted(set(settings) - set(known))
        if unknown:
            raise ValueError(
                f"{cls.name} knows no setting {unknown[0]!r}; it has {', '.join(known) or 'none'}"
            )
        for name, value in settings.items():
            if wanted := _unmet(name, value, known[name], cls.words().get(name)):
                raise ValueError(f"{cls.name}: {name} is {wanted}, not {str(value)[:40]!r}")
        return {**known, **settings}


def _unmet(name: str, value: Any, default: Any, words: tuple[str | None, ...] | None) -> str:
    """What the setting must be, where the value is not that; else empty."""
    if words is not None:
        shown = ", ".join("null" if word is None else word for word in words)
        return "" if value in words else f"one of {shown}"
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, str):
        return "" if isinstance(value, str) and value else "a word"
    if not isinstance(default, int | float):
        return ""
    least = 1 if isinstance(default, int) and default and name not in MAY_BE_ZERO else 0
    most = 1 if name in SHARES else math.inf
    is_whole = isinstance(default, int)
    is_number = isinstance(value, int if is_whole else int | float) and not isinstance(value, bool)
    if is_number and least <= value <= most and value < math.inf:
        return ""
    what = "a whole number" if is_whole else "a number"
    return f"{what} from {least} {f'to {most}' if name in SHARES else 'on'}"


def _said(error: Exception) -> str:
    """What went wrong, in one line; of a missing key its name alone would say nothing."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return f"it lacks {text}" if isinstance(error, KeyError) else text
