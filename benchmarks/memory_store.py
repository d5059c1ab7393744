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
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from machine import heading, median, percentile
from memory_notes import ADDS, DIMENSION, FILTERS, QUERIES, K, Rows, rows, truth, vectors
from memory_peers import PEERS, Store, why_not


class Ours(Store):
    libraries = ("memory.store", "faiss")

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


STORES: dict[str, type[Store]] = {"ours": Ours, **PEERS}


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
    for module in store.libraries:
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
