"""All that a tuning job found out, as data: `report.json` in its folder, and what readers make.

`report_tables.py` makes lines for a terminal of it, `report_page.py` a page. Every job that got as
far as its data leaves one: where it failed, with what was measured until then and the reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from memory import durable
from tools.tuning.errors import JobError
from tools.tuning.evaluation import Measured, Wrong
from tools.tuning.metrics import Metrics

REPORT_FILE = "report.json"
PAGE_FILE = "report.html"
CURVES = 24
"""Learning curves that are kept, the latest first to go."""
POINTS = 200
"""Points of a curve; every so many-th is kept where there are more."""


@dataclass(frozen=True, slots=True)
class RaceRow:
    """One candidate of the race."""

    label: str
    """The method and what of its settings is not default."""
    score: float
    low: float
    high: float
    """The 95 % interval over held-out rows."""
    spread: float
    """Standard deviation over blocks, each with a seed of its own."""
    blocks: int
    seconds: float
    """Mean seconds of a block."""
    verdict: str


@dataclass(frozen=True, slots=True)
class Point:
    """One report of a fit."""

    step: int
    loss: float | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """How one fit went."""

    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured on one split."""

    metrics: dict[str, Any]
    """`Metrics.as_dict()`."""
    low: float
    high: float
    controls: dict[str, float] = field(default_factory=dict)
    """The main figure of the controls, by name."""
    milliseconds_per_row: float | None = None

    @classmethod
    def of(cls, found: Measured, controls: Mapping[str, float]) -> "Figures":
        return cls(
            found.metrics.as_dict(),
            found.low,
            found.high,
            dict(controls),
            found.milliseconds_per_row,
        )

    def read(self) -> Metrics:
        """The metrics themselves."""
        return Metrics.from_dict(self.metrics)


class JobReport(BaseModel):
    """Everything that a reader of a job wants to see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str
    skill: str
    kind: str
    status: str
    """`registered as version 2`, or why not."""
    made: str
    """UTC, ISO 8601."""
    seconds: float
    budget_seconds: float
    rows: dict[str, int]
    """Rows by split: train, dev, test."""
    data: tuple[str, ...] = ()
    """The data report, line by line."""
    why: str = ""
    """The choice in a sentence."""
    race: tuple[RaceRow, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    """What was left out, and why."""
    cross_validated: bool = False
    chosen: str = ""
    dev: Figures | None = None
    test: Figures | None = None
    template_spread: float | None = None
    curves: tuple[Curve, ...] = ()
    wrong: tuple[Wrong, ...] = ()
    notes: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Put `report.json` into the job's folder, durably."""
        text = self.model_dump_json(indent=1) + "\n"
        durable.replace(folder / REPORT_FILE, text.encode("utf-8", "replace"))

    @classmethod
    def read(cls, folder: Path) -> "JobReport":
        """The report of that job.

        Raises:
            JobError: it has none yet, or a broken one.
        """
        path = folder / REPORT_FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise JobError(
                f"job {folder.name} has no report yet; it has to come to an end"
            ) from None
        except (OSError, ValidationError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise JobError(f"{path} is broken ({first}); the job's log has the rest") from error


class Curves:
    """Collects the learning curves of a job from its events."""

    def __init__(self, earlier: Iterable[Mapping[str, Any]] = ()) -> None:
        self._found: dict[str, list[Point]] = {}
        for event in earlier:
            self.take(event)

    def take(self, event: Mapping[str, Any]) -> None:
        """Look at an event; only a fit's progress with a figure counts."""
        if event.get("type") != "progress":
            return
        loss, score = (_number(event.get(name)) for name in ("loss", "score"))
        if loss is None and score is None:
            return
        block = event.get("block")
        name = str(event.get("candidate") or event.get("method") or "fit")
        label = f"{name}, block {block}" if block is not None else name
        points = self._found.setdefault(label, [])
        step = int(event.get("step") or 0)
        if points and points[-1].step > step:  # begun anew after a kill
            points[:] = [point for point in points if point.step < step]
        points.append(Point(step, loss, score))

    def all(self) -> tuple[Curve, ...]:
        """Those with at least two points; the final fit is always among them."""
        found = [
            Curve(label, tuple(_thinned(points)))
            for label, points in self._found.items()
            if len(points) > 1
        ]
        found.sort(key=lambda curve: ", block" in curve.label)
        return tuple(found[:CURVES])


def _thinned(points: list[Point]) -> list[Point]:
    every = -(-len(points) // POINTS)
    return points[::every] if every > 1 else points


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
