"""The memory beside LangChain's FAISS store, raw FAISS, sqlite-vec and LanceDB, in one run.

    python benchmarks/memory_store.py [--sizes 10000 100000] [--peers ours langchain faiss ...]
    python benchmarks/memory_store.py --sizes 1000000 --peers ours faiss

For each size and store, with vectors given (384 numbers, exact search, 10 nearest):

  add 1, 100, 1,000   milliseconds until so many more notes are on the disk
  plain, 1 %, 50 %    milliseconds of a search: the median and the 95th percentile, without a filter
                      and with ones that so many notes pass; none is answered from a remembered one
  found               share of the true 10 nearest notes in the answers, the worst of the three
  reopen              seconds from opening the files to the first answer, libraries imported
  rebuild             the same for the memory when its index is gone (nothing is embedded anew)
  MB                  resident memory that opening and searching took; MB on disk

Stores do what they offer: LangChain's adds and saves everything, raw FAISS writes its index and
keeps no text, and neither waits for the disk; LangChain filters after the search. Each runs in
processes of its own, one after the other. sqlite-vec and LanceDB are left out where they are not
installed (`pip install sqlite-vec lancedb`); sqlite-vec needs a Python whose sqlite3 loads
extensions, or `pysqlite3-binary`.
"""

import argparse
import importlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from machine import heading, median, percentile

DIMENSION = 384
K = 10
CHUNK = 20_000
ADDS = {1: 7, 100: 7, 1_000: 5}
"""Notes added at once, and how often."""
QUERIES = 60
FILTERS: dict[str, dict[str, int] | None] = {"plain": None, "1 %": {"part": 7}, "50 %": {"half": 0}}
Rows = tuple[list[str], np.ndarray[Any, Any], list[dict[str, int]], list[str]]


def vectors(start: int, count: int) -> "np.ndarray[Any, Any]":
    """Rows of length 1, always the same for the same numbers; topics with neighbours."""
    topics = np.random.default_rng(1).standard_normal((500, DIMENSION), np.float32)
    generator = np.random.default_rng(start + 10)
    made = topics[generator.integers(0, 500, count)]
    made = made + generator.standard_normal((count, DIMENSION), np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def rows(start: int, count: int) -> Rows:
    """Texts, vectors, metadata and ids of the notes from `start` on."""
    numbers = range(start, start + count)
    texts = [
        f"Note {n}: " + "what was learnt that day, in a sentence or two. " * 3 for n in numbers
    ]
    metadatas = [{"part": n % 100, "half": n % 2} for n in numbers]
    return texts, vectors(start, count), metadatas, [f"note-{n}" for n in numbers]


def chunks(size: int) -> Iterator[Rows]:
    for start in range(0, size, CHUNK):
        yield rows(start, min(CHUNK, size - start))


class Store(ABC):
    """What a store must offer to be measured."""

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


class Ours(Store):
    def open(self) -> None:
        from langchain_core.embeddings import Embeddings

        from memory.store import FaissMemory
        from models.fingerprint import Fingerprint

        class Given(Embeddings):
            fingerprint = Fingerprint("given", "1", DIMENSION, normalised=True)

            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                raise NotImplementedError

            def embed_query(self, text: str) -> list[float]:
                raise NotImplementedError

        self.memory = FaissMemory(self.folder, Given())

    def add(self, new: Rows) -> None:
        texts, given, metadatas, ids = new
        self.memory.add_vectors(texts, given, metadatas, ids)

    def search(self, vector: "np.ndarray[Any, Any]", filter: dict[str, int] | None) -> list[str]:
        self.memory._cache._answers.clear()
        found = self.memory.similarity_search_by_vector(vector, K, filter)
        return [str(document.id) for document in found]

    def close(self) -> None:
        self.memory.close()


class LangChain(Store):
    """Its documents and vectors are kept in memory; a save writes all of them."""

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


STORES: dict[str, type[Store]] = {
    "ours": Ours,
    "langchain": LangChain,
    "faiss": RawFaiss,
    "sqlite-vec": SqliteVec,
    "lancedb": Lance,
}


LIBRARIES: dict[type[Store], tuple[str, ...]] = {
    Ours: ("memory.store", "faiss"),
    LangChain: ("langchain_core.vectorstores", "faiss"),
    RawFaiss: ("faiss",),
    SqliteVec: (),
    Lance: ("lancedb", "pyarrow"),
}
"""Imported before anything is measured."""


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


def writing(store: Store, size: int) -> dict[str, float]:
    """Fill the store, then add to it."""
    store.open()
    started = time.perf_counter()
    store.build(size)
    figures = {"build": time.perf_counter() - started}
    next_number = size
    for count, times in ADDS.items():
        seconds = []
        for _ in range(times):
            new = rows(next_number, count)
            next_number += count
            started = time.perf_counter()
            store.add(new)
            seconds.append(time.perf_counter() - started)
        figures[f"add {count}"] = median(seconds) * 1e3
    store.close()
    return figures


def reading(store: Store, size: int) -> dict[str, float]:
    """Open the store anew and search it."""
    asked = vectors(-1, QUERIES)
    for module in LIBRARIES[type(store)]:
        importlib.import_module(module)
    store.open()
    store.search(asked[0], None)
    store.close()  # the memory now has its index on disk
    before = resident()
    started = time.perf_counter()
    store.open()
    store.search(asked[0], None)
    figures = {"reopen": time.perf_counter() - started}
    answers: dict[str, list[list[str]]] = {}
    for name, filter in FILTERS.items():
        seconds = []
        answers[name] = []
        for vector in asked:
            started = time.perf_counter()
            answers[name].append(store.search(vector, filter))
            seconds.append(time.perf_counter() - started)
        figures[name] = median(seconds) * 1e3
        figures[f"{name} p95"] = percentile(seconds, 0.95) * 1e3
    figures["MB"] = (resident() - before) / 1e6
    store.close()
    total = size + sum(count * times for count, times in ADDS.items())
    right = truth(total, asked)
    figures["found"] = min(
        float(
            np.mean(
                [len(set(a) & set(b)) / K for a, b in zip(answers[name], right[name], strict=True)]
            )
        )
        for name in FILTERS
    )
    figures["disk"] = sum(p.stat().st_size for p in store.folder.rglob("*") if p.is_file()) / 1e6
    if isinstance(store, Ours):
        for path in store.folder.glob("index-*.faiss"):
            path.unlink()
        started = time.perf_counter()
        store.open()
        store.search(asked[0], None)
        figures["rebuild"] = time.perf_counter() - started
        store.close()
    return figures


def truth(total: int, asked: "np.ndarray[Any, Any]") -> dict[str, list[list[str]]]:
    """The nearest notes of all by plain arithmetic, for each filter."""
    best: dict[str, list[list[tuple[float, int]]]] = {name: [[] for _ in asked] for name in FILTERS}
    for start, part in parts(total):
        scores = asked @ part.T
        numbers = np.arange(start, start + len(part))
        for name, filter in FILTERS.items():
            keep = np.ones(len(part), bool)
            for key, value in (filter or {}).items():
                keep = numbers % {"part": 100, "half": 2}[key] == value
            for query, row in enumerate(scores):
                top = np.argsort(-row[keep])[:K]
                new = [(float(row[keep][i]), int(numbers[keep][i])) for i in top]
                best[name][query] = sorted(best[name][query] + new, reverse=True)[:K]
    return {
        name: [[f"note-{number}" for _, number in query] for query in queries]
        for name, queries in best.items()
    }


def parts(total: int) -> Iterator[tuple[int, "np.ndarray[Any, Any]"]]:
    """All vectors as they were stored: the chunks, then what was added."""
    added = sum(count * times for count, times in ADDS.items())
    size = total - added
    for start in range(0, size, CHUNK):
        yield start, vectors(start, min(CHUNK, size - start))
    start = size
    for count, times in ADDS.items():
        for _ in range(times):
            yield start, vectors(start, count)
            start += count


def resident() -> int:
    """Bytes of this process in memory."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(name: str, size: int, folder: Path) -> dict[str, float]:
    """Both halves, each in a process of its own."""
    figures: dict[str, float] = {}
    for part in ("writing", "reading"):
        command = [sys.executable, __file__, "--part", part, name, str(size), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name}, {part}: {done.stderr[-2000:]}")
        figures |= json.loads(done.stdout.splitlines()[-1])
    return figures


def table(size: int, all_figures: dict[str, dict[str, float]]) -> str:
    """One line for each store."""
    lines = [
        f"\n{size:,} notes: add in ms, search p50 / p95 in ms",
        f"{'':11}{'add 1':>9}{'add 100':>9}{'add 1000':>9}{'plain':>16}{'1 %':>16}{'50 %':>16}"
        f"{'found':>7}{'reopen':>8}{'rebuild':>8}{'MB':>7}{'disk':>7}",
    ]
    for name, figures in all_figures.items():
        adds = "".join(f"{figures[f'add {count}']:9.1f}" for count in ADDS)
        searches = "".join(
            f"{figures[kind]:8.1f} /{figures[f'{kind} p95']:6.1f}" for kind in FILTERS
        )
        rebuild = f"{figures['rebuild']:7.2f}s" if "rebuild" in figures else " " * 8
        lines.append(
            f"{name:11}{adds}{searches}{figures['found']:7.0%}{figures['reopen']:7.2f}s{rebuild}"
            f"{figures['MB']:7.0f}{figures['disk']:7.0f}"
        )
    return "\n".join(lines)


def targets(all_figures: dict[str, dict[str, float]]) -> str:
    """Ours against the others, as ratios."""
    ours = all_figures["ours"]
    lines = []
    if theirs := all_figures.get("langchain"):
        ratio = theirs["add 1000"] / ours["add 1000"]
        lines.append(f"add of 1,000 notes: {ratio:.1f}x faster than LangChain's add and save")
    if theirs := all_figures.get("faiss"):
        lines.append(f"plain search: {ours['plain'] / theirs['plain']:.2f}x the time of raw FAISS")
    for kind in ("1 %", "50 %"):
        lines.append(f"with a {kind} filter: {ours[kind] / ours['plain']:.2f}x the plain search")
    return "\n".join(lines)


def main(sizes: Sequence[int], peers: Sequence[str], keep: Path | None) -> None:
    print(heading())
    versions = [f"faiss-cpu {version('faiss-cpu')}, SQLite {sqlite3.sqlite_version}"]
    usable = []
    for name in peers:
        reason = why_not(name)
        if reason:
            print(f"left out: {name} ({reason})")
            continue
        usable.append(name)
        if name in ("sqlite-vec", "lancedb"):
            versions.append(f"{name} {version(name)}")
    print(", ".join(versions))
    with tempfile.TemporaryDirectory(dir=keep) as temporary:
        for size in sizes:
            all_figures = {}
            for name in usable:
                folder = Path(temporary) / f"{name}-{size}"
                folder.mkdir()
                all_figures[name] = measured(name, size, folder)
                shutil.rmtree(folder)
            print(table(size, all_figures))
            if "ours" in all_figures:
                print(targets(all_figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measures the memory beside other stores.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--peers", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--folder", type=Path, help="where the stores are made; a real disk")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part, name, size, folder = options.part
        work = {"writing": writing, "reading": reading}[part]
        print(json.dumps(work(STORES[name](Path(folder)), int(size))))
    else:
        main(options.sizes, options.peers, options.folder)
