"""What the tuned methods on a language model share: the stage tune, up to the label's own token.

Each label has one token of its own (`label_words.own_tokens`), the loss is over these alone, and
one pass a text answers. A sub-class says what is trained and how rows are read through it.

Two rules keep a fit honest. Where the loss on training rows has not fallen by a tenth after 40
steps, the fit begins again with three times the rate, once, and then gives up. And what was
trained is kept only if held-out rows like it better than the state that it began from.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tools.tuning.calibration import Numbers
from tools.tuning.design import Design, design
from tools.tuning.errors import MethodUnsuitable
from tools.tuning.examples import Example, TextExample, TextInput
from tools.tuning.methods.base import Bench, Cost, Progress
from tools.tuning.methods.batches import LengthBatches
from tools.tuning.methods.checkpoint import identity_of
from tools.tuning.methods.device_state import memory_errors
from tools.tuning.methods.label_words import own_tokens
from tools.tuning.methods.language_model import (
    LanguageModelMethod,
    Opened,
    open_known,
    open_model,
    read_json,
    seconds_of,
    some,
    texts_of,
    truths,
    write_json,
)
from tools.tuning.methods.padding import by_length
from tools.tuning.methods.recipe import Dev, Loss, Recipe, Trained
from tools.tuning.methods.training import train as train_weights
from tools.tuning.methods.tuned_rows import Rows
from tools.tuning.task import Task

FILE = "tuned.json"
FLAT_STEPS = 40
FLAT_SHARE = 0.9
"""The abort rule of docs/methods.md: by then the loss is below this share of what it began at."""
LEARNED = 0.3
"""A loss below this share of a blind guess's leaves little to fall; the abort rule is silent."""
RATES = (1.0, 3.0)
"""Factors of the rate, of the first try and of the second."""
TRAIN_ROWS_JUDGED = 16
INFER_TOKENS = 2_048
"""Tokens of one pass without gradients, padding included."""
Weights = dict[str, torch.nn.Parameter]
COMMON: dict[str, Any] = {
    "template": "label",
    "batch": 8,  # 8 to 16 (LM-BFF, PEFT's examples); the smallest is the fastest on two cores
    "evaluate_every": 25,  # LM-BFF has 100 of 1000 steps
    "patience": 4,  # evaluations of dev without a better one
    "dev_rows": 64,  # of dev that are looked at each time
    "longest": 256,  # tokens of a row; what is longer is cut
}


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows that the loss is measured on, and their labels."""

    rows: Rows
    truth: Tensor


class _Flat(Exception):
    """The loss does not fall."""


class LabelTuning(LanguageModelMethod):
    """Trains something small (or everything) so that the label's token follows the row."""

    weight_decay: ClassVar[float] = 0.0
    passes: ClassVar[int] = 2
    """Of a training step's work in forward passes: forward, and back to the activations."""

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self._design: Design | None = None
        self._tokens = torch.zeros(0, dtype=torch.long)
        self.trained: Trained | None = None

    # What a sub-class says

    def open(self, bench: Bench) -> Opened:
        """The model to begin with."""
        return open_model(bench)

    def reopen(self, bench: Bench, base: Mapping[str, Any], folder: Path) -> Opened:
        """The model that a saved fit belongs to."""
        return open_known(bench, base)

    @abstractmethod
    def begin(self, train: Sequence[TextExample], bench: Bench) -> None:
        """Make what is trained, in its first state."""

    @abstractmethod
    def weights(self) -> Weights:
        """What is trained, by name."""

    def rates(self) -> dict[str, float]:
        """Beginning of a weight's name to its factor of the rate."""
        return {}

    @abstractmethod
    def prepare(self, texts: Sequence[TextInput], *, once: bool = False) -> Rows:
        """Texts as rows.

        Args:
            once: each will be read once, so that nothing of it needs to be kept.
        """

    @abstractmethod
    def read(self, rows: Rows, places: Sequence[int]) -> Tensor:
        """[places, width]: hidden states where the label comes next, with gradients if enabled."""

    def mode(self, *, training: bool) -> None:
        """Switches dropout of what is trained; the frozen model never has any."""

    # What is the same for all

    @property
    def design(self) -> Design:
        if self._design is None:
            self._design = design(self.task, self.settings["template"])
        return self._design

    @property
    def label_tokens(self) -> Tensor:
        """The token of each label, in the task's order; of `none` after them if multi-label."""
        return self._tokens

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        steps, batch = self._steps(rows), int(self.settings["batch"])
        per_row = self.tokens_per_row(tokens)
        judged = (steps // int(self.settings["evaluate_every"]) + 1) * min(
            rows, int(self.settings["dev_rows"])
        )
        work = self.passes * steps * min(batch, rows) * per_row + judged * per_row
        # 60 kB of activations a token and block of the default model's size, kept for the way back.
        return Cost(seconds_of(work, bench), 1_500_000 * batch * (per_row + 20))

    def tokens_per_row(self, tokens: int) -> int:
        """That one training step reads for a text of so many."""
        return tokens + 12

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        examples, held = texts_of(train), texts_of(dev)
        if not examples:
            raise MethodUnsuitable(f"{self.name} needs labelled rows to train on")
        bench.check()
        self._lay_out(self.open(bench))
        bench.on_progress(Progress("design", note=self.design.name))
        self.begin(examples, bench)
        fit = _Fit(
            rows=self.prepare([example.input for example in examples]),
            truth=self._truth(examples),
            watched=self._judged(some(examples, TRAIN_ROWS_JUDGED, bench.seed)),
            held=self._judged(some(held, int(self.settings["dev_rows"]), bench.seed))
            if held
            else None,
        )
        fit.watched_at_first = self._measure(fit.watched, bench).loss
        fit.first = self._measure(fit.held or fit.watched, bench)
        first = {name: weight.detach().clone() for name, weight in self.weights().items()}
        note = "the state to begin from"
        bench.on_progress(Progress("encode", loss=fit.first.loss, score=fit.first.score, note=note))
        data = [(example.input, example.labels) for example in examples]
        self.trained = self._twice(fit, first, data, bench)
        if not self._measure(fit.held or fit.watched).loss <= fit.first.loss:  # NaN is not better
            self._set(first)
            note = "the first state is the better one, so that is kept"
            bench.on_progress(Progress("tune", score=fit.first.score, note=note))
        self.mode(training=False)

    def label_probabilities(self, texts: Sequence[TextInput]) -> Numbers:
        self.mode(training=False)
        found = self._all_scores(self.prepare(texts, once=True), len(texts))
        if self.task.multi_label:
            return (found[:, :-1] - found[:, -1:]).sigmoid().double().cpu().numpy()
        return found.softmax(-1).double().cpu().numpy()

    def scores(self, rows: Rows, places: Sequence[int]) -> Tensor:
        """[places, labels] in fp32; the last of a multi-label task is `none`."""
        return self.opened.reader.scores(self.read(rows, places), self._tokens)

    def save_weights(self, folder: Path) -> None:
        write_json(
            folder / FILE,
            {
                "label_tokens": self._tokens.tolist(),
                "steps": self.trained.steps if self.trained else 0,
                "best_step": self.trained.best_step if self.trained else 0,
                **self.facts(),
            },
        )
        self.save_tuned(folder)

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        self._lay_out(self.reopen(bench, base, folder))
        self.load_tuned(folder, read_json(folder / FILE), bench)
        self.mode(training=False)

    def facts(self) -> dict[str, Any]:
        """What `load_tuned` needs beside the weights; plain JSON."""
        return {}

    @abstractmethod
    def save_tuned(self, folder: Path) -> None:
        """Write what was trained."""

    @abstractmethod
    def load_tuned(self, folder: Path, facts: Mapping[str, Any], bench: Bench) -> None:
        """Read it back.

        Raises:
            SkillError: it is missing, broken or of another shape.
        """

    def measure(self, examples: Sequence[TextExample]) -> Dev:
        """Mean loss of a text, and the share of right answers."""
        return self._measure(self._judged(examples))

    # The fit

    def _lay_out(self, opened: Opened) -> None:
        self._opened = opened
        tokens = own_tokens(opened.tokenizer, self.design.lead, self.design.words)
        self._tokens = torch.tensor(tokens, device=opened.reader.device)

    def _twice(
        self, fit: "_Fit", first: Mapping[str, Tensor], data: Sequence[Any], bench: Bench
    ) -> Trained:
        """The fit, if need be again with three times the rate."""
        flat = f"the loss has not fallen by a tenth in {FLAT_STEPS} steps"
        for attempt, factor in enumerate(RATES):
            folder = bench.checkpoints and bench.checkpoints / f"attempt_{attempt}"
            again = bench.checkpoints and bench.checkpoints / f"attempt_{attempt + 1}"
            if again and again.is_dir():
                continue  # the fit that is resumed had begun again already
            try:
                return self._train(fit, factor, data, replace(bench, checkpoints=folder))
            except _Flat:
                self._set(first)
            if factor != RATES[-1]:
                note = f"{flat}; again with three times the rate"
                bench.on_progress(Progress("tune", note=note))
        raise MethodUnsuitable(
            f"{self.name}: {flat}, even at three times the rate; take another method"
        )

    def _train(self, fit: "_Fit", factor: float, data: Sequence[Any], bench: Bench) -> Trained:
        wanted = self.settings
        recipe = Recipe(
            steps=self._steps(len(data)),
            lr=factor * wanted["lr"],
            weight_decay=self.weight_decay,
            evaluate_every=wanted["evaluate_every"],
            patience=wanted["patience"] if fit.held else 0,
        )
        batches = LengthBatches(fit.rows.lengths, int(wanted["batch"]), seed=bench.seed)
        at = 0

        def batch_of(step: int) -> list[int]:
            nonlocal at
            at = step + 1
            return batches(step)

        def loss(places: Sequence[int]) -> Loss:
            self.mode(training=True)
            scores = self.scores(fit.rows, places)
            return Loss(self._loss(scores, fit.truth[list(places)]), len(places))

        def evaluate() -> Dev:
            if FLAT_STEPS <= at < FLAT_STEPS + recipe.evaluate_every and at < recipe.steps:
                now = self._measure(fit.watched).loss
                if now > max(FLAT_SHARE * fit.watched_at_first, LEARNED * self._blind_loss):
                    raise _Flat
            return self._measure(fit.held or fit.watched)

        return train_weights(
            self.weights(),
            batch_of,
            loss,
            recipe,
            bench,
            identity=identity_of(
                self.name, wanted, self.task, self.opened.facts(), bench.seed, data
            ),
            evaluate=evaluate,
            rates=self.rates(),
        )

    def _steps(self, rows: int) -> int:
        """At most `steps`, and no more than `epochs` over so many rows."""
        per_epoch = -(-rows // int(self.settings["batch"]))
        return max(1, min(int(self.settings["steps"]), int(self.settings["epochs"]) * per_epoch))

    def _judged(self, examples: Sequence[TextExample]) -> "_Judged":
        rows = self.prepare([example.input for example in examples])
        return _Judged(rows, self._truth(examples))

    def _truth(self, examples: Sequence[TextExample]) -> Tensor:
        """Class numbers [examples], or for several labels 0 and 1 as [examples, labels]."""
        truth = torch.from_numpy(truths(self.task, examples)).to(self._tokens.device)
        return truth.float() if self.task.multi_label else truth.int().argmax(-1)

    def _loss(self, scores: Tensor, truth: Tensor) -> Tensor:
        """Summed over rows."""
        if self.task.multi_label:
            against_none = scores[:, :-1] - scores[:, -1:]
            each = binary_cross_entropy_with_logits(against_none, truth, reduction="none")
            return each.mean(-1).sum()
        return cross_entropy(scores, truth, reduction="sum")

    @property
    def _blind_loss(self) -> float:
        """Of a guess that knows nothing."""
        return log(2) if self.task.multi_label else log(max(2, len(self._tokens)))

    def _measure(self, judged: "_Judged", bench: Bench | None = None) -> Dev:
        """Mean loss of a row, and the share of right answers."""
        self.mode(training=False)
        scores = self._all_scores(judged.rows, len(judged.truth), bench)
        if self.task.multi_label:
            right = (scores[:, :-1] > scores[:, -1:]) == judged.truth.bool()
        else:
            right = scores.argmax(-1) == judged.truth
        loss = self._loss(scores, judged.truth).item() / len(judged.truth)
        return Dev(loss, right.float().mean().item())

    def _all_scores(self, rows: Rows, count: int, bench: Bench | None = None) -> Tensor:
        """[rows, labels] without gradients, in batches of about one length."""
        found = torch.zeros((count, len(self._tokens)), device=self._tokens.device)
        for places in by_length(rows.lengths, tokens=INFER_TOKENS):
            if bench is not None:
                bench.check()
            with torch.no_grad(), memory_errors():
                found[places] = self.scores(rows, places)
        return found

    def _set(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.weights().items():
                weight.copy_(state[name])


@dataclass(slots=True)
class _Fit:
    """What one fit works on."""

    rows: Rows
    truth: Tensor
    watched: _Judged
    """Training rows whose loss must fall."""
    held: _Judged | None
    """Rows of dev; None without one."""
    watched_at_first: float = 0.0
    first: Dev = field(default_factory=lambda: Dev(0.0))
    """Before any training, on the held rows if there are any."""
