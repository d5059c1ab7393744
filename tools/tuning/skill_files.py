"""The files of a skill's version: which may be there, that they are whole, and that they are data.

`manifest.json` lists every file with its sha256. It is written last, so a folder without one is
unfinished. A skill may come from elsewhere: everything here is read as bytes and JSON by our own
code, before any library opens it.

Covered: missing, added and changed files, links, pickles and code, JSON that makes a library import
code, broken safetensors headers, tensors with NaN or Inf. Not covered: what the weights answer.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from memory import durable
from models.digest import file_sha256
from models.errors import ModelUnavailable
from models.untrusted import check_safetensors, plain_json, refuse_code_keys
from tools.tuning.errors import SkillError

MANIFEST = "manifest.json"
ADAPTER_CONFIG = "adapter_config.json"
SUFFIXES = (".safetensors", ".json", ".jsonl", ".txt", ".jinja", ".md")
"""Only files that end so are part of a skill; none of them can run code."""
JSON_LIMIT = 64_000_000
"""Bytes of a JSON file; the largest tokenizers have 20 million."""
MANIFEST_LIMIT = 1_000_000
CHUNK = 1 << 22

_AGAIN = "take another copy, or tune the skill again"

_FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1} | {
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of one number, by the names that safetensors gives."""


def write_manifest(folder: Path) -> None:
    """List what lies in the folder, and wait until all of it is on the disk."""
    listed = {name: file_sha256(folder / name) for name in names_in(folder)}
    for name in listed:
        _sync(folder / name)
    for inner in (path for path in folder.rglob("*") if path.is_dir()):
        with durable.open_folder(inner) as open_folder:
            durable.sync_folder(open_folder, inner.name)
    text = json.dumps({"format": 1, "files": listed}, indent=2, sort_keys=True) + "\n"
    durable.replace(folder / MANIFEST, text.encode())


def check_manifest(folder: Path) -> None:
    """Raises SkillError where a file is missing, was added or has another content than listed."""
    listed = read_manifest(folder)
    there = set(names_in(folder))
    for name in sorted(there ^ set(listed)):
        what = "was added" if name in there else "is missing"
        raise SkillError(f"{folder / name} {what}, the manifest says; {_AGAIN}")
    for name, sha256 in listed.items():
        if file_sha256(folder / name) != sha256:
            raise SkillError(f"{folder / name} is not as it was registered; {_AGAIN}")


def check_file(folder: Path, name: str) -> Path:
    """The path of one file, whose content is as listed.

    Raises:
        SkillError: it is not.
    """
    listed = read_manifest(folder).get(name)
    path = folder / name
    if listed is None or not path.is_file() or path.is_symlink():
        raise SkillError(f"{path} is missing; {_AGAIN}")
    if file_sha256(path) != listed:
        raise SkillError(f"{path} is not as it was registered; {_AGAIN}")
    return path


def read_manifest(folder: Path) -> dict[str, str]:
    """The files by name with their sha256."""
    try:
        listed = plain_json(folder / MANIFEST, MANIFEST_LIMIT).get("files")
    except (ModelUnavailable, OSError) as error:
        raise SkillError(f"{folder} is no whole skill: {error}") from error
    if not isinstance(listed, dict) or not all(isinstance(v, str) for v in listed.values()):
        raise SkillError(f"{folder / MANIFEST} lists no files; {_AGAIN}")
    return listed


def names_in(folder: Path) -> list[str]:
    """Every file below the folder but the manifest, as relative POSIX paths.

    Raises:
        SkillError: something is no regular file, or may not be part of a skill.
    """
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise SkillError(f"{path} is no regular file; {_AGAIN}")
        if path.is_dir() or name == MANIFEST:
            continue
        if not path.name.endswith(SUFFIXES):
            raise SkillError(
                f"{path} may not be part of a skill: only {', '.join(SUFFIXES)} may; {_AGAIN}"
            )
        names.append(name)
    return names


def check_content(folder: Path) -> None:
    """Look into every file: JSON without code keys, whole safetensors with finite numbers.

    Raises:
        SkillError: names the file and what is wrong with it.
    """
    for name in [*names_in(folder), MANIFEST]:
        path = folder / name
        try:
            if path.suffix == ".json":
                value = _json(path)
                refuse_code_keys(folder, name, value)
                if path.name == ADAPTER_CONFIG and isinstance(value, dict):
                    _refuse_imports(path, value)
            elif path.suffix == ".safetensors":
                check_safetensors(path)
                check_finite(path)
        except ModelUnavailable as error:
            raise SkillError(f"the skill is refused: {error}") from error


def _refuse_imports(path: Path, config: dict[str, Any]) -> None:
    """An adapter's configuration can name modules that peft imports."""
    mapping = config.get("auto_mapping") or {}
    library = mapping.get("parent_library") if isinstance(mapping, dict) else mapping
    if library is not None and not str(library).startswith("transformers."):
        raise SkillError(f"{path} has `auto_mapping`, which makes peft import a module; {_AGAIN}")
    if config.get("megatron_config") is not None:
        raise SkillError(f"{path} has `megatron_config`, which makes peft import one; {_AGAIN}")


def check_finite(path: Path) -> None:
    """Raises SkillError where a tensor of the file holds NaN or Inf, or numbers of unknown kind.

    The header must have been found sound before (`models.untrusted.check_safetensors`).
    """
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header: dict[str, Any] = json.loads(stream.read(length))
        for name, facts in header.items():
            if name == "__metadata__":
                continue
            dtype, (first, last) = str(facts.get("dtype")), facts["data_offsets"]
            width = _WIDTHS.get(dtype, 0)
            if not (isinstance(last, int) and _fits(facts.get("shape"), width, last - first)):
                raise SkillError(f"{path}: tensor {name!r} is of no known kind and shape; {_AGAIN}")
            stream.seek(8 + length + first)
            left = last - first
            while left:
                block = stream.read(min(CHUNK, left))
                left -= len(block)
                if not _is_finite(block, dtype):
                    raise SkillError(f"{path}: tensor {name!r} holds NaN or Inf; {_AGAIN}")


def _fits(shape: object, width: int, size: int) -> bool:
    if not width or not isinstance(shape, list):
        return False
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        return False
    count = 1
    for n in shape:
        count *= n
    return count * width == size


def _is_finite(block: bytes, dtype: str) -> bool:
    if dtype in _FLOATS:
        return bool(np.isfinite(np.frombuffer(block, _FLOATS[dtype])).all())
    if dtype == "BF16":  # numpy does not know it: all bits of the exponent set is NaN or Inf
        return bool(((np.frombuffer(block, np.uint16) & 0x7F80) != 0x7F80).all())
    return True


def _json(path: Path) -> object:
    with path.open("rb") as stream:
        is_list = stream.read(64).lstrip().startswith(b"[")
    return plain_json(path, JSON_LIMIT, list) if is_list else plain_json(path, JSON_LIMIT)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        durable.sync(file.fileno())
