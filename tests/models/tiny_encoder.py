"""Tiny random sentence encoders, laid out as sentence-transformers saves them."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel

from tests.models.tiny import tokenizer

HIDDEN = 32
WINDOW = 24


def write_encoder(
    folder: Path,
    *,
    pooling: dict[str, Any] | None = None,
    normalise: bool = True,
    window: int | None = WINDOW,
    dense: int | None = None,
    prompts: dict[str, str] | None = None,
    modules: bool = True,
    seed: int = 0,
) -> Path:
    """A BERT of two layers with a byte-level tokenizer that has no marks at a text's ends."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=384,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    if not modules:
        return folder
    steps = [("Transformer", ""), ("Pooling", "1_Pooling")]
    step(folder, "1_Pooling", pooling or {"pooling_mode_mean_tokens": True})
    if dense is not None:
        steps.append(("Dense", "2_Dense"))
        write_dense(folder, dense)
    if normalise:
        steps.append(("Normalize", "3_Normalize"))
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(steps)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    settings = {"max_seq_length": window, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    if prompts is not None:
        named = {"prompts": prompts, "default_prompt_name": None}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(named))
    return folder


def step(folder: Path, name: str, config: dict[str, Any]) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "config.json").write_text(json.dumps(config))


def write_dense(folder: Path, outputs: int) -> None:
    from safetensors.torch import save_file

    config = {
        "in_features": HIDDEN,
        "out_features": outputs,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    step(folder, "2_Dense", config)
    weights = {"linear.weight": torch.randn(outputs, HIDDEN), "linear.bias": torch.randn(outputs)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
