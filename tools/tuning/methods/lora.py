"""lora: low-rank updates of every linear layer of the language model; on CUDA over 4-bit weights.

The instruction that stands before every row is read once a pass, with gradients, and not once a
row. Saved as PEFT saves it, so that PEFT and `models/adapters.py` load it.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from models.adapters import CARD, WEIGHTS, TorchAdapters
from models.errors import ModelUnavailable
from models.load import Quant
from tools.tuning.errors import SkillError
from tools.tuning.examples import TextExample, TextInput
from tools.tuning.methods import key_values
from tools.tuning.methods.base import Bench, Progress, Words
from tools.tuning.methods.key_values import KeyValues
from tools.tuning.methods.label_tuning import COMMON, LabelTuning, Weights
from tools.tuning.methods.language_model import Opened, open_known, open_model
from tools.tuning.methods.soft_rows import read_rows
from tools.tuning.methods.tuned_rows import FrontRows, Rows, front_rows
from tools.tuning.task import Task

ADAPTER = "tuned"
PEFT_PREFIX = "base_model.model."
"""What PEFT puts before the name of every weight that it saves."""


class Lora(LabelTuning):
    """LoRA, and QLoRA with the setting `quant`."""

    name: ClassVar[str] = "lora"
    rung: ClassVar[int] = 60
    passes: ClassVar[int] = 3

    def __init__(self, task: Task, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(task, settings)
        self._config: Any = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            **COMMON,
            "r": 8,  # enough for 16 to 1000 labels
            "alpha": 16,
            "dropout": 0.1,
            "lr": 3e-4,  # of 1e-4 to 1e-3; about ten times that of full fine-tuning (TRL's guide)
            "steps": 400,
            "epochs": 20,
            "head": True,  # the instruction before each row
            "quant": None,  # or 4bit, on CUDA with the extra `quant`
        }

    @classmethod
    def words(cls) -> Words:
        return {**super().words(), "quant": (None, "4bit")}

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"lr": 1e-3}, {"lr": 1e-4}]

    @property
    def quant(self) -> Quant | None:
        return cast("Quant | None", self.settings["quant"])

    def open(self, bench: Bench) -> Opened:
        return open_model(bench, self.quant)

    def reopen(self, bench: Bench, base: Mapping[str, Any], folder: Path) -> Opened:
        return open_known(bench, base, self.quant)

    def begin(self, train: Sequence[TextExample], bench: Bench) -> None:
        if self._config is None:
            self._inject(bench.seed)
        if bench.start is not None:
            self._warm(bench)

    def weights(self) -> Weights:
        return {
            name: weight
            for name, weight in self.opened.reader.model.named_parameters()
            if weight.requires_grad
        }

    def prepare(self, texts: Sequence[TextInput], *, once: bool = False) -> Rows:
        limit = self.row_limit(int(self.settings["longest"]), self.design)
        rows = front_rows(self.opened, self.design, texts, limit, begin=not self.settings["head"])
        if self.settings["head"] and not self._shares_head:
            head = self.head_ids(self.design)
            ids = [[*head, *row] for row in rows.ids]
            return FrontRows([len(row) for row in ids], ids)
        return rows

    def read(self, rows: Rows, places: Sequence[int]) -> Tensor:
        assert isinstance(rows, FrontRows)
        reader = self.opened.reader
        past = self._head() if self.settings["head"] and self._shares_head else None
        return read_rows(reader, rows.batch(places, reader.device), past=past)

    def mode(self, *, training: bool) -> None:
        """The adapter's dropout alone is switched: that of the frozen model stays off."""
        for name, module in self.opened.reader.model.named_modules():
            if "lora_dropout" in name:
                module.train(training)

    def save_tuned(self, folder: Path) -> None:
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(
            self.opened.reader.model,
            adapter_name=self._layer_name,
            save_embedding_layers=False,  # else PEFT asks the hub for the base model's config
        )
        tensors = {
            f"{PEFT_PREFIX}{name}": weight.detach().float().cpu().contiguous()
            for name, weight in state.items()
        }
        save_file(tensors, folder / WEIGHTS)
        self._config.inference_mode = True
        self._config.save_pretrained(str(folder))
        card = {"base_digest": self.opened.trainable.digest}
        (folder / CARD).write_text(json.dumps(card) + "\n", "utf-8")

    def load_tuned(self, folder: Path, facts: Mapping[str, Any], bench: Bench) -> None:
        from peft import PeftConfig

        trainable = self.opened.trainable
        adapters = TorchAdapters(trainable.model, trainable.digest)
        try:
            adapters.load(ADAPTER, folder)
            adapters.switch(ADAPTER)
            self._config = PeftConfig.from_pretrained(str(folder))
        except ModelUnavailable as error:
            raise SkillError(str(error)) from error
        broken = [
            name
            for name, weight in trainable.model.named_parameters()
            if "lora_" in name and not bool(weight.isfinite().all())
        ]
        if broken:
            raise SkillError(f"{folder / WEIGHTS} has numbers in {broken[0]} that are none")

    def _inject(self, seed: int) -> None:
        """Puts new layers into the model, which at first change nothing."""
        from peft import LoraConfig, TaskType, inject_adapter_in_model

        model = self.opened.reader.model
        self._config = LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            base_model_name_or_path=self.opened.trainable.name,
            r=int(self.settings["r"]),
            lora_alpha=int(self.settings["alpha"]),
            # PEFT has no dropout before weights that are one block for all experts.
            lora_dropout=0.0 if _has_expert_blocks(model) else float(self.settings["dropout"]),
            # Every linear layer but the head: attention alone is worse at as many weights.
            target_modules=_linear_layers(model),
            fan_in_fan_out=_is_transposed(model),
        )
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # PEFT adds patterns for blocks of experts by itself, and warns of those in vain.
            warnings.filterwarnings("ignore", ".*pattern keys did not match", RuntimeWarning)
            torch.manual_seed(seed)
            inject_adapter_in_model(self._config, model, ADAPTER)
        for weight in self.weights().values():
            weight.data = weight.data.float()

    @property
    def _layer_name(self) -> str:
        return str(next(iter(self.opened.reader.model.peft_config)))

    @property
    def _shares_head(self) -> bool:
        return key_values.can_be_kept(self.opened.reader.model)

    def _head(self) -> KeyValues:
        """The instruction as the model reads it now; one row."""
        ids = torch.tensor([self.head_ids(self.design)], device=self.opened.reader.device)
        cache = key_values.empty()
        at = torch.tensor([ids.shape[1] - 1], device=ids.device)
        self.opened.reader.hidden(at, input_ids=ids, past_key_values=cache)
        return key_values.of_cache(cache)

    def _warm(self, bench: Bench) -> None:
        """Begins as the adapter of another skill, where its layers are these."""
        from peft import set_peft_model_state_dict
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        assert bench.start is not None
        try:
            found = load_file(bench.start / WEIGHTS)
            plain = {name.removeprefix(PEFT_PREFIX): weight for name, weight in found.items()}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result: Any = set_peft_model_state_dict(self.opened.reader.model, plain, ADAPTER)
            if result.unexpected_keys or any("lora_" in key for key in result.missing_keys):
                raise ValueError("it has other layers")
        except (OSError, SafetensorError, ValueError, RuntimeError, KeyError) as error:
            bench.on_progress(Progress("encode", note=f"begins anew: {error}"))
            return
        bench.on_progress(Progress("encode", note=f"begins as {bench.start.name}"))


def _linear_layers(model: Any) -> list[str]:
    """The last names of all layers that LoRA can be put on, but the head and the embeddings."""
    head = model.get_output_embeddings()
    kinds = (torch.nn.Linear, Conv1D)  # those of bitsandbytes are sub-classes of Linear
    names = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, kinds) and module is not head
    }
    return sorted(names)


def _is_transposed(model: Any) -> bool:
    """Its layers keep their weights the other way round, as GPT-2's do."""
    return any(isinstance(module, Conv1D) for module in model.modules())


def _has_expert_blocks(model: Any) -> bool:
    return any(w.ndim == 3 and "experts" in name for name, w in model.named_parameters())
