"""Turns a GGUF file into a folder of safetensors once, so that later loads take seconds.

transformers dequantises a GGUF file at every load (14 s for 135M parameters) and builds its
tokenizer from the metadata (5 to 12 s). The result is kept under `home/models/converted/` by
content hash and number type.
"""

import io
import shutil
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from models.digest import Digests, Progress
from models.errors import ModelUnavailable
from models.pull import locked, need_space, out_of_space_is_clear, put_in_place
from models.quiet import hush

DONE = "converted.txt"


def converted(
    path: Path, home: Path, dtype: str, progress: Progress | None = None
) -> tuple[Path, str]:
    """The folder of safetensors for this GGUF file and the file's sha256; made now if need be."""
    if not path.is_file():
        raise ModelUnavailable(f"there is no model file {path}; check the path")
    models = home / "models"
    digest = Digests(models).of_file(path, progress)
    folder = models / "converted" / f"{digest[:16]}-{dtype}"
    if not (folder / DONE).exists():
        with out_of_space_is_clear(folder.parent):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(folder, progress):
                if not (folder / DONE).exists():
                    _convert(path, folder, dtype, digest, progress)
    return folder, digest


def count_weights(path: Path, home: Path) -> int:
    """How many weights the file holds; reading the file itself takes seconds, so once at most."""
    models = home / "models"
    digest = Digests(models).of_file(path)
    for done in (models / "converted").glob(f"{digest[:16]}-*/{DONE}"):
        counted = done.read_text().split()[1:]
        if counted and counted[0].isdecimal():
            return int(counted[0])
    return check_gguf(path)[2]


def check_gguf(path: Path) -> tuple[str, str, int]:
    """Architecture, kind of pre-tokenizer, number of weights; raises if the file is not sound."""
    from gguf import GGUFReader

    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ModelUnavailable(
                f"{path} is not a GGUF file; give a .gguf file, a folder or a name"
            )
    try:
        reader = GGUFReader(path)
        architecture = _text(reader, "general.architecture")
        splits = _text(reader, "tokenizer.ggml.pre")
        weights = sum(int(tensor.n_elements) for tensor in reader.tensors)
    except (
        Exception
    ) as error:  # the reader has no error type of its own: a cut file gives any of five
        raise ModelUnavailable(
            f"{path} is broken or cut short ({type(error).__name__}: {error}); fetch it again"
        ) from error
    if not architecture or not weights:
        raise ModelUnavailable(
            f"{path} holds no model (no architecture or no tensors); fetch it again"
        )
    return architecture, splits, weights


def _text(reader: Any, key: str) -> str:
    field = reader.get_field(key)
    return str(field.contents()) if field is not None else ""


def _convert(path: Path, folder: Path, dtype: str, digest: str, progress: Progress | None) -> None:
    import torch

    if progress:
        progress(f"preparing {path.name} (once)", 0, None)
    architecture, splits, weights = check_gguf(path)
    number: torch.dtype = getattr(torch, dtype)
    need_space(folder.parent, weights * number.itemsize + 50_000_000, path.name)
    scratch = folder.parent / f".partial-{folder.name}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        _write(path, scratch, number, architecture, splits)
    except (ValueError, KeyError, NotImplementedError, ImportError, RuntimeError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise ModelUnavailable(
            f"{path}: GGUF files of architecture {architecture!r} cannot be read here ({error}); "
            "take the model's safetensors, or serve the file and use openai:MODEL@URL"
        ) from error
    (scratch / DONE).write_text(f"{digest}\n{weights}\n")
    put_in_place(scratch, folder)


def _write(path: Path, folder: Path, number: Any, architecture: str, splits: str) -> None:
    """Tokenizer and weights as a plain folder, from a fresh model.

    One that was read from GGUF may refuse to be saved.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    hush()
    any_model: Any = AutoModelForCausalLM  # `from_config` is not annotated

    tokenizer = AutoTokenizer.from_pretrained(
        path.parent, gguf_file=path.name, local_files_only=True, trust_remote_code=False
    )
    _mend_splits(tokenizer, splits)
    tokenizer.save_pretrained(folder)
    with redirect_stderr(io.StringIO()):  # its bar cannot be switched off
        model = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            local_files_only=True,
            trust_remote_code=False,
            dtype=number,
            quantization_config=GgufConfig(dequantize=True),
        )
    check_numbers(model)
    config = model.config.__class__.from_dict(
        {
            k: v
            for k, v in model.config.to_dict().items()
            if k not in ("quantization_config", "_name_or_path")
        }
    )
    with torch.device("meta"):
        fresh = any_model.from_config(config, dtype=number)
    fresh.load_state_dict(model.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = model.generation_config
    fresh.save_pretrained(folder)


def check_numbers(model: Any) -> None:
    """Every weight is a finite number; else a ValueError."""
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise ValueError(f"the tensor {name} holds values that are not numbers")


def _mend_splits(tokenizer: Any, splits: str) -> None:
    """SmolLM cuts digits apart first; transformers' GGUF reader does not know that rule."""
    if splits != "smollm":
        return
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
