"""kv_prefix: learns keys and values of each layer that stand before the text, as if it were read.

    front    [kept keys: trained][row]                    the layout of PEFT's prefix tuning
    suffix   [kept keys][text] | [kept keys: trained][lead]    what is left of | is read once

They begin as what the model itself keeps of a written instruction with solved examples, so that the
first state answers as a few-shot prompt does. As a suffix the text is read after the first state
and kept; only the lead to the label is read in a step, and it sees the trained keys instead.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tools.tuning.design import BETWEEN
from tools.tuning.errors import SkillError
from tools.tuning.examples import TextExample, TextInput
from tools.tuning.methods import key_values, peft_layout
from tools.tuning.methods.base import Bench, Progress, Words
from tools.tuning.methods.key_values import KeyValues
from tools.tuning.methods.label_tuning import COMMON, PLACEMENTS, LabelTuning, Weights
from tools.tuning.methods.label_words import encode
from tools.tuning.methods.soft_rows import read_after, read_rows
from tools.tuning.methods.tuned_rows import FrontRows, KeptRows, Rows, front_rows, kept_rows
from tools.tuning.task import Task

SUFFIX_FILE = "prefix.safetensors"


class KVPrefix(LabelTuning):
    """Trained keys and values."""

    name: ClassVar[str] = "kv_prefix"
    rung: ClassVar[int] = 54

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self._context: list[int] = []
        self._layers: list[tuple[torch.nn.Parameter, torch.nn.Parameter]] = []
        self._first: KeyValues | None = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            **COMMON,
            "placement": "suffix",
            "tokens": 128,  # at most; PEFT's best prefix has 50, here the examples must fit
            "lr": 0.03,  # of an average number of what each layer keeps; see `rates`
            "steps": 200,
            "epochs": 50,
        }

    @classmethod
    def words(cls) -> Words:
        return {**super().words(), "placement": PLACEMENTS}

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"lr": 0.1}, {"lr": 0.01}]

    @property
    def is_suffix(self) -> bool:
        return bool(self.settings["placement"] == "suffix")

    def tokens_per_row(self, tokens: int) -> int:
        return 3 if self.is_suffix else tokens + 12

    def begin(self, train: Sequence[TextExample], bench: Bench) -> None:
        key_values.check(self.opened.reader.model, "take lora")
        self._context = self._written(train, bench)
        self._first = key_values.read(self.opened.reader.model, self._context)
        self._take(self._warm(self._first, bench))

    def weights(self) -> Weights:
        return {
            f"{part}.{number:03d}": pair[which]
            for number, pair in enumerate(self._layers)
            for which, part in enumerate(("keys", "values"))
        }

    def rates(self) -> dict[str, float]:
        """Keys and values of each layer have their own size: a rate is a share of their numbers."""
        assert self._first is not None
        return {
            f"{part}.{number:03d}": float(pair[which].float().pow(2).mean().sqrt()) + 1e-6
            for number, pair in enumerate(self._first.layers)
            for which, part in enumerate(("keys", "values"))
        }

    def prepare(self, texts: Sequence[TextInput], *, once: bool = False) -> Rows:
        limit = self.row_limit(int(self.settings["longest"]), self.design, len(self._context))
        if not self.is_suffix:
            return front_rows(self.opened, self.design, texts, limit, begin=False)
        return kept_rows(self.opened, self.design, texts, limit, self._first, once=once)

    def read(self, rows: Rows, places: Sequence[int]) -> Tensor:
        reader = self.opened.reader
        prefix = self.prefix()
        if isinstance(rows, FrontRows):
            return read_rows(reader, rows.batch(places, reader.device), past=prefix)
        assert isinstance(rows, KeptRows)
        texts, lengths = rows.cache.take(places)
        return read_after(reader, [prefix], texts, lengths, rows.lead)

    def prefix(self) -> KeyValues:
        """As it is now, in the model's own number type."""
        kind = self.opened.reader.model.dtype
        return KeyValues(tuple((keys.to(kind), values.to(kind)) for keys, values in self._layers))

    def facts(self) -> dict[str, Any]:
        return {"context": self._context}

    def save_tuned(self, folder: Path) -> None:
        facts = self.opened.trainable
        if self.is_suffix:
            tensors = {name: w.detach().cpu().contiguous() for name, w in self.weights().items()}
            save_file(tensors, folder / SUFFIX_FILE)
        else:
            now = KeyValues(
                tuple((keys.detach(), values.detach()) for keys, values in self._layers)
            )
            peft_layout.save_prefix(folder, now, base=facts.name, digest=facts.digest)

    def load_tuned(self, folder: Path, facts: Mapping[str, Any], bench: Bench) -> None:
        key_values.check(self.opened.reader.model, "take lora")
        try:
            self._context = [int(token) for token in facts["context"]]
            known = len(self.opened.reader.model.get_input_embeddings().weight)
            if not self._context or not 0 <= min(self._context) <= max(self._context) < known:
                raise ValueError("its context is no text of this model")
            self._first = key_values.read(self.opened.reader.model, self._context)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise SkillError(f"the facts in {folder} are broken: {error}") from error
        self._take(self._read(folder, self._first))

    def _read(self, folder: Path, like: KeyValues) -> KeyValues:
        if not self.is_suffix:
            return peft_layout.load_prefix(folder, like.tokens, like)
        try:
            found = load_file(folder / SUFFIX_FILE)
            names = [(f"keys.{i:03d}", f"values.{i:03d}") for i in range(len(like.layers))]
            layers = tuple((found[keys], found[values]) for keys, values in names)
        except (OSError, SafetensorError, KeyError) as error:
            raise SkillError(f"{folder / SUFFIX_FILE} is missing or broken: {error}") from error
        for pair, wanted in zip(layers, like.layers, strict=True):
            for part, model in zip(pair, wanted, strict=True):
                if part.shape != model.shape or not bool(part.isfinite().all()):
                    raise SkillError(f"{folder / SUFFIX_FILE} does not fit this model")
        return KeyValues(layers)

    def _take(self, state: KeyValues) -> None:
        def own(part: Tensor) -> torch.nn.Parameter:
            return torch.nn.Parameter(part.detach().float().to(self._tokens.device).clone())

        self._layers = [(own(keys), own(values)) for keys, values in state.layers]

    def _written(self, train: Sequence[TextExample], bench: Bench) -> list[int]:
        """Instruction and solved examples, one of each label in turn, as many as have room."""
        tokenizer, limit = self.opened.tokenizer, int(self.settings["tokens"])
        ids = self.head_ids(self.design)[:limit]
        order = np.random.default_rng(bench.seed).permutation(len(train))
        by_label: list[list[TextExample]] = [
            [train[i] for i in order if label in train[i].labels] for label in self.task.labels
        ]
        shown = 0
        for turn in zip_longest(*by_label):
            for example in turn:
                if example is None:
                    continue
                labels = [self.task.labels.index(label) for label in example.labels]
                more = encode(tokenizer, self.design.example(example.input, labels) + BETWEEN)
                if len(ids) + len(more) <= limit:
                    ids, shown = [*ids, *more], shown + 1
        note = f"{len(ids)} tokens: the instruction and {shown} examples"
        bench.on_progress(Progress("select", note=note))
        return ids

    def _warm(self, first: KeyValues, bench: Bench) -> KeyValues:
        """The prefix of the skill to begin from, where there is one that fits."""
        if bench.start is None:
            return first
        try:
            found = self._read(bench.start, first)
        except SkillError as error:
            bench.on_progress(Progress("encode", note=f"begins anew: {error}"))
            return first
        bench.on_progress(Progress("encode", note=f"begins as {bench.start.name}"))
        return found
