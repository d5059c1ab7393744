"""The trials of a race on disk, one JSON object a line: what was measured is not measured again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from memory import durable
from tools.tuning.examples import ClassPrediction, Prediction, TagPrediction


@dataclass(frozen=True, slots=True)
class Trial:
    """What a candidate said about the held-out rows of one block."""

    candidate: str
    block: int
    said: tuple[tuple[str, ...], ...]
    """For each row its labels, or the tags of its tokens."""
    tags: bool
    seconds: float
    """Of fit and prediction."""
    predict_seconds: float = 0.0

    @classmethod
    def of(
        cls,
        candidate: str,
        block: int,
        predicted: Sequence[Prediction],
        seconds: float,
        predict_seconds: float,
    ) -> "Trial":
        said = tuple(p.tags if isinstance(p, TagPrediction) else p.labels for p in predicted)
        tags = any(isinstance(p, TagPrediction) for p in predicted)
        return cls(candidate, block, said, tags, seconds, predict_seconds)

    def predictions(self) -> list[Prediction]:
        """What was said, without how sure it was."""
        if self.tags:
            return [TagPrediction(tags, ()) for tags in self.said]
        return [ClassPrediction(labels, ()) for labels in self.said]


class RaceLog:
    """The trials and the skipped candidates of one job."""

    def __init__(self, path: Path | None = None, *, budget_seconds: float = 0.0) -> None:
        """Args:
        path: a file of ours, read if it is there; None keeps everything in memory.
        budget_seconds: of the job now. What had no time under another budget is not left out.
        """
        self._path = path
        self._budget = budget_seconds
        self._trials: dict[tuple[str, int], Trial] = {}
        self._skipped: dict[str, str] = {}
        if path is not None and path.exists():
            self._read(path)

    def trial(self, candidate: str, block: int) -> Trial | None:
        """What was measured in an earlier attempt."""
        return self._trials.get((candidate, block))

    def skipped(self, candidate: str) -> str | None:
        """Why the candidate was left out in an earlier attempt; None where it was not."""
        return self._skipped.get(candidate)

    def add(self, trial: Trial) -> None:
        """Keep a trial, durably."""
        self._trials[trial.candidate, trial.block] = trial
        self._write({"trial": asdict(trial)})

    def skip(self, candidate: str, why: str, *, for_time: bool = False) -> None:
        """Keep why a candidate was left out.

        Args:
            for_time: it counts only as long as the job's budget is the same.
        """
        if candidate not in self._skipped:
            self._skipped[candidate] = why
            line: dict[str, object] = {"candidate": candidate, "why": why}
            if for_time:
                line["budget_seconds"] = self._budget
            self._write({"skipped": line})

    def _write(self, line: dict[str, object]) -> None:
        if self._path is not None:
            text = json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"
            durable.append(self._path, text.encode("utf-8", "replace"))

    def _read(self, path: Path) -> None:
        """A line that a crash cut short is left out, and ended: the next one stands alone."""
        text = path.read_text("utf-8", "replace")
        for line in text.split("\n"):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if "trial" in found:
                facts = found["trial"]
                facts["said"] = tuple(tuple(row) for row in facts["said"])
                trial = Trial(**facts)
                self._trials[trial.candidate, trial.block] = trial
            elif "skipped" in found:
                skipped = found["skipped"]
                if skipped.get("budget_seconds", self._budget) == self._budget:
                    self._skipped[skipped["candidate"]] = skipped["why"]
        if text and not text.endswith("\n"):
            durable.append(path, b"\n")
