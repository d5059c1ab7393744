"""soft_prompt: learns a few vectors that are read as if they were words; the model stays as it is.

    front    [soft prompt][row]                       the layout of PEFT, the whole row in each step
    suffix   [instruction][text] | [soft prompt][lead]     what is left of | is read once and kept

In front, a step reads the text anew, since it depends on the prompt. As a suffix the prompt stands
between the text and the words that lead to its label, so a step reads prompt and lead only. Both
begin as a written instruction, never as random numbers, which do not learn (docs/methods.md).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

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

SUFFIX_FILE = "suffix.safetensors"


class SoftPrompt(LabelTuning):
    """A soft prompt before or after the text."""

    name: ClassVar[str] = "soft_prompt"
    rung: ClassVar[int] = 56

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self._prompt = torch.nn.Parameter(torch.zeros(0, 0))
        self._before: KeyValues | None = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            **COMMON,
            "placement": "suffix",
            "tokens": 20,  # Lester et al. 2021 and OpenPrompt
            "lr": 0.3,  # of an average number of the embedding table; see `rates`
            "steps": 200,  # Channel-LM has 100 at 16 a class, LM-BFF 1000
            "epochs": 50,
        }

    @classmethod
    def words(cls) -> Words:
        return {**super().words(), "placement": PLACEMENTS}

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"lr": 0.1}, {"lr": 1.0}]

    @property
    def is_suffix(self) -> bool:
        return bool(self.settings["placement"] == "suffix")

    def tokens_per_row(self, tokens: int) -> int:
        prompt = int(self.settings["tokens"])
        return prompt + 3 if self.is_suffix else prompt + tokens + 12

    def begin(self, train: Sequence[TextExample], bench: Bench) -> None:
        self._lay_before()
        ids = encode(self.opened.tokenizer, self._first_words())
        wanted = int(self.settings["tokens"])
        ids = (ids * (wanted // len(ids) + 1))[:wanted]
        with torch.no_grad():
            vectors = self.opened.reader.embed(torch.tensor(ids, device=self._tokens.device))
        self._prompt = torch.nn.Parameter(self._warm(vectors.float().clone(), bench))

    def weights(self) -> Weights:
        return {"prompt": self._prompt}

    def rates(self) -> dict[str, float]:
        """Tables differ in size (Gemma scales its own by 25): a rate is a share of its numbers."""
        table = self.opened.reader.model.get_input_embeddings().weight
        with torch.no_grad():
            some = self.opened.reader.embed(
                torch.arange(min(4_096, len(table)), device=table.device)
            )
            return {"prompt": float(some.float().pow(2).mean().sqrt())}

    def prepare(self, texts: Sequence[TextInput], *, once: bool = False) -> Rows:
        limit = self.row_limit(int(self.settings["longest"]), self.design, len(self._prompt))
        if not self.is_suffix:
            return front_rows(self.opened, self.design, texts, limit)
        return kept_rows(self.opened, self.design, texts, limit, self._before, once=once)

    def read(self, rows: Rows, places: Sequence[int]) -> Tensor:
        reader = self.opened.reader
        if isinstance(rows, FrontRows):
            return read_rows(reader, rows.batch(places, reader.device), prompt=self._prompt)
        assert isinstance(rows, KeptRows)
        assert self._before is not None
        texts, lengths = rows.cache.take(places)
        return read_after(reader, [self._before], texts, lengths, rows.lead, prompt=self._prompt)

    def save_tuned(self, folder: Path) -> None:
        facts = self.opened.trainable
        if self.is_suffix:
            save_file({"suffix": self._prompt.detach().cpu().contiguous()}, folder / SUFFIX_FILE)
        else:
            peft_layout.save_prompt(
                folder, self._prompt, facts.model, base=facts.name, digest=facts.digest
            )

    def load_tuned(self, folder: Path, facts: Mapping[str, Any], bench: Bench) -> None:
        self._lay_before()
        self._prompt = torch.nn.Parameter(self._read(folder).float().to(self._tokens.device))

    def _read(self, folder: Path) -> Tensor:
        width = self.opened.reader.model.get_input_embeddings().weight.shape[-1]
        shape = (int(self.settings["tokens"]), int(width))
        if not self.is_suffix:
            return peft_layout.load_prompt(folder, shape)
        try:
            prompt = load_file(folder / SUFFIX_FILE)["suffix"]
        except (OSError, SafetensorError, KeyError) as error:
            raise SkillError(f"{folder / SUFFIX_FILE} is missing or broken: {error}") from error
        if tuple(prompt.shape) != shape or not bool(prompt.isfinite().all()):
            raise SkillError(f"{folder / SUFFIX_FILE} is no soft prompt of the shape {shape}")
        return prompt

    def _warm(self, vectors: Tensor, bench: Bench) -> Tensor:
        """The prompt of the skill to begin from, where there is one that fits."""
        if bench.start is None:
            return vectors
        try:
            found = self._read(bench.start).to(vectors.device)
        except SkillError as error:
            bench.on_progress(Progress("encode", note=f"begins anew: {error}"))
            return vectors
        bench.on_progress(Progress("encode", note=f"begins as {bench.start.name}"))
        return found

    def _lay_before(self) -> None:
        """Reads what stands before every text, once."""
        if self.is_suffix:
            model = self.opened.reader.model
            key_values.check(model, "take placement front, or lora")
            self._before = key_values.read(model, self.head_ids(self.design))

    def _first_words(self) -> str:
        """What the prompt says before it is tuned."""
        return f"\n{self.design.head()}" if self.is_suffix else self.design.head() + BETWEEN
