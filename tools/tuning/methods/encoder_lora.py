"""LoRA over a frozen encoder: small matrices beside every linear layer, a head on top.

The skill is some megabytes: `adapter_model.safetensors` and `adapter_config.json` as PEFT loads
them, and `head.safetensors`. It needs the encoder that it was tuned for.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tools.tuning.errors import SkillError
from tools.tuning.methods.base import Bench
from tools.tuning.methods.encoder import HEAD_FILE, Encoder
from tools.tuning.methods.encoder_files import open_known_encoder, read_tensors, write_tensors
from tools.tuning.task import Task

ADAPTER = "adapter_model.safetensors"


class EncoderLora(Encoder):
    """Low-rank updates of the encoder's linear layers are trained, and the head."""

    name: ClassVar[str] = "encoder_lora"
    rung: ClassVar[int] = 45
    trained_share: ClassVar[float] = 0.05

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {
            **super().defaults(),
            "lr": 2e-3,  # PEFT's notebook for token classification; 1e-4 to 1e-3 for larger models
            "head_lr": 2.0,
            "shape_lr": 2.0,
            # Wikigold, 400 sentences, 75 steps: 0.70 with 16, 0.65 with 8; 2.7 MB over MiniLM.
            "r": 16,
            "alpha": 32,
            "lora_dropout": 0.1,
        }

    @classmethod
    def grid(cls, task: Task, rows: int) -> list[dict[str, Any]]:
        return [{}, {"lr": 7e-4}, {"r": 8, "alpha": 16}]

    def wrapped(self, encoder: Any) -> Any:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=int(self.settings["r"]),
            lora_alpha=int(self.settings["alpha"]),
            lora_dropout=float(self.settings["lora_dropout"]),
            target_modules="all-linear",
            exclude_modules=r".*pooler.*",
        )
        with warnings.catch_warnings():  # peft asks transformers for an attribute's old name
            warnings.simplefilter("ignore", FutureWarning)
            return get_peft_model(encoder, config)

    def save_weights(self, folder: Path) -> None:
        from peft import get_peft_model_state_dict

        wrapped = self.labeller.network.encoder
        config = wrapped.peft_config["default"]
        config.base_model_name_or_path = self._base.name  # not a folder of this machine
        config.inference_mode = True
        config.save_pretrained(str(folder))
        write_tensors(
            folder / ADAPTER, get_peft_model_state_dict(wrapped, save_embedding_layers=False)
        )
        write_tensors(folder / HEAD_FILE, self.labeller.network.top())

    def load_weights(self, folder: Path, bench: Bench, base: Mapping[str, Any]) -> None:
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        self._rebuild(folder, open_known_encoder(bench, base), base)
        wrapped = self.labeller.network.encoder
        tensors = read_tensors(folder / ADAPTER)
        if set(tensors) != set(get_peft_model_state_dict(wrapped, save_embedding_layers=False)):
            raise SkillError(f"{folder / ADAPTER} does not fit the encoder that it names")
        try:
            set_peft_model_state_dict(wrapped, tensors)
        except RuntimeError as error:
            first = " ".join(str(error).split())[:200]
            raise SkillError(f"{folder / ADAPTER} does not fit its encoder: {first}") from error
