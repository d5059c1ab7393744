"""Reads from a model folder how its sentence vectors are made: pooling, layers, normalisation.

Folders of sentence-transformers say so in `modules.json`; a folder without one is pooled by the
mean and normalised. The folder is untrusted: only names of steps that are listed here are taken.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from models.errors import ModelUnavailable
from models.untrusted import check_folder, check_safetensors, plain_json, refuse_code

Pooling = Literal["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid")
STEP_LIMIT = 100_000
"""Bytes of a small configuration file; real ones have a few hundred."""

_OLD_KEYS: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""In the order in which sentence-transformers joins several."""
_STEP_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|")


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer behind the pooling; its weights lie in `folder`."""

    folder: Path
    inputs: int
    outputs: int
    bias: bool
    activation: str


@dataclass(frozen=True, slots=True)
class SentenceFolder:
    """How the vectors of one model folder are made."""

    network: Path
    """The folder of the transformer itself."""
    config: dict[str, Any]
    """The transformer's own configuration."""
    window: int | None = None
    """Tokens that are read of a text; None where only the transformer sets a limit."""
    lower_case: bool = False
    pooling: tuple[Pooling, ...] = ("mean",)
    """Several are put one behind the other."""
    dense: tuple[Dense, ...] = ()
    normalise: bool = True
    query_prompt: str = ""
    """Put before a text that is searched for."""
    document_prompt: str = ""
    """Put before a text that is stored."""


def read_sentence_folder(folder: Path) -> SentenceFolder:
    """What the folder says.

    Raises:
        ModelUnavailable: something in it may run code, is broken, or is a step not known here.
    """
    if not (folder / "modules.json").exists():
        return SentenceFolder(folder, check_folder(folder))
    refuse_code(folder)
    steps = [_step(folder, step) for step in _steps(folder)]
    kinds = [kind for kind, _ in steps]
    middle = kinds[2:-1] if kinds[-1] == "Normalize" else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or set(middle) - {"Dense"}:
        raise ModelUnavailable(
            f"{folder / 'modules.json'} lists the steps {', '.join(kinds)}; only Transformer, "
            "Pooling, Dense and Normalize, in this order, are known here: take another model"
        )
    network = steps[0][1]
    settings = _transformer_settings(network)
    window = settings.get("max_seq_length")
    query, document = _prompts(folder)
    pooling, with_prompt = _pooling(steps[1][1])
    if (query or document) and not with_prompt:
        raise ModelUnavailable(
            f"{folder} leaves its prompts out of the pooling, which is not known here: take "
            "another model"
        )
    return SentenceFolder(
        network=network,
        config=check_folder(network),
        window=window if isinstance(window, int) and window > 0 else None,
        lower_case=settings.get("do_lower_case") is True,
        pooling=pooling,
        dense=tuple(_dense(path) for kind, path in steps if kind == "Dense"),
        normalise=kinds[-1] == "Normalize",
        query_prompt=query,
        document_prompt=document,
    )


def _steps(folder: Path) -> list[dict[str, Any]]:
    listed = plain_json(folder / "modules.json", STEP_LIMIT, list)
    if not listed or not all(isinstance(step, dict) for step in listed):
        raise ModelUnavailable(f"{folder / 'modules.json'} lists no steps; fetch it again")
    return listed


def _step(folder: Path, step: dict[str, Any]) -> tuple[str, Path]:
    """The step's kind, its class name without the module, and its folder."""
    kind, path = str(step.get("type", "")).rpartition(".")[2], step.get("path", "")
    if not isinstance(path, str) or not _STEP_PATH.fullmatch(path):
        raise ModelUnavailable(
            f"{folder / 'modules.json'} points to {str(path)[:80]!r}, which is no folder's name; "
            "take another copy of the model"
        )
    return kind, folder / path if path else folder


def _transformer_settings(network: Path) -> dict[str, Any]:
    """`sentence_bert_config.json`, or its namesake for another kind of network."""
    for path in sorted(network.glob("sentence_*_config.json")):
        return plain_json(path, STEP_LIMIT)
    return {}


def _pooling(folder: Path) -> tuple[tuple[Pooling, ...], bool]:
    """How tokens are joined, and whether those of a prompt are among them."""
    config = plain_json(folder / "config.json", STEP_LIMIT)
    named = config.get("pooling_mode")
    if named is None:
        found = tuple(mode for key, mode in _OLD_KEYS.items() if config.get(key) is True)
    else:
        names = [named] if isinstance(named, str) else named
        found = tuple(mode for mode in POOLINGS if isinstance(names, list) and mode in names)
        if not isinstance(names, list) or len(found) != len(names):
            found = ()
    if not found:
        raise ModelUnavailable(
            f"{folder / 'config.json'} names no pooling known here ({', '.join(POOLINGS)})"
        )
    return found, config.get("include_prompt", True) is True


def _dense(folder: Path) -> Dense:
    config = plain_json(folder / "config.json", STEP_LIMIT)
    inputs, outputs = config.get("in_features"), config.get("out_features")
    activation = str(config.get("activation_function", "Identity")).rpartition(".")[2]
    sizes_fit = all(isinstance(size, int) and 0 < size <= 65_536 for size in (inputs, outputs))
    if not sizes_fit or activation not in ACTIVATIONS:
        raise ModelUnavailable(
            f"{folder / 'config.json'} describes no layer known here (activations: "
            f"{', '.join(ACTIVATIONS)})"
        )
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelUnavailable(f"{folder} holds no model.safetensors; fetch the model again")
    check_safetensors(weights)
    return Dense(
        folder, int(inputs or 0), int(outputs or 0), config.get("bias") is True, activation
    )


def _prompts(folder: Path) -> tuple[str, str]:
    """What the model wants put before a query and before a document; empty where nothing."""
    path = folder / "config_sentence_transformers.json"
    if not path.exists():
        return "", ""
    config = plain_json(path, STEP_LIMIT)
    prompts = config.get("prompts")
    if not isinstance(prompts, dict):
        return "", ""
    default = config.get("default_prompt_name")

    def named(*names: object) -> str:
        return next((str(prompts[name]) for name in names if prompts.get(name)), "")

    return named("query", default), named("document", "passage", "corpus", default)
