"""Encoders opened for a method, and the files that a tuned one leaves: safetensors and JSON."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models import catalogue
from models.errors import ModelUnavailable
from models.sentence_folder import POOLINGS, SentenceFolder
from models.trainable import Trainable, load_encoder
from tools.tuning.errors import SkillError
from tools.tuning.methods.base import Bench
from tools.tuning.methods.facts import read_facts, write_facts

FACTS_FILE = "encoder.json"
"""How a tuned encoder pools, beside its weights."""


def open_encoder(bench: Bench) -> Trainable:
    """The encoder of the bench.

    Raises:
        ModelUnavailable: it is not there, or no encoder.
        OutOfMemory: it does not fit.
    """
    return load_encoder(bench.base, bench.home, bench.device)


def facts_of(base: Trainable, bench: Bench) -> dict[str, Any]:
    """What a skill notes down of its encoder, and the name that finds it again."""
    asked = bench.base or catalogue.EMBEDDER
    if asked.startswith((".", "~")):
        asked = str(Path(asked).expanduser().resolve())
    return {**base.facts, "asked": asked}


def open_known_encoder(bench: Bench, facts: Mapping[str, Any]) -> Trainable:
    """The encoder that a skill was made for.

    Raises:
        SkillError: it is not there, or what is there has other weights or another tokenizer.
    """
    asked = bench.base or str(facts.get("asked") or facts.get("name"))
    try:
        base = load_encoder(asked, bench.home, bench.device)
    except ModelUnavailable as error:
        raise SkillError(f"the skill needs the encoder `{asked}`: {error}") from error
    check_base(base.facts, facts, asked)
    return base


def check_base(found: Mapping[str, Any], wanted: Mapping[str, Any], asked: str) -> None:
    """Raises SkillError where weights or tokenizer are not those that the skill was made for."""
    for key, what in (("digest", "weights"), ("tokenizer_digest", "tokenizer")):
        if found.get(key) != wanted.get(key):
            raise SkillError(
                f"the skill was made for the {what} {str(wanted.get(key))[:12]} of "
                f"`{wanted.get('name')}`, but `{asked}` has {str(found.get(key))[:12]}; name its "
                "own encoder with --base, or tune it again"
            )


def save_tuned_encoder(folder: Path, base: Trainable) -> None:
    """A whole encoder and its tokenizer as transformers saves them, and how it pools."""
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    assert base.sentence is not None
    about = {
        "pooling": base.sentence.pooling,
        "lower_case": base.sentence.lower_case,
        "window": base.window,
    }
    write_facts(folder / FACTS_FILE, about)


def load_tuned_encoder(folder: Path, bench: Bench) -> Trainable:
    """What `save_tuned_encoder` wrote; no other model is needed for it.

    Raises:
        SkillError: a file is missing or broken.
    """
    about = read_facts(folder / FACTS_FILE)
    pooling = tuple(mode for mode in POOLINGS if mode in about.get("pooling", ()))
    if not pooling:
        raise SkillError(f"{folder / FACTS_FILE} names no pooling")
    try:
        base = load_encoder(str(folder.resolve()), bench.home, bench.device)
    except ModelUnavailable as error:
        raise SkillError(f"{folder} holds no sound encoder: {error}") from error
    lower_case = about.get("lower_case") is True
    window = min(base.window, int(about.get("window") or base.window))
    sentence = SentenceFolder(folder, {}, pooling=pooling, lower_case=lower_case)
    return replace(base, sentence=sentence, window=window)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """One safetensors file; the numbers are copied to the computer's own memory first."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(kept, path, metadata={"format": "pt"})


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Raises SkillError where the file is missing, broken or holds NaN or Inf."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SkillError(f"{path} is missing or broken: {error}") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise SkillError(f"{path}: the tensor {name} holds values that are not numbers")
    return tensors
