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
from tools.tuning.calibration import Kind, Numbers
from tools.tuning.design import BETWEEN, Design, design
from tools.tuning.errors import MethodUnsuitable, SkillError
from tools.tuning.examples import Example, TextExample, TextInput
from tools.tuning.methods.base import Bench, Cost, Progress
from tools.tuning.methods.label_scoring import BATCH_TOKENS, LabelScorer
from tools.tuning.methods.label_words import encode, encode_row, word_ids
from tools.tuning.methods.language_model import (
    LanguageModelMethod,
    open_known,
    open_model,
    read_json,
    seconds_of,
    some,
    texts_of,
    truths,
    write_json,
)
from tools.tuning.neighbours import Neighbours, Vectors
from tools.tuning.task import Task

FILE = "examples.json"
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
        if task.kind == "classification":
            self.design: Design = design(
                task, self.settings["template"], self.settings["verbalizer"]
            )
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
            "template": "label",
            "verbalizer": "names",
            "calibration": "auto",  # or none, prior
            "choose_rows": 32,  # labelled rows to choose the calibration by
            "longest": 512,  # tokens of examples and text together
            "encoder": "minilm-l6",
        }

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"examples": 8}] if rows >= 8 else [{}]

    def cost(self, rows: int, tokens: int, bench: Bench) -> Cost:
        shown = min(int(self.settings["longest"]), (int(self.settings["examples"]) + 1) * tokens)
        judged = min(rows, int(self.settings["choose_rows"]))
        # The small encoder reads every row once; it has a sixth of the default model's weights.
        return Cost(seconds_of(judged * shown + rows * tokens / 6, bench), 60_000 * BATCH_TOKENS)

    def fit(self, train: Sequence[Example], dev: Sequence[Example], bench: Bench) -> None:
        self._examples = texts_of(train)
        if not self._examples:
            raise MethodUnsuitable("few_shot needs labelled examples to show")
        self._open(bench)
        self._embedder = load_embedder(self.settings["encoder"], bench.home, device=bench.device)
        vectors = []
        for start in range(0, len(self._examples), SLAB):
            bench.check()
            vectors.append(
                self._vectors_of([e.input for e in self._examples[start : start + SLAB]])
            )
            bench.on_progress(Progress("encode", start, len(self._examples)))
        self._vectors = np.concatenate(vectors)
        self._calibrate(texts_of(dev), bench)

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
        write_json(
            folder / FILE,
            {
                "calibration": self.calibration,
                "offsets": self._offsets.tolist(),
                "examples": [
                    [e.input.text, e.input.pair, list(e.labels), e.line] for e in self._examples
                ],
            },
        )
        save_file({"vectors": self._vectors}, folder / VECTORS)

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        about = read_json(folder / FILE)
        try:
            self._vectors = load_file(folder / VECTORS)["vectors"]
            self._examples = [
                TextExample(TextInput(text, pair), tuple(labels), line)
                for text, pair, labels, line in about["examples"]
            ]
            self.calibration = about["calibration"]
            self._offsets = np.array(about["offsets"], dtype=float)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise SkillError(f"the examples in {folder} are broken: {error}") from error
        self._open(bench, base)
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

    def _open(self, bench: Bench, base: Mapping[str, Any] | None = None) -> None:
        self._opened = open_model(bench) if base is None else open_known(bench, base)
        words = word_ids(self.opened.tokenizer, self.design.lead, self.design.words)
        self._scorer = LabelScorer(self.opened.reader, self.head_ids(self.design), words)

    def _calibrate(self, dev: Sequence[TextExample], bench: Bench) -> None:
        """Chosen on dev; without one, on training rows that are not shown to themselves."""
        assert self._scorer is not None
        asked = self.settings["calibration"]
        count = int(self.settings["choose_rows"])
        if dev:
            judged = some(dev, count, bench.seed)
            chosen = self._chosen([example.input for example in judged])
        else:
            places = some(range(len(self._examples)), count, bench.seed)
            judged = [self._examples[i] for i in places]
            chosen = [self._nearest(self._vectors[i], without=i) for i in places]
        rows = [self._prompt(e.input, found) for e, found in zip(judged, chosen, strict=True)]
        self.calibration, self._offsets, fits = calibration.choose(
            {},
            self._margins(self._scorer.scores(rows, bench.check)),
            truths(self.task, judged),
            multi_label=self.task.multi_label,
            kinds=CALIBRATIONS if asked == "auto" else (asked,),
        )
        note = f"{self.design.name}, calibration {self.calibration}"
        bench.on_progress(
            Progress("select", 1, 1, loss=-fits.log_likelihood, score=fits.hits, note=note)
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
