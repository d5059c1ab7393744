"""few_shot: shows the language model the labelled examples nearest to each text, then asks.

Nearness is the cosine of sentence vectors; the most similar example stands last, next to the text.
With few classes each one is among them. Nothing is trained: the examples are the skill.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.embedder import TextEmbedder, load_embedder
from models.errors import ModelUnavailable
from tools.tuning import calibration
from tools.tuning.calibration import Fitness, Kind, Numbers
from tools.tuning.design import BETWEEN, TEMPLATES, VERBALIZERS, Design, design
from tools.tuning.errors import BudgetSpent, MethodUnsuitable, SkillError
from tools.tuning.examples import Example, TextExample, TextInput
from tools.tuning.methods.base import Bench, Cost, Progress, Words
from tools.tuning.methods.facts import read_facts, write_facts
from tools.tuning.methods.label_scoring import BATCH_TOKENS, LabelScorer
from tools.tuning.methods.label_words import encode, encode_row, word_ids
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
from tools.tuning.neighbours import Neighbours, Vectors
from tools.tuning.task import Task

FILE = "examples.json"
AUTO = "auto"
VECTORS = "vectors.safetensors"
CALIBRATIONS: tuple[Kind, ...] = ("none", "prior")
"""The others would have to be measured anew for the examples of each text."""
SLAB = 256
"""Texts that are embedded between two looks at the clock."""


class FewShot(LanguageModelMethod):
    """Label scoring after the nearest examples."""

    name: ClassVar[str] = "few_shot"
    rung: ClassVar[int] = 25

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self._design: Design | None = None
        self.calibration: Kind = "none"
        self._offsets = np.zeros(len(task.labels))
        self._examples: list[TextExample] = []
        self._vectors: Vectors = np.zeros((0, 1), dtype=np.float32)
        self._embedder: TextEmbedder | None = None
        self._neighbours: Neighbours | None = None
        self._scorer: LabelScorer | None = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            "examples": 4,  # then 8; notes of LM-BFF and DSPy have 4 to 16, small models read less
            "each_class_to": 6,  # up to so many classes, each is among the examples
            "template": AUTO,  # or one of design.TEMPLATES
            "verbalizer": "names",
            "calibration": AUTO,  # or none, prior
            "choose_rows": 24,  # labelled rows to choose template and calibration by
            "longest": 512,  # tokens of examples and text together
            "encoder": "minilm-l6",
        }

    @classmethod
    def words(cls) -> Words:
        return {
            "template": (AUTO, *TEMPLATES),
            "verbalizer": VERBALIZERS,
            "calibration": (AUTO, *CALIBRATIONS),
        }

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"examples": 8}] if rows >= 8 else [{}]

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        shown = min(int(self.settings["longest"]), (int(self.settings["examples"]) + 1) * tokens)
        tried = len(TEMPLATES) if self.settings["template"] == AUTO else 1
        judged = tried * min(rows, int(self.settings["choose_rows"]))
        # The small encoder reads every row once; it has a sixth of the default model's weights.
        return Cost(seconds_of(judged * shown + rows * tokens / 6, bench), 60_000 * BATCH_TOKENS)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        self._examples = texts_of(train)
        if not self._examples:
            raise MethodUnsuitable("few_shot needs labelled examples to show")
        self._opened, self.halvings = open_model(bench), bench.batch_halvings
        self._embedder = load_embedder(self.settings["encoder"], bench.home, device=bench.device)
        vectors = []
        for start in range(0, len(self._examples), SLAB):
            bench.check()
            vectors.append(
                self._vectors_of([e.input for e in self._examples[start : start + SLAB]])
            )
            bench.on_progress(Progress("encode", start, len(self._examples)))
        self._vectors = np.concatenate(vectors)
        self._choose(texts_of(dev), bench)

    @property
    def design(self) -> Design:
        """There after `fit` and `load`."""
        if self._design is None:
            raise RuntimeError("few_shot is neither fitted nor loaded")
        return self._design

    def label_probabilities(self, texts: Sequence[TextInput]) -> Numbers:
        assert self._scorer is not None
        chosen = self._chosen(texts)
        rows = [self._prompt(text, places) for text, places in zip(texts, chosen, strict=True)]
        return calibration.probabilities(
            self._margins(self._scorer.scores(rows)),
            self._offsets,
            multi_label=self.task.multi_label,
        )

    def prompt(self, text: TextInput) -> list[int]:
        """The ids that the model reads for this text, after the instruction."""
        return self._prompt(text, self._chosen([text])[0])

    def base_facts(self) -> dict[str, Any]:
        assert self._embedder is not None
        return {**self.opened.facts(), "encoder": self._embedder.fingerprint.as_dict()}

    def save_weights(self, folder: Path) -> None:
        write_facts(
            folder / FILE,
            {
                "template": self.design.template,
                "calibration": self.calibration,
                "offsets": self._offsets.tolist(),
                "examples": [
                    [e.input.text, e.input.pair, list(e.labels), e.line] for e in self._examples
                ],
            },
        )
        save_file({"vectors": self._vectors}, folder / VECTORS)

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        about = read_facts(folder / FILE)
        try:
            self._vectors = load_file(folder / VECTORS)["vectors"]
            self._examples = [
                TextExample(TextInput(text, pair), tuple(labels), line)
                for text, pair, labels, line in about["examples"]
            ]
            self.calibration = about["calibration"]
            self._check_examples(about["template"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise SkillError(f"the examples in {folder} are broken: {error}") from error
        self._offsets = offsets_of(about, self.task)
        self._opened = open_known(bench, base)
        self._lay_out(about["template"], self.settings["verbalizer"])
        try:
            self._embedder = load_embedder(
                self.settings["encoder"], bench.home, device=bench.device
            )
        except ModelUnavailable as error:
            raise SkillError(f"the skill needs `{self.settings['encoder']}`: {error}") from error
        if self._embedder.fingerprint.as_dict() != base.get("encoder"):
            raise SkillError(
                f"the skill's examples were placed by another encoder than `{self._embedder.name}` "
                "as it is here; tune it again"
            )
        if self._vectors.shape[1] != self._embedder.dimension:
            raise SkillError(f"the vectors in {folder} are not of the encoder that they name")

    def _check_examples(self, template: str) -> None:
        """Raises ValueError where examples cannot be shown, or have not one vector each."""
        if template not in TEMPLATES:
            raise ValueError(f"there is no template {template!r}")
        if self._vectors.ndim != 2 or not 0 < len(self._examples) == len(self._vectors):
            raise ValueError(f"{len(self._examples)} examples, but vectors {self._vectors.shape}")
        for example in self._examples:
            if not isinstance(example.input.text, str) or not isinstance(example.input.pair, str):
                raise ValueError("an example is no text")
            if unknown := set(example.labels) - set(self.task.labels):
                raise ValueError(f"the task has no label {min(unknown)!r}")

    def _lay_out(self, template: str, verbalizer: str) -> None:
        """Asks by this design from now on."""
        self._design = design(self.task, template, verbalizer)
        words = word_ids(self.opened.tokenizer, self._design.lead, self._design.words)
        self._scorer = LabelScorer(
            self.opened.reader, self.head_ids(self._design), words, halvings=self.halvings
        )

    def _choose(self, dev: Sequence[TextExample], bench: Bench) -> None:
        """Template and calibration, on dev; without one, on rows that are not shown themselves."""
        count, asked = int(self.settings["choose_rows"]), self.settings["template"]
        if dev:
            judged = some(dev, count, bench.seed)
            shown = self._chosen([example.input for example in judged])
        else:
            places = some(range(len(self._examples)), count, bench.seed)
            judged = [self._examples[i] for i in places]
            shown = [self._nearest(self._vectors[i], without=i) for i in places]
        best: tuple[str, Kind, Numbers, Fitness] | None = None
        templates = TEMPLATES if asked == AUTO else (asked,)
        for place, template in enumerate(templates):
            self._lay_out(template, self.settings["verbalizer"])
            try:
                kind, offsets, fits = self._calibrated(judged, shown, bench)
            except BudgetSpent:
                if best is None:
                    raise
                break
            if best is None or fits > best[3]:
                best = template, kind, offsets, fits
            bench.on_progress(
                Progress(
                    "select",
                    place + 1,
                    len(templates),
                    loss=-fits.log_likelihood,
                    score=fits.hits,
                    note=f"{self.design.name}, calibration {kind}",
                )
            )
        assert best is not None
        self._lay_out(best[0], self.settings["verbalizer"])
        self.calibration, self._offsets = best[1], best[2]

    def _calibrated(
        self, judged: Sequence[TextExample], shown: Sequence[Sequence[int]], bench: Bench
    ) -> tuple[Kind, Numbers, Fitness]:
        assert self._scorer is not None
        asked = self.settings["calibration"]
        rows = [self._prompt(e.input, places) for e, places in zip(judged, shown, strict=True)]
        return calibration.choose(
            {},
            self._margins(self._scorer.scores(rows, bench.check)),
            truths(self.task, judged),
            multi_label=self.task.multi_label,
            kinds=CALIBRATIONS if asked == AUTO else (asked,),
        )

    def _chosen(self, texts: Sequence[TextInput]) -> list[list[int]]:
        return [self._nearest(vector) for vector in self._vectors_of(texts)]

    def _nearest(self, vector: Vectors, without: int | None = None) -> list[int]:
        labels = self.task.labels
        if self._neighbours is None:
            self._neighbours = Neighbours(self._vectors, [e.labels for e in self._examples])
        return self._neighbours.nearest(
            vector,
            int(self.settings["examples"]),
            each_of=labels if len(labels) <= int(self.settings["each_class_to"]) else (),
            without=without,
        )

    def _vectors_of(self, texts: Sequence[TextInput]) -> Vectors:
        assert self._embedder is not None
        return self._embedder.vectors([f"{text.text} {text.pair}".strip() for text in texts])

    def _prompt(self, text: TextInput, places: Sequence[int]) -> list[int]:
        """Ids of the examples and the row; where it is too long, without the least similar ones."""
        tokenizer = self.opened.tokenizer
        limit = self.row_limit(int(self.settings["longest"]), self.design)
        row = encode_row(tokenizer, self.design, text, limit)
        ids = row
        for place in reversed(places):
            example = self._examples[place]
            labels = [self.task.labels.index(label) for label in example.labels]
            shown = encode(tokenizer, self.design.example(example.input, labels) + BETWEEN)
            if len(shown) + len(ids) > limit:
                break
            ids = [*shown, *ids]
        return ids

    def _margins(self, scores: Numbers) -> Numbers:
        return calibration.margins(scores, multi_label=self.task.multi_label)
