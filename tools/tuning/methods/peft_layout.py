"""Tuned prompts in the folder layout that PEFT loads: `adapter_config.json` and one weights file.

    soft prompt   PROMPT_TUNING   prompt_embeddings [tokens, width]
    key-values    PREFIX_TUNING   prompt_embeddings [tokens, layers x 2 x KV heads x head width]

A `tuneward.json` beside them names the base model's digest, which `models/adapters.py` compares.
Only what stands in front of a text fits this layout; nothing else may be written in it, since it
would be loaded as if it stood there.
"""

import json
from pathlib import Path
from typing import Any

import torch
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.adapters import CARD, WEIGHTS
from tools.tuning.errors import SkillError
from tools.tuning.methods.key_values import KeyValues

KEY = "prompt_embeddings"


def save_prompt(folder: Path, prompt: Tensor, model: Any, *, base: str, digest: str) -> None:
    """A soft prompt of the shape [tokens, width]."""
    config = model.config.get_text_config(decoder=True)
    settings = PromptTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=base,
        num_virtual_tokens=len(prompt),
        token_dim=prompt.shape[1],
        num_transformer_submodules=1,
        num_attention_heads=config.num_attention_heads,
        num_layers=config.num_hidden_layers,
        inference_mode=True,
    )
    _write(folder, settings, prompt, digest)


def save_prefix(folder: Path, prefix: KeyValues, *, base: str, digest: str) -> None:
    """Keys and values of one row; every layer of one shape."""
    heads, tokens, width = prefix.layers[0][0].shape[1:]
    settings = PrefixTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=base,
        num_virtual_tokens=tokens,
        token_dim=heads * width,
        num_transformer_submodules=1,
        num_attention_heads=heads,
        num_layers=len(prefix.layers),
        inference_mode=True,
    )
    parts = [part[0] for layer in prefix.layers for part in layer]  # each [heads, tokens, width]
    flat = torch.stack(parts).permute(2, 0, 1, 3).reshape(tokens, -1)
    _write(folder, settings, flat, digest)


def load_prompt(folder: Path, shape: tuple[int, ...]) -> Tensor:
    """The weights, whatever they are.

    Raises:
        SkillError: they are missing, broken or of another shape.
    """
    try:
        prompt = load_file(folder / WEIGHTS)[KEY]
    except (OSError, SafetensorError, KeyError) as error:
        raise SkillError(f"{folder / WEIGHTS} is missing or broken: {error}") from error
    if tuple(prompt.shape) != shape or not bool(prompt.isfinite().all()):
        raise SkillError(
            f"{folder / WEIGHTS} has the shape {tuple(prompt.shape)} or numbers that are none; "
            f"this model needs {shape}"
        )
    return prompt


def load_prefix(folder: Path, tokens: int, like: KeyValues) -> KeyValues:
    """Keys and values of one row, shaped as the model's.

    Args:
        like: what the model has read of any text; it names layers, heads and widths.
    """
    heads, _, width = like.layers[0][0].shape[1:]
    layers = len(like.layers)
    flat = load_prompt(folder, (tokens, layers * 2 * heads * width))
    parts = flat.view(tokens, layers * 2, heads, width).permute(1, 2, 0, 3)[:, None]
    pairs = [(parts[2 * i], parts[2 * i + 1]) for i in range(layers)]
    return KeyValues(tuple(pairs))


def _write(folder: Path, settings: Any, prompt: Tensor, digest: str) -> None:
    settings.save_pretrained(str(folder))
    save_file({KEY: prompt.detach().float().cpu().contiguous()}, folder / WEIGHTS)
    (folder / CARD).write_text(json.dumps({"base_digest": digest}) + "\n", "utf-8")
