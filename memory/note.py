"""One note, and what may become one: every text, id, metadata and vector is checked here, once."""

import hashlib
import json
import math
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.documents import Document

from memory.errors import BadNote

Vectors = npt.NDArray[np.float32]
"""Shape (notes, dimension), each row of length 1."""

MAX_TEXT = 16 * 1024 * 1024
"""Characters of a text, and of its metadata as JSON; SQLite's own limit is 1 GB."""
MAX_ID = 1_000
MAX_KEYS = 1_000
"""Metadata keys of one note; each costs a row for filters."""


@dataclass(frozen=True)
class Note:
    """A note as it is kept."""

    fid: int
    """Its number, never given twice; newer notes have higher ones."""
    id: str
    text: str
    metadata: dict[str, Any]
    vector: npt.NDArray[np.float32]
    """Of length 1."""
    is_intact: bool
    """Whether the row is what was written."""

    def document(self) -> Document:
        """As LangChain gives it around."""
        return Document(id=self.id, page_content=self.text, metadata=self.metadata)


def new_id() -> str:
    """32 hexadecimal digits; ids sort by their time, so that each lands beside the last one."""
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


def digest(id: str, text: str, metadata: str, vector: bytes) -> bytes:
    """The hash of all that a row holds, each part with its length."""
    hashed = hashlib.sha256()
    for part in (id.encode(), text.encode(), metadata.encode(), vector):
        hashed.update(len(part).to_bytes(8, "little"))
        hashed.update(part)
    return hashed.digest()


def checked_text(text: Any, where: str) -> str:
    """Raises:
    BadNote: no text, only white space, too long, or half a character in it.
    """
    if not isinstance(text, str):
        raise BadNote(f"{where}: a note's text is text, not {type(text).__name__}")
    if not text.strip():
        raise BadNote(f"{where}: the text is empty")
    if len(text) > MAX_TEXT:
        raise BadNote(f"{where}: {len(text)} characters are more than {MAX_TEXT}; cut it up")
    _expect_encodable(text, where, "text")
    return text


def checked_id(id: Any, where: str) -> str:
    """Raises:
    BadNote: no text, empty, too long, or half a character in it.
    """
    if not isinstance(id, str) or not id:
        raise BadNote(f"{where}: an id is a text of at least one character, not {id!r}")
    if len(id) > MAX_ID:
        raise BadNote(f"{where}: the id has {len(id)} characters, more than {MAX_ID}")
    _expect_encodable(id, where, "id")
    return id


def checked_metadata(metadata: Any, where: str) -> str:
    """The metadata as JSON text.

    Raises:
        BadNote: it would not come back from JSON as it is, or is too large.
    """
    if not isinstance(metadata, Mapping):
        raise BadNote(f"{where}: metadata is a mapping, not {type(metadata).__name__}")
    if len(metadata) > MAX_KEYS:
        raise BadNote(f"{where}: {len(metadata)} metadata keys are more than {MAX_KEYS}")
    try:
        plain = dict(metadata)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        if len(text) > MAX_TEXT:
            raise BadNote(f"{where}: metadata of {len(text)} characters is too large")
        _expect_encodable(text, where, "metadata")
        is_json = json.loads(text) == plain
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, BadNote):
            raise
        raise BadNote(f"{where}: metadata is not JSON ({str(error)[:100]})") from None
    if not is_json:
        raise BadNote(
            f"{where}: metadata would come back from JSON changed; use text keys and lists"
        )
    return text


def checked_vectors(vectors: Iterable[Sequence[float]] | Vectors, dimension: int) -> Vectors:
    """The vectors with length 1, as a new array.

    Raises:
        BadNote: not numbers, another dimension, NaN or infinite, or all zeros.
    """
    rows = vectors if isinstance(vectors, np.ndarray) else list(vectors)
    if not len(rows):
        return np.zeros((0, dimension), np.float32)
    try:
        # float64, so that the squares of large numbers are finite
        wide = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        for number, row in enumerate(rows):
            _expect_numbers(row, number, dimension)
        raise BadNote("the vectors are not rows of numbers") from None
    if wide.ndim != 2 or wide.shape[1] != dimension:
        got = wide.shape[1] if wide.ndim == 2 else f"shape {wide.shape[1:]}"
        raise BadNote(f"vector 0: {got} numbers, this memory's have {dimension}")
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        for number in np.flatnonzero(~np.isfinite(lengths) | (lengths == 0)).tolist():
            why = "all zeros" if lengths[number] == 0 else "not finite (NaN or infinite)"
            raise BadNote(f"vector {number}: {why}; it points nowhere")
        return np.ascontiguousarray(wide / lengths, dtype=np.float32)


def _expect_numbers(row: Any, number: int, dimension: int) -> None:
    try:
        length = len(row)
        if length == dimension and all(math.isfinite(float(value)) for value in row):
            return
    except (TypeError, ValueError, OverflowError):
        raise BadNote(f"vector {number}: it is no row of numbers") from None
    raise BadNote(
        f"vector {number}: {length} numbers, this memory's have {dimension}"
        if length != dimension
        else f"vector {number}: not finite (NaN or infinite)"
    )


def _expect_encodable(text: str, where: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadNote(
            f"{where}: the {what} holds half a character (a lone surrogate) at {error.start};"
            " replace it"
        ) from None
