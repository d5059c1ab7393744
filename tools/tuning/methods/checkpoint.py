"""The state of an unfinished fit on disk: one safetensors file, whole or absent, never half.

Tensors (trained weights, optimizer moments, random states) and plain facts (step, best so far) lie
in the same file, the facts as JSON in its header, so that they cannot disagree. A state belongs to
one fit: its `identity` is compared, and that of another fit is as good as none.
"""

import contextlib
import errno
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from memory import durable
from memory.errors import DiskFull, WriteFailed

FILE = "training.safetensors"
VERSION = 1


@dataclass(frozen=True, slots=True)
class State:
    """What a fit needs to go on as if nothing had happened."""

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]
    """Plain JSON."""


def identity_of(*parts: Any) -> str:
    """One hash for what makes two fits the same: method, settings, data, seed, base model.

    Args:
        parts: values whose `repr` says all that counts (frozen dataclasses, plain JSON).
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def write(folder: Path, state: State, identity: str) -> None:
    """Put the state in place of the one before, durably.

    Raises:
        DiskFull: no room; the state before is intact.
        WriteFailed: any other refusal of the disk.
    """
    durable.make_folders(folder)
    temp = folder / f"{durable.TEMP_PREFIX}{secrets.token_hex(8)}{durable.TEMP_SUFFIX}"
    header = {"version": VERSION, "identity": identity, "facts": state.facts}
    tensors = {name: tensor.detach().contiguous() for name, tensor in state.tensors.items()}
    try:
        save_file(tensors, temp, metadata={"state": json.dumps(header)})
        with temp.open("rb") as file:
            durable.sync(file.fileno())
        temp.replace(folder / FILE)
        with durable.open_folder(folder) as entry:
            durable.sync_folder(entry, FILE)
    except (OSError, SafetensorError) as error:
        if _is_full(error):
            raise DiskFull(
                f"no room for the state of the training in {folder}; free some space and go on "
                "with `tuneward jobs resume`"
            ) from error
        raise WriteFailed(f"could not write {folder / FILE}: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            temp.unlink()


def read(folder: Path, identity: str) -> State | None:
    """The state of this very fit; None where there is none, or one of another fit."""
    path = folder / FILE
    if not path.is_file():
        return None
    with durable.open_folder(folder) as entry:
        durable.sweep(entry)
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["state"])
            if (header["version"], header["identity"]) != (VERSION, identity):
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return State(tensors, header["facts"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None  # not ours, or of a disk that lied: the fit begins anew


def _is_full(error: Exception) -> bool:
    number = getattr(error, "errno", None)
    words = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), os.strerror(errno.EFBIG))
    return number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(
        word in str(error) for word in words
    )
