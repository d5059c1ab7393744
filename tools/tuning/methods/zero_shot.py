"""zero_shot: asks the language model for the label as it is; labelled rows only choose the words.

Every template with both verbalizers is tried on a few labelled rows (dev where there is one), with
each calibration; the best is kept. One pass a text afterwards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tools.tuning import calibration
from tools.tuning.calibration import Fitness, Kind, Numbers
from tools.tuning.design import TEMPLATES, VERBALIZERS, Design, design, designs
from tools.tuning.errors import BudgetSpent, MethodUnsuitable, SkillError
from tools.tuning.examples import Example, TextExample, TextInput
from tools.tuning.methods.base import Bench, Cost, Progress, Words
from tools.tuning.methods.facts import read_facts, write_facts
from tools.tuning.methods.label_scoring import BATCH_TOKENS, LabelScorer
from tools.tuning.methods.label_words import encode, start_ids, word_ids
from tools.tuning.methods.language_model import (
    LanguageModelMethod,
    offsets_of,
    open_known,
    open_model,
    seconds_of,
    some,
    texts_of,
    truths,
)
from tools.tuning.task import Task

FILE = "prompt.json"
AUTO = "auto"


class ZeroShot(LanguageModelMethod):
    """Label scoring without training."""

    name: ClassVar[str] = "zero_shot"
    rung: ClassVar[int] = 20

    def __init__(self, task: Task, settings: Any = None) -> None:
        super().__init__(task, settings)
        self.design: Design | None = None
        self.calibration: Kind = "none"
        self._offsets = np.zeros(len(task.labels))
        self._scorer: LabelScorer | None = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            "template": AUTO,  # or one of design.TEMPLATES
            "verbalizer": AUTO,  # or names, letters
            "calibration": AUTO,  # or one of calibration.KINDS
            "choose_rows": 32,  # labelled rows to choose by; our measurement, docs/methods.md
            "longest": 512,  # tokens of a row; what is longer is cut
        }

    @classmethod
    def words(cls) -> Words:
        return {
            "template": (AUTO, *TEMPLATES),
            "verbalizer": (AUTO, *VERBALIZERS),
            "calibration": (AUTO, *calibration.KINDS),
        }

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        tried = len(self._designs()) * min(rows, int(self.settings["choose_rows"]))
        words = sum(len(label.split()) for label in self.task.labels)
        return Cost(seconds_of(tried * (tokens + 12 + words), bench), 60_000 * BATCH_TOKENS)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        labelled = some(texts_of(dev or train), int(self.settings["choose_rows"]), seed=bench.seed)
        if not labelled:
            raise MethodUnsuitable("zero_shot needs a few labelled rows to choose its words by")
        self._opened, self.halvings = open_model(bench), bench.batch_halvings
        tried = self._designs()
        best: Fitness | None = None
        for step, one in enumerate(tried):
            try:
                bench.check()
                scorer = self._scorer_of(one)
                kind, offsets, fits = self._calibrated(one, scorer, labelled, bench)
            except BudgetSpent:
                if best is None:
                    raise
                bench.on_progress(
                    Progress("design", step, len(tried), note="the time is over; the best so far")
                )
                break
            if best is None or fits > best:
                best = fits
                self.design, self.calibration = one, kind
                self._offsets, self._scorer = offsets, scorer
            bench.on_progress(
                Progress(
                    "design",
                    step + 1,
                    len(tried),
                    loss=-fits.log_likelihood,
                    score=fits.hits,
                    note=f"{one.name}, calibration {kind}",
                )
            )

    def label_probabilities(self, texts: Sequence[TextInput]) -> Numbers:
        assert self.design is not None
        assert self._scorer is not None
        rows = self.row_ids(self.design, texts, self._limit(self.design))
        return calibration.probabilities(
            self._margins(self._scorer.scores(rows)),
            self._offsets,
            multi_label=self.task.multi_label,
        )

    def save_weights(self, folder: Path) -> None:
        assert self.design is not None
        write_facts(
            folder / FILE,
            {
                "template": self.design.template,
                "verbalizer": self.design.verbalizer,
                "calibration": self.calibration,
                "offsets": self._offsets.tolist(),
            },
        )

    def load_weights(self, folder: Path, bench: Bench, base: Any) -> None:
        about = read_facts(folder / FILE)
        try:
            self.design = design(self.task, about["template"], about["verbalizer"])
            self.calibration = about["calibration"]
        except (KeyError, ValueError) as error:
            raise SkillError(f"{folder / FILE} names no known design: {error}") from error
        self._offsets = offsets_of(about, self.task)
        self._opened = open_known(bench, base)
        self._scorer = self._scorer_of(self.design)

    def _designs(self) -> list[Design]:
        """Those that the settings leave open."""
        template, verbalizer = self.settings["template"], self.settings["verbalizer"]
        if AUTO not in (template, verbalizer):
            return [design(self.task, template, verbalizer)]
        found = [
            one
            for one in designs(self.task)
            if template in (AUTO, one.template) and verbalizer in (AUTO, one.verbalizer)
        ]
        if not found:
            raise MethodUnsuitable(f"no design is called {template}/{verbalizer}")
        return found

    def _scorer_of(self, one: Design) -> LabelScorer:
        lead = one.lead
        words = word_ids(self.opened.tokenizer, lead, one.words)
        return LabelScorer(self.opened.reader, self.head_ids(one), words, halvings=self.halvings)

    def _calibrated(
        self, one: Design, scorer: LabelScorer, labelled: Sequence[TextExample], bench: Bench
    ) -> tuple[Kind, Numbers, Fitness]:
        asked = self.settings["calibration"]
        kinds = calibration.KINDS if asked == AUTO else (asked,)
        known: dict[Kind, Numbers] = {}
        if "contextual" in kinds:
            free = [TextInput(text, text) for text in calibration.NO_CONTENT]
            margins = self._margins(scorer.scores(self.row_ids(one, free, self._limit(one))))
            known["contextual"] = margins.mean(0)
        if "pmi" in kinds:
            known["pmi"] = self._bare(one)
        rows = self.row_ids(one, [example.input for example in labelled], self._limit(one))
        return calibration.choose(
            known,
            self._margins(scorer.scores(rows, bench.check)),
            truths(self.task, labelled),
            multi_label=self.task.multi_label,
            kinds=kinds,
        )

    def _bare(self, one: Design) -> Numbers:
        """The margins after what leads to a label alone."""
        tokenizer = self.opened.tokenizer
        words = word_ids(tokenizer, one.lead.strip(), one.words)
        scorer = LabelScorer(self.opened.reader, [], words)
        lead = [*start_ids(tokenizer), *encode(tokenizer, one.lead.strip())]
        mean: Numbers = self._margins(scorer.scores([lead])).mean(0)
        return mean

    def _margins(self, scores: Numbers) -> Numbers:
        return calibration.margins(scores, multi_label=self.task.multi_label)

    def _limit(self, one: Design) -> int:
        """Tokens of a row: as wanted, and so that instruction and label fit too."""
        return self.row_limit(int(self.settings["longest"]), one)
