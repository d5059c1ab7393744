"""The stores beside which `memory_store.py` measures ours, and what one must offer for that.

LangChain's FAISS store, raw FAISS, sqlite-vec and LanceDB; the last two where they are installed.
"""

import importlib
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from memory_notes import DIMENSION, K, Rows, chunks


class Store(ABC):
    """What a store must offer to be measured."""

    libraries: tuple[str, ...] = ()
    """Imported before anything is measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def open(self) -> None:
        """Open what is in the folder, or make it."""

    @abstractmethod
    def add(self, new: Rows) -> None:
        """Store notes; on the disk, as far as the store does that."""

    def build(self, size: int) -> None:
        for chunk in chunks(size):
            self.add(chunk)

    @abstractmethod
    def search(self, vector: "np.ndarray[Any, Any]", filter: dict[str, int] | None) -> list[str]:
        """Ids of the nearest notes."""

    def close(self) -> None:
        return None


class LangChain(Store):
    """Its documents and vectors are kept in memory; a save writes all of them."""

    libraries = ("langchain_core.vectorstores", "faiss")

    def open(self) -> None:
        warnings.simplefilter("ignore")
        from langchain_community.docstore.in_memory import InMemoryDocstore
        from langchain_community.vectorstores import FAISS
        from langchain_core.embeddings import DeterministicFakeEmbedding

        embedding = DeterministicFakeEmbedding(size=DIMENSION)
        if (self.folder / "index.faiss").exists():
            self.store = FAISS.load_local(
                str(self.folder), embedding, allow_dangerous_deserialization=True
            )
        else:
            import faiss

            self.store = FAISS(embedding, faiss.IndexFlatL2(DIMENSION), InMemoryDocstore(), {})

    def add(self, new: Rows) -> None:
        self._take(new)
        self.store.save_local(str(self.folder))

    def _take(self, new: Rows) -> None:
        texts, given, metadatas, ids = new
        pairs = zip(texts, given.tolist(), strict=True)
        self.store.add_embeddings(pairs, metadatas, ids)

    def build(self, size: int) -> None:
        for chunk in chunks(size):
            self._take(chunk)
        self.store.save_local(str(self.folder))

    def close(self) -> None:
        del self.store

    def search(self, vector: "np.ndarray[Any, Any]", filter: dict[str, int] | None) -> list[str]:
        found = self.store.similarity_search_by_vector(vector.tolist(), K, filter)
        return [str(document.id) for document in found]


class RawFaiss(Store):
    """Vectors and numbers only: the floor that no store over FAISS flat was thought to beat."""

    libraries = ("faiss",)

    def open(self) -> None:
        import faiss

        self.faiss = faiss
        self.path = self.folder / "raw.faiss"
        self.index: Any = (
            faiss.read_index(str(self.path))
            if self.path.exists()
            else faiss.IndexIDMap2(faiss.IndexFlatIP(DIMENSION))
        )
        self.numbers = np.arange(self.index.ntotal, dtype=np.int64)

    def add(self, new: Rows) -> None:
        self._take(new)
        self.faiss.write_index(self.index, str(self.path))

    def _take(self, new: Rows) -> None:
        _, given, _, ids = new
        numbers = np.array([int(id.removeprefix("note-")) for id in ids], np.int64)
        self.index.add_with_ids(given, numbers)

    def build(self, size: int) -> None:
        for chunk in chunks(size):
            self._take(chunk)
        self.faiss.write_index(self.index, str(self.path))

    def close(self) -> None:
        del self.index

    def search(self, vector: "np.ndarray[Any, Any]", filter: dict[str, int] | None) -> list[str]:
        parameters = None
        if filter:
            [(key, value)] = filter.items()
            passing = self.numbers[self.numbers % {"part": 100, "half": 2}[key] == value]
            selector = self.faiss.IDSelectorBatch(passing)
            parameters = self.faiss.SearchParameters(sel=selector)
        _, found = self.index.search(vector.reshape(1, -1), K, params=parameters)
        return [f"note-{number}" for number in found[0]]


class SqliteVec(Store):
    def open(self) -> None:
        sqlite, sqlite_vec = sqlite_with_extensions()
        self.db = sqlite.connect(str(self.folder / "vec.sqlite"), isolation_level=None)
        self.db.enable_load_extension(True)
        sqlite_vec.load(self.db)
        self.db.execute("pragma synchronous=full")
        self.db.execute("create table if not exists notes (n integer primary key, text, metadata)")
        self.db.execute(
            "create virtual table if not exists vectors using vec0(n integer primary key,"
            f" v float[{DIMENSION}] distance_metric=cosine, part integer, half integer)"
        )

    def add(self, new: Rows) -> None:
        texts, given, metadatas, ids = new
        numbers = [int(id.removeprefix("note-")) for id in ids]
        self.db.execute("begin immediate")
        self.db.executemany(
            "insert into notes values (?, ?, ?)",
            zip(numbers, texts, map(json.dumps, metadatas), strict=True),
        )
        self.db.executemany(
            "insert into vectors (n, v, part, half) values (?, ?, ?, ?)",
            [
                (n, row.tobytes(), data["part"], data["half"])
                for n, row, data in zip(numbers, given, metadatas, strict=True)
            ],
        )
        self.db.execute("commit")

    def search(self, vector: "np.ndarray[Any, Any]", filter: dict[str, int] | None) -> list[str]:
        passing = "".join(f" and {key} = {value}" for key, value in (filter or {}).items())
        sql = (
            f"with hits as (select n, distance from vectors where v match ? and k = {K}{passing})"
            " select notes.n, text, metadata from hits join notes using (n) order by distance"
        )
        return [f"note-{n}" for n, _, _ in self.db.execute(sql, (vector.tobytes(),))]

    def close(self) -> None:
        self.db.close()


class Lance(Store):
    libraries = ("lancedb", "pyarrow")

    def open(self) -> None:
        import lancedb

        self.db: Any = lancedb.connect(str(self.folder))
        there = "notes" in self.db.table_names()
        self.table = self.db.open_table("notes") if there else None

    def add(self, new: Rows) -> None:
        import pyarrow as pa

        texts, given, metadatas, ids = new
        flat = pa.array(given.ravel(), pa.float32())
        data = pa.table(
            {
                "id": ids,
                "text": texts,
                "part": [data["part"] for data in metadatas],
                "half": [data["half"] for data in metadatas],
                "vector": pa.FixedSizeListArray.from_arrays(flat, DIMENSION),
            }
        )
        if self.table is None:
            self.table = self.db.create_table("notes", data)
        else:
            self.table.add(data)

    def search(self, vector: "np.ndarray[Any, Any]", filter: dict[str, int] | None) -> list[str]:
        assert self.table is not None
        asked = self.table.search(vector).distance_type("cosine").limit(K)
        for key, value in (filter or {}).items():
            asked = asked.where(f"{key} = {value}", prefilter=True)
        return [row["id"] for row in asked.select(["id", "text", "part", "half"]).to_list()]


PEERS: dict[str, type[Store]] = {
    "langchain": LangChain,
    "faiss": RawFaiss,
    "sqlite-vec": SqliteVec,
    "lancedb": Lance,
}


def sqlite_with_extensions() -> tuple[Any, Any]:
    """A module like sqlite3 that can load sqlite-vec, and that.

    Raises:
        ImportError: there is none.
    """
    sqlite_vec = importlib.import_module("sqlite_vec")
    for name in ("sqlite3", "pysqlite3"):
        module = importlib.import_module(name)
        if hasattr(module.Connection, "enable_load_extension"):
            return module, sqlite_vec
    raise ImportError("no sqlite3 here loads extensions")


def why_not(name: str) -> str:
    """Why this store cannot be measured here; empty if it can."""
    needs: dict[str, Callable[[], object]] = {
        "sqlite-vec": sqlite_with_extensions,
        "lancedb": lambda: importlib.import_module("lancedb"),
    }
    try:
        needs.get(name, lambda: None)()
    except ImportError as error:
        return str(error)
    return ""
