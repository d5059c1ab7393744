"""full: fine-tunes every weight of the language model; the dearest rung, and the largest skill.

Saved as a whole model in the layout of transformers (`model/`), which loads without the base.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from models.errors import ModelUnavailable
from tools.tuning.errors import SkillError
from tools.tuning.examples import TextExample, TextInput
from tools.tuning.methods.base import Bench, Cost, Progress
from tools.tuning.methods.label_tuning import COMMON, LabelTuning, Weights
from tools.tuning.methods.language_model import Opened, open_model, weights_of
from tools.tuning.methods.soft_rows import read_rows
from tools.tuning.methods.tuned_rows import FrontRows, Rows, front_rows
from tools.tuning.task import Task

MODEL = "model"


class Full(LabelTuning):
    """Full fine-tuning."""

    name: ClassVar[str] = "full"
    rung: ClassVar[int] = 70
    weight_decay: ClassVar[float] = 0.01
    passes: ClassVar[int] = 3

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self._facts: dict[str, Any] = {}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            **COMMON,
            "lr": 5e-5,  # 2e-4 has destabilised models of this size
            "steps": 1000,  # LM-BFF
            "epochs": 10,
        }

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"lr": 2e-5}, {"lr": 1e-4}]

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        cost = super().cost(rows, tokens, bench)
        # Gradients and two moments in fp32, and the first and the best state beside the weights.
        return Cost(cost.seconds, cost.bytes + 20 * weights_of(bench))

    def base_facts(self) -> dict[str, Any]:
        return self._facts

    def begin(self, train: Sequence[TextExample], bench: Bench) -> None:
        self._facts = self.opened.facts()
        model = self.opened.reader.model
        model.float()
        model.requires_grad_(True)

    def open(self, bench: Bench) -> Opened:
        """The base, or the model of the skill to begin from."""
        if bench.start is None:
            return open_model(bench)
        try:
            return _opened(bench, bench.start / MODEL)
        except ModelUnavailable as error:
            bench.on_progress(Progress("encode", note=f"begins anew: {error}"))
            return open_model(bench)

    def reopen(self, bench: Bench, base: Mapping[str, Any], folder: Path) -> Opened:
        """The tuned model itself; the base is not needed."""
        self._facts = dict(base)
        try:
            return _opened(bench, folder / MODEL)
        except ModelUnavailable as error:
            raise SkillError(f"the skill's own model is broken: {error}") from error

    def weights(self) -> Weights:
        return dict(self.opened.reader.model.named_parameters())

    def prepare(self, texts: Sequence[TextInput], *, once: bool = False) -> Rows:
        limit = self.row_limit(int(self.settings["longest"]), self.design)
        return front_rows(self.opened, self.design, texts, limit)

    def read(self, rows: Rows, places: Sequence[int]) -> Tensor:
        assert isinstance(rows, FrontRows)
        reader = self.opened.reader
        return read_rows(reader, rows.batch(places, reader.device))

    def mode(self, *, training: bool) -> None:
        self.opened.reader.model.train(training)

    def save_tuned(self, folder: Path) -> None:
        self.opened.reader.model.save_pretrained(str(folder / MODEL), safe_serialization=True)
        self.opened.tokenizer.save_pretrained(str(folder / MODEL))

    def load_tuned(self, folder: Path, facts: Mapping[str, Any], bench: Bench) -> None:
        """Nothing more: `reopen` has read it."""


def _opened(bench: Bench, folder: Path) -> Opened:
    return open_model(Bench(bench.home, base=str(folder.absolute()), device=bench.device))
