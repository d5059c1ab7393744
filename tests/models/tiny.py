"""Tiny random language models and their tokenizer, laid out like a hub on disk.

`publish` writes a model the way `save_pretrained` does, so that tests load it as a user would: from
a folder, with `local_files_only`. All weights are float32 and a few thousand numbers.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from models.torch_network import TorchNetwork

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    '{"name": "read_file", "arguments": {"path": "data/tickets.csv"}}',
    '{"name": "write_file", "arguments": {"path": "out/refunds.txt", "text": "12"}}',
    "Read the tickets, count the rows that mention a refund, and write the number.",
    "The quick brown fox jumps over the lazy dog. Grüße aus Köln, 你好 世界, 👋🏽",
]

_SMALL = {
    "vocab_size": 384,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
_GPT2 = {"vocab_size": 384, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 2048}
_ENDS = {"bos_token_id": 0, "eos_token_id": 0}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": _SMALL,
    "qwen2": _SMALL,
    "qwen3": _SMALL,
    "mistral": {**_SMALL, "sliding_window": 16},
    "gemma3_text": {
        **_SMALL,
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "phi3": {**_SMALL, "sliding_window": 16},
    "gpt2": {**_GPT2, **_ENDS},
    "lfm2": {**_SMALL, "layer_types": ["conv", "full_attention"]},
    "qwen3_next": {
        **_SMALL,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "falcon_h1": {
        **_SMALL,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 16,
    },
}
RECURRENT = ("lfm2", "qwen3_next", "falcon_h1")


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 384 tokens, trained on a few lines."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS * 4, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, eos_token="<|endoftext|>", chat_template=TEMPLATE
    )


def publish(hub: Path, kind: str, *, seed: int = 0) -> Path:
    """Writes a random model of that architecture into the hub folder; returns its folder."""
    folder = hub / kind
    if not (folder / "config.json").exists():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(kind, **CONFIGS[kind])
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for weight in model.parameters():  # larger than usual: random models repeat one token
                if weight.ndim > 1:
                    weight.mul_(8)
        model.float().save_pretrained(folder)
        tokenizer().save_pretrained(folder)
    return folder


def load(folder: Path) -> TorchNetwork:
    """Loads a published model as a user would."""
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    hub_tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return TorchNetwork(model, hub_tokenizer, name=folder.name, digest=f"digest of {folder.name}")
