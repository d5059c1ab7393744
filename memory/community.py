"""Takes notes over from a folder that LangChain community's FAISS store saved, running no code.

    import_community(Path("faiss_index"), memory)

`index.pkl` is a pickle, which can name any function to call. Here only the few classes that such a
file needs are known, and each is replaced by an empty one of ours: LangChain's code does not run
either. `index.faiss` is read as the numbers that a flat index consists of, not by FAISS.
Covered: IndexFlatL2 and IndexFlatIP, documents with JSON metadata. Vectors get length 1, as in the
memory. Not covered: trained or compressed indexes, whose vectors are not the original ones.
"""

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from memory.errors import BadImport
from memory.note import Vectors
from memory.store import FaissMemory

MAX_BYTES = 16 * 1024**3
"""Of either file; both are read into memory."""
_HEADER = struct.Struct("<4siqqq?i")
"""Kind, dimension, count, two unused, trained, metric; as FAISS writes a flat index."""
_FLAT = {b"IxF2": 1, b"IxFI": 0}
"""Kinds of flat index and their metric's number."""


class _Plain:
    """Stands in for a class of the file: keeps the state, does nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("an object's state is no mapping")
        inner = state.get("__dict__", state)  # pydantic keeps the fields one level down
        if not isinstance(inner, dict):
            raise pickle.UnpicklingError("an object's fields are no mapping")
        self.state = inner


class _Docstore(_Plain):
    """InMemoryDocstore: `_dict` of documents by id."""


class _Document(_Plain):
    """Document: `page_content` and `metadata`."""


_KNOWN: dict[str, dict[str, Callable[..., object]]] = {
    "InMemoryDocstore": {
        "langchain_community.docstore.in_memory": _Docstore,
        "langchain.docstore.in_memory": _Docstore,
        "langchain_classic.docstore.in_memory": _Docstore,
    },
    "Document": {
        "langchain_core.documents.base": _Document,
        "langchain.schema.document": _Document,
        "langchain.schema": _Document,
        "langchain.docstore.document": _Document,
    },
    "set": {"builtins": set},
}


class _Reader(pickle.Unpickler):
    """Finds the known classes and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = _KNOWN.get(name, {}).get(module)
        if found is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not loaded")
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside")


def import_community(
    folder: Path,
    memory: FaissMemory,
    *,
    name: str = "index",
    facts: Mapping[str, Any] | None = None,
) -> list[str]:
    """Add the notes of `folder/name.faiss` and `folder/name.pkl`; ids are kept, so twice is once.

    The vectors must come from the memory's own embedder: only their length can be checked.

    Args:
        facts: metadata that every note gets, whatever the folder says of these keys.

    Returns:
        The ids, in the order of the index.

    Raises:
        BadImport: the files are missing, something else, or do not belong together.
        BadNote: a document cannot be kept (empty text, metadata that is not JSON).
        StoreError: see `memory/errors.py`. Nothing was added in any of these cases.
    """
    vectors = _vectors(_content(folder / f"{name}.faiss"), folder / f"{name}.faiss")
    path = folder / f"{name}.pkl"
    documents, ids = _documents(_content(path), path)
    if sorted(ids) != list(range(len(vectors))):
        raise BadImport(
            f"{folder}: {len(ids)} documents for {len(vectors)} vectors; the two files are not"
            " from one save"
        )
    if len(vectors) and vectors.shape[1] != memory.fingerprint.dimension:
        raise BadImport(
            f"{folder}: vectors of {vectors.shape[1]} numbers, this memory's have"
            f" {memory.fingerprint.dimension}; it was made with another embedder"
        )
    ordered = [ids[number] for number in range(len(vectors))]
    missing = [id for id in ordered if id not in documents]
    if missing:
        raise BadImport(f"{folder}: the document {missing[0]!r} is in the index only")
    fields = [documents[id] for id in ordered]
    texts = [field.get("page_content", "") for field in fields]
    try:
        metadatas = [{**(field.get("metadata") or {}), **(facts or {})} for field in fields]
    except TypeError:
        raise BadImport(f"{folder}: a document's metadata is no mapping") from None
    return memory.add_vectors(texts, vectors, metadatas, ordered)


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadImport(f"{path}: {size} bytes are more than {MAX_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise BadImport(
            f"{path} cannot be read ({error.strerror}); name the folder that `save_local` wrote"
        ) from error


def _vectors(data: bytes, path: Path) -> Vectors:
    """The rows of a flat index; shape (notes, dimension)."""
    start = _HEADER.size + 8
    if len(data) < start:
        raise BadImport(f"{path}: too short for an index")
    kind, dimension, count, _, _, _, metric = _HEADER.unpack_from(data)
    if _FLAT.get(kind) != metric:
        raise BadImport(
            f"{path}: only flat indexes (L2, inner product) hold the vectors; this"
            f" one is of kind {kind!r}"
        )
    (numbers,) = struct.unpack_from("<Q", data, _HEADER.size)
    if dimension < 1 or count < 0 or numbers != count * dimension:
        raise BadImport(f"{path}: {numbers} numbers are not {count} x {dimension}")
    if len(data) != start + 4 * numbers:
        raise BadImport(f"{path}: {len(data)} bytes, {start + 4 * numbers} were expected")
    return np.frombuffer(data, "<f4", numbers, start).reshape(count, dimension)


def _documents(data: bytes, path: Path) -> tuple[dict[str, dict[str, Any]], dict[int, str]]:
    """The documents' fields by id, and the ids by position in the index."""
    try:
        loaded = _Reader(io.BytesIO(data)).load()
    except Exception as error:  # damaged pickles raise anything
        raise BadImport(f"{path} was not loaded: {str(error)[:200]}") from None
    if not (isinstance(loaded, tuple) and len(loaded) == 2):
        raise BadImport(f"{path}: it holds no document store with its ids")
    store, ids = loaded
    documents = store.state.get("_dict") if isinstance(store, _Docstore) else None
    if not isinstance(documents, dict) or not isinstance(ids, dict):
        raise BadImport(f"{path}: it holds no document store with its ids")
    for number, id in ids.items():
        if not isinstance(number, int) or not isinstance(id, str):
            raise BadImport(f"{path}: an entry {number!r}: {id!r} is no position with an id")
    for id, document in documents.items():
        if not isinstance(document, _Document):
            raise BadImport(f"{path}: what is stored as {id!r} is no document")
    return {id: document.state for id, document in documents.items()}, ids
