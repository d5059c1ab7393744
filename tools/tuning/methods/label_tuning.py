"""What the tuned methods on a language model share: the stage tune, up to the label's own token.

Each label has one token of its own (`label_words.own_tokens`), the loss is over these alone, and
one pass a text answers. A sub-class says what is trained and how rows are read through it; how it
is trained stands in `label_fit.py`. Of several templates the one whose first state has the lowest
loss on a few labelled rows is taken.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tools.tuning.calibration import Numbers
from tools.tuning.design import TEMPLATES, Design, design
from tools.tuning.errors import MethodUnsuitable, SkillError
from tools.tuning.examples import Example, TextExample, TextInput
from tools.tuning.methods.base import Bench, Cost, Progress, Words
from tools.tuning.methods.facts import read_facts, write_facts
from tools.tuning.methods.halving import in_pieces
from tools.tuning.methods.label_fit import LabelFit, judged, measure
from tools.tuning.methods.label_loss import against_none
from tools.tuning.methods.label_words import own_tokens
from tools.tuning.methods.language_model import (
    LanguageModelMethod,
    Opened,
    open_known,
    open_model,
    seconds_of,
    some,
    texts_of,
)
from tools.tuning.methods.padding import by_length
from tools.tuning.methods.recipe import Dev, Trained
from tools.tuning.methods.tuned_rows import Rows
from tools.tuning.task import Task

FILE = "tuned.json"
AUTO = "auto"
TEMPLATE_ROWS = 16
"""Labelled rows that a template is chosen by."""
INFER_TOKENS = 2_048
"""Tokens of one pass without gradients, padding included."""
INFER_ROWS = 64
Weights = dict[str, torch.nn.Parameter]
PLACEMENTS = ("front", "suffix")
COMMON: dict[str, Any] = {
    "template": AUTO,  # or one of design.TEMPLATES
    "batch": 8,  # 8 to 16 (LM-BFF, PEFT's examples); the smallest is the fastest on two cores
    "evaluate_every": 25,  # LM-BFF has 100 of 1000 steps
    "patience": 4,  # evaluations of dev without a better one
    "dev_rows": 64,  # of dev that are looked at each time
    "longest": 256,  # tokens of a row; what is longer is cut
}


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

    @classmethod
    def words(cls) -> Words:
        return {"template": (AUTO, *TEMPLATES)}

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
        """There after `fit` and `load`."""
        if self._design is None:
            raise RuntimeError(f"{self.name} is neither fitted nor loaded")
        return self._design

    @property
    def label_tokens(self) -> Tensor:
        """The token of each label, in the task's order; of `none` after them if multi-label."""
        return self._tokens

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        steps, batch = self.steps(rows), int(self.settings["batch"])
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

    def steps(self, rows: int) -> int:
        """At most `steps`, and no more than `epochs` over so many rows."""
        per_epoch = -(-rows // int(self.settings["batch"]))
        return max(1, min(int(self.settings["steps"]), int(self.settings["epochs"]) * per_epoch))

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        examples, held = texts_of(train), texts_of(dev)
        if not examples:
            raise MethodUnsuitable(f"{self.name} needs labelled rows to train on")
        templates = self._templates(bench)
        bench.check()
        self.halvings = bench.batch_halvings
        self._opened = self.open(bench)
        if len(templates) == 1:
            self._lay_out(templates[0])
            self.begin(examples, bench)
        else:
            self._choose(templates, examples, held, bench)
        bench.on_progress(Progress("design", note=self.design.name))
        self.trained = LabelFit(self, examples, held, bench).run()

    def label_probabilities(self, texts: Sequence[TextInput]) -> Numbers:
        self.mode(training=False)
        found = self.all_scores(self.prepare(texts, once=True))
        if self.task.multi_label:
            return against_none(found).sigmoid().double().cpu().numpy()
        return found.softmax(-1).double().cpu().numpy()

    def scores(self, rows: Rows, places: Sequence[int]) -> Tensor:
        """[places, labels] in fp32; the last of a multi-label task is `none`."""
        return self.opened.reader.scores(self.read(rows, places), self._tokens)

    def all_scores(self, rows: Rows, check: Callable[[], None] = lambda: None) -> Tensor:
        """[rows, labels] without gradients, in batches of about one length.

        Args:
            check: called before each pass; may raise.

        Raises:
            OutOfMemory: not even one row fits.
        """
        found = torch.zeros((len(rows.lengths), len(self._tokens)), device=self._tokens.device)

        def read(places: Sequence[int]) -> Tensor:
            return self.scores(rows, places)

        most = max(1, INFER_ROWS >> self.halvings)
        for places in by_length(rows.lengths, tokens=INFER_TOKENS >> self.halvings, rows=most):
            check()
            with torch.no_grad():
                found[places] = torch.cat(in_pieces(places, read))
        return found

    def save_weights(self, folder: Path) -> None:
        write_facts(
            folder / FILE,
            {
                "template": self.design.template,
                "label_tokens": self._tokens.tolist(),
                "steps": self.trained.steps if self.trained else 0,
                "best_step": self.trained.best_step if self.trained else 0,
                **self.facts(),
            },
        )
        self.save_tuned(folder)

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        facts = read_facts(folder / FILE)
        self._opened = self.reopen(bench, base, folder)
        try:
            self._lay_out(facts["template"])
        except (KeyError, TypeError, ValueError) as error:
            raise SkillError(f"{folder / FILE} is broken: {error}") from error
        if self._tokens.tolist() != facts.get("label_tokens"):
            raise SkillError(f"the tokenizer gives the labels other tokens than {folder} has")
        self.load_tuned(folder, facts, bench)
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
        return measure(self, judged(self, examples))

    def _lay_out(self, template: str) -> None:
        """Asks by this template from now on."""
        self._design = design(self.task, template)
        words = self.design.words
        tokens = own_tokens(self.opened.tokenizer, self.design.lead, words)
        self._tokens = torch.tensor(tokens, device=self.opened.reader.device)

    def _templates(self, bench: Bench) -> tuple[str, ...]:
        """Those to choose from; a fit that begins from a skill keeps that one's."""
        asked = str(self.settings["template"])
        if asked != AUTO:
            return (asked,)
        if bench.start is not None:
            with suppress(SkillError):
                begun = read_facts(bench.start / FILE).get("template")
                return (begun,) if begun in TEMPLATES else TEMPLATES
        return TEMPLATES

    def _choose(
        self,
        templates: Sequence[str],
        train: Sequence[TextExample],
        held: Sequence[TextExample],
        bench: Bench,
    ) -> None:
        """Takes the template whose first state does best; leaves the method in that state."""
        few = some(held or train, TEMPLATE_ROWS, bench.seed)
        quiet = replace(bench, on_progress=lambda _: None)
        losses: dict[str, float] = {}
        for place, template in enumerate(templates):
            self._lay_out(template)
            self.begin(train, quiet)
            found = measure(self, judged(self, few), bench.check)
            losses[template] = found.loss
            bench.on_progress(
                Progress("design", place + 1, len(templates), found.loss, found.score, template)
            )
        self._lay_out(min(losses, key=lambda template: losses[template]))
        self.begin(train, bench)
