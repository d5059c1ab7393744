"""One fit of a tuned method: training rows, held-out rows, and two rules that keep it honest.

Where the loss on training rows has not fallen by a tenth after 40 steps, the fit begins again with
three times the rate, once, and then gives up. And what was trained is kept only if held-out rows
(without any, training rows) like it at least as well as the state that it began from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tools.tuning.errors import MethodUnsuitable
from tools.tuning.examples import TextExample
from tools.tuning.methods.base import Bench, Progress, Stage
from tools.tuning.methods.batches import LengthBatches
from tools.tuning.methods.checkpoint import identity_of
from tools.tuning.methods.label_loss import blind_loss, loss_of, right_share, truth_of
from tools.tuning.methods.language_model import some
from tools.tuning.methods.recipe import Dev, Loss, Recipe, Trained
from tools.tuning.methods.training import train

if TYPE_CHECKING:
    from tools.tuning.methods.label_tuning import LabelTuning
    from tools.tuning.methods.tuned_rows import Rows

FLAT_STEPS = 40
FLAT_SHARE = 0.9
"""The abort rule of docs/methods.md: by then the loss is below this share of what it began at."""
LEARNED = 0.3
"""A loss below this share of a blind guess's leaves little to fall; the abort rule is silent."""
RATES = (1.0, 3.0)
"""Factors of the rate, of the first try and of the second."""
TRAIN_ROWS_JUDGED = 16


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows that the loss is measured on, and their labels."""

    rows: Rows
    truth: Tensor


class _Flat(Exception):
    """The loss does not fall."""


def judged(method: LabelTuning, examples: Sequence[TextExample]) -> Judged:
    """These examples, ready to be measured again and again."""
    rows = method.prepare([example.input for example in examples])
    return Judged(rows, truth_of(method.task, examples, method.label_tokens.device))


def measure(method: LabelTuning, on: Judged, check: Callable[[], None] = lambda: None) -> Dev:
    """Mean loss of a row, and the share of right answers.

    Args:
        check: called before each pass; may raise.
    """
    method.mode(training=False)
    scores = method.all_scores(on.rows, check)
    loss = loss_of(method.task, scores, on.truth).item() / len(on.truth)
    return Dev(loss, right_share(method.task, scores, on.truth))


class LabelFit:
    """The fit of one method, whose weights are in their first state."""

    def __init__(
        self,
        method: LabelTuning,
        train: Sequence[TextExample],
        held: Sequence[TextExample],
        bench: Bench,
    ) -> None:
        self._method = method
        self._bench = bench
        self._data = [(example.input, example.labels) for example in train]
        self._train = judged(method, train)
        self._watched = judged(method, some(train, TRAIN_ROWS_JUDGED, bench.seed))
        dev = some(held, int(method.settings["dev_rows"]), bench.seed)
        self._held = judged(method, dev) if dev else None
        self._first = {name: w.detach().clone() for name, w in method.weights().items()}

    def run(self) -> Trained:
        """Raises:
        MethodUnsuitable: the loss does not fall.
        BudgetSpent, Stopped, Diverged, OutOfMemory: as `Method.fit`.
        """
        on = self._held or self._watched
        watched = measure(self._method, self._watched, self._bench.check)
        before = measure(self._method, on, self._bench.check) if self._held else watched
        self._tell("encode", "the state to begin from", before)
        trained = self._twice(watched)
        if not measure(self._method, on).loss <= before.loss:  # NaN is not better either
            self._set(self._first)
            self._tell("tune", "the first state is the better one, so that is kept", before)
        self._method.mode(training=False)
        return trained

    def _twice(self, watched: Dev) -> Trained:
        """The training, if need be again with three times the rate."""
        flat = f"the loss has not fallen by a tenth in {FLAT_STEPS} steps"
        for attempt, factor in enumerate(RATES):
            if self._has_begun(attempt + 1):
                continue  # the fit that is resumed had begun again already
            try:
                return self._attempt(attempt, factor, watched)
            except _Flat:
                self._set(self._first)
            if factor != RATES[-1]:
                self._tell("tune", f"{flat}; again with three times the rate")
        raise MethodUnsuitable(
            f"{self._method.name}: {flat}, even at three times the rate; take another method"
        )

    def _attempt(self, attempt: int, factor: float, watched: Dev) -> Trained:
        method, settings, seed = self._method, self._method.settings, self._bench.seed
        recipe = Recipe(
            steps=method.steps(len(self._data)),
            lr=factor * settings["lr"],
            weight_decay=method.weight_decay,
            evaluate_every=settings["evaluate_every"],
            patience=settings["patience"] if self._held else 0,
        )
        batches = LengthBatches(self._train.rows.lengths, int(settings["batch"]), seed=seed)
        least = max(FLAT_SHARE * watched.loss, LEARNED * blind_loss(method.task))
        at = 0

        def batch_of(step: int) -> list[int]:
            nonlocal at
            at = step + 1
            return batches(step)

        def loss(places: Sequence[int]) -> Loss:
            method.mode(training=True)
            scores = method.scores(self._train.rows, places)
            total = loss_of(method.task, scores, self._train.truth[list(places)])
            return Loss(total, len(places))

        def evaluate() -> Dev:
            is_due = FLAT_STEPS <= at < FLAT_STEPS + recipe.evaluate_every and at < recipe.steps
            if is_due and measure(method, self._watched).loss > least:
                raise _Flat
            return measure(method, self._held or self._watched)

        facts = method.opened.facts()
        return train(
            method.weights(),
            batch_of,
            loss,
            recipe,
            replace(self._bench, checkpoints=self._folder(attempt)),
            identity=identity_of(method.name, settings, method.task, facts, seed, self._data),
            evaluate=evaluate,
            rates=method.rates(),
        )

    def _folder(self, attempt: int) -> Path | None:
        return self._bench.checkpoints and self._bench.checkpoints / f"attempt_{attempt}"

    def _has_begun(self, attempt: int) -> bool:
        folder = self._folder(attempt)
        return folder is not None and folder.is_dir()

    def _set(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self._method.weights().items():
                weight.copy_(state[name])

    def _tell(self, stage: Stage, note: str, dev: Dev | None = None) -> None:
        loss, score = (dev.loss, dev.score) if dev else (None, None)
        self._bench.on_progress(Progress(stage, loss=loss, score=score, note=note))
