"""Adapters of a transformers model: LoRA weights and soft prompts, by name, one at a time.

A folder in PEFT's format is an adapter: `adapter_config.json` and `adapter_model.safetensors`. Only
safetensors are read, nothing that could hold code. A `tuneward.json` beside them may name the base
model's digest, which is then compared. LoRA layers are put into the model and switched; a soft
prompt is a few learned vectors that are read before the first token.
"""

import json
import re
import warnings
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.errors import ModelError, ModelUnavailable

WEIGHTS = "adapter_model.safetensors"
CARD = "tuneward.json"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One loaded adapter."""

    key: str
    """Hash of its files: changes when other weights are loaded under the same name."""
    layer_name: str | None
    """What PEFT's layers know a LoRA adapter by; None for a soft prompt."""
    soft_prompt: torch.Tensor | None
    """Learned vectors, one row for each virtual token; None for LoRA."""


class TorchAdapters:
    """The adapters of one model."""

    def __init__(self, model: Any, base_digest: str) -> None:
        self._model = model
        self._base_digest = base_digest
        self._adapters: dict[str, Adapter] = {}
        self._loaded = 0
        self._active: str | None = None  # layer name of the LoRA adapter that is switched on

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters that are loaded."""
        return tuple(self._adapters)

    def load(self, name: str, folder: Path) -> None:
        """Loads an adapter; replaces one of the same name only once the new one is complete."""
        config, weights, key = self._read(name, folder)
        prompt = weights.get("prompt_embeddings")
        if config.peft_type.value == "LORA":
            adapter = Adapter(key, self._inject(name, config, weights), None)
        elif config.peft_type.value in ("PROMPT_TUNING", "P_TUNING") and prompt is not None:
            self._check_width(name, prompt)
            adapter = Adapter(key, None, prompt)
        else:
            kind = config.peft_type.value
            raise ModelUnavailable(
                f"adapter {name!r} in {folder} is of the kind {kind}; "
                "LORA, PROMPT_TUNING and P_TUNING are supported"
            )
        self.remove(name)
        self._adapters[name] = adapter

    def remove(self, name: str) -> None:
        """Forgets an adapter, if it is there."""
        adapter = self._adapters.pop(name, None)
        if adapter is not None and adapter.layer_name is not None:
            self._eject(adapter.layer_name)

    def key(self, name: str | None) -> str:
        """Hash of the adapter's files; "" for the base model."""
        return "" if name is None else self._get(name).key

    def switch(self, name: str | None) -> torch.Tensor | None:
        """Makes the model run through this adapter alone; returns its soft prompt, if it is one."""
        adapter = None if name is None else self._get(name)
        wanted = None if adapter is None else adapter.layer_name
        if wanted != self._active:
            self._activate(wanted)
        return None if adapter is None else adapter.soft_prompt

    def _get(self, name: str) -> Adapter:
        if name not in self._adapters:
            known = ", ".join(sorted(self._adapters)) or "none"
            raise ModelError(f"no adapter named {name!r} is loaded (loaded: {known})")
        return self._adapters[name]

    def _read(self, name: str, folder: Path) -> tuple[Any, dict[str, torch.Tensor], str]:
        from peft import PeftConfig

        for file in ("adapter_config.json", WEIGHTS):
            if not (folder / file).is_file():
                raise ModelUnavailable(f"adapter {name!r}: {folder / file} is missing")
        try:
            self._check_base(name, folder)
            config = PeftConfig.from_pretrained(str(folder))
            weights = load_file(folder / WEIGHTS)
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise ModelUnavailable(f"adapter {name!r} in {folder} is broken: {error}") from error
        key = sha256((folder / "adapter_config.json").read_bytes())
        key.update((folder / WEIGHTS).read_bytes())
        return config, weights, key.hexdigest()

    def _check_base(self, name: str, folder: Path) -> None:
        card = folder / CARD
        base = json.loads(card.read_text("utf-8")).get("base_digest") if card.is_file() else None
        if base is not None and base != self._base_digest:
            raise ModelUnavailable(
                f"adapter {name!r} in {folder} was tuned on the model {base[:12]}, "
                f"not on this one ({self._base_digest[:12]}); tune it again or load its own model"
            )

    def _check_width(self, name: str, prompt: torch.Tensor) -> None:
        width = self._model.get_input_embeddings().weight.shape[-1]
        if prompt.ndim != 2 or prompt.shape[1] != width:
            raise ModelUnavailable(
                f"soft prompt {name!r} has the shape {tuple(prompt.shape)}; "
                f"this model needs vectors of {width} numbers"
            )

    def _inject(self, name: str, config: Any, weights: dict[str, torch.Tensor]) -> str:
        """Puts LoRA layers into the model; returns the name that the layers got."""
        from peft import inject_adapter_in_model, set_peft_model_state_dict

        self._loaded += 1
        layer_name = f"adapter_{self._loaded}"
        config.inference_mode = True
        plain = {re.sub(r"^base_model\.model\.", "", key): value for key, value in weights.items()}
        try:
            with warnings.catch_warnings():
                # Several adapters in one model is what is wanted here.
                warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
                inject_adapter_in_model(config, self._model, layer_name)
            result: Any = set_peft_model_state_dict(self._model, plain, layer_name)
            missing = [key for key in result.missing_keys if layer_name in key]
            if missing or result.unexpected_keys:
                wrong = [*missing, *result.unexpected_keys]
                raise ValueError(f"{len(wrong)} weights do not match the model, such as {wrong[0]}")
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            self._eject(layer_name)
            raise ModelUnavailable(f"adapter {name!r} does not fit this model: {error}") from error
        self._model.eval()
        self._activate(self._active)  # PEFT switches a new adapter on
        return layer_name

    def _activate(self, layer_name: str | None) -> None:
        from peft.functional import set_adapter

        self._active = layer_name
        if layer_name is not None:
            set_adapter(self._model, layer_name, inference_mode=True)
        for layer in self._switches():
            layer.enable_adapters(layer_name is not None)

    def _eject(self, layer_name: str) -> None:
        from peft.functional import delete_adapter

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Adapter .* was active", UserWarning)
            delete_adapter(self._model, layer_name, prefix="lora_")
        getattr(self._model, "peft_config", {}).pop(layer_name, None)
        # PEFT switches another one on instead.
        self._activate(None if self._active == layer_name else self._active)

    def _switches(self) -> list[Any]:
        """Everything that an adapter put into the model."""
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper

        kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
        return [module for module in self._model.modules() if isinstance(module, kinds)]
