"""Looks a model folder over before any library reads it: a model from elsewhere is untrusted input.

Covered: pickles and code in the folder, `auto_map` and other keys that make a library import code,
model kinds that transformers does not know, quantisations that fetch kernels, broken safetensors
headers. Not covered: what the weights do to the model's words, and hostile regular expressions in
tokenizer.json.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, overload

from models.errors import ModelUnavailable

PICKLES = {
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".npy",
    ".npz",
    ".joblib",
    ".h5",
    ".msgpack",
}
CODE = {".py", ".pyc", ".so", ".dll", ".dylib", ".sh"}
CODE_KEYS = {
    "auto_map",
    "custom_pipelines",
    "trust_remote_code",
    "_attn_implementation_internal",
    "_experts_implementation_internal",
}
HEADER_LIMIT = 100_000_000
CONFIG_LIMIT = 4_000_000
TEMPLATE_LIMIT = 200_000
QUANTISATIONS = {"bitsandbytes"}


def check_folder(folder: Path) -> dict[str, Any]:
    """The folder's config, after everything in the folder was found to be plain data."""
    refuse_code(folder)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelUnavailable(
            f"{folder} holds no *.safetensors weights; give a folder that does, or a GGUF file"
        )
    config = plain_json(folder / "config.json", CONFIG_LIMIT)
    for name in ("tokenizer_config.json", "generation_config.json", "processor_config.json"):
        if (folder / name).exists():
            refuse_code_keys(folder, name, plain_json(folder / name, CONFIG_LIMIT))
    refuse_code_keys(folder, "config.json", config)
    _refuse_quantisation(folder, config)
    template = folder / "chat_template.jinja"
    if template.exists() and template.stat().st_size > TEMPLATE_LIMIT:
        raise ModelUnavailable(
            f"{template} has more than {TEMPLATE_LIMIT:,} bytes; that is no chat template"
        )
    for path in weights:
        check_safetensors(path)
    return config


def refuse_code(folder: Path) -> None:
    """Raises where the folder, or one below it, holds a file that may run code when loaded."""
    if not folder.is_dir():
        raise ModelUnavailable(f"there is no model folder {folder}; check the path")
    for path in sorted(folder.rglob("*")):
        if ".cache" in path.relative_to(folder).parts:
            continue
        if path.suffix.lower() in PICKLES | CODE:
            raise ModelUnavailable(
                f"{folder} holds {path.name}, which may run code when it is loaded; only "
                "safetensors, tokenizer and config files are accepted: take a copy without it "
                "(`tuneward model pull owner/name` fetches only these)"
            )


def check_safetensors(path: Path) -> None:
    """Its header is sound, its tensors do not overlap and end where the file ends."""
    size = path.stat().st_size
    broken = f"{path} is broken ({{}}); delete it and fetch it again"
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
        if not 0 < length <= min(HEADER_LIMIT, size - 8):
            raise ModelUnavailable(broken.format("its header does not fit the file"))
        try:
            header = json.loads(stream.read(length), object_pairs_hook=_unique)
            spans = sorted(
                tuple(v["data_offsets"]) for k, v in header.items() if k != "__metadata__"
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelUnavailable(broken.format(f"its header is not valid: {error}")) from error
    end = 0
    for first, last in spans:
        if first != end or last < first:
            raise ModelUnavailable(broken.format("its tensors overlap or leave gaps"))
        end = last
    if end != size - 8 - length:
        raise ModelUnavailable(
            broken.format(f"its tensors need {end + 8 + length:,} bytes and it has {size:,}")
        )


@overload
def plain_json(path: Path, limit: int) -> dict[str, Any]: ...
@overload
def plain_json(path: Path, limit: int, kind: type[list[Any]]) -> list[Any]: ...
def plain_json(
    path: Path, limit: int, kind: type[dict[str, Any]] | type[list[Any]] = dict
) -> dict[str, Any] | list[Any]:
    """The file's JSON object, or list where `kind` says so; at most `limit` bytes of it."""
    if not path.is_file():
        raise ModelUnavailable(
            f"{path.parent} holds no {path.name}; it is not a whole model folder"
        )
    if path.stat().st_size > limit:
        raise ModelUnavailable(f"{path} has more than {limit:,} bytes; that is no {path.name}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelUnavailable(f"{path} is not valid JSON ({error}); fetch it again") from error
    if not isinstance(value, kind):
        wanted = "object" if kind is dict else "list"
        raise ModelUnavailable(f"{path} is not a JSON {wanted}; fetch it again")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} occurs twice")
        found[key] = value
    return found


def refuse_code_keys(folder: Path, name: str, config: object) -> None:
    """Raises where a JSON value has, at any depth, a key that makes a library run code."""
    for key in _keys(config):
        if key in CODE_KEYS:
            raise ModelUnavailable(
                f"{folder / name} has `{key}`, which makes the loader run code that came with the "
                "model; such models are not loaded. Take one whose kind transformers knows itself"
            )


def _keys(value: Any) -> Iterator[str]:
    """Every key at every depth: nested configs count too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def _refuse_quantisation(folder: Path, config: dict[str, Any]) -> None:
    found = config.get("quantization_config")
    if found is None:
        return
    method = found.get("quant_method") if isinstance(found, dict) else found
    if not isinstance(method, str) or method not in QUANTISATIONS:
        raise ModelUnavailable(
            f"{folder} is quantised with {method!r}, which is not loaded; take the plain weights "
            "(and TUNEWARD_QUANT=4bit on a GPU) or a GGUF file"
        )
