"""Four writers and eight readers on one memory: `python busy.py FOLDER SECONDS`.

A writer rewrites its board of five notes with the next version in one call, and adds one note to
its log; now and then it deletes a log note. A reader must never see a board with two versions, a
text that is not its metadata's, or a score that is not its text's. Prints a summary as JSON.
"""

import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss  # noqa: F401  # here, so that no child has to

from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings

WRITERS, READERS = 4, 8
BOARD = 5

Work = Callable[[Path, int, float], dict[str, Any]]


def write(folder: Path, number: int, end: float) -> dict[str, Any]:
    """Change notes until the end; what must be there then."""
    generator = random.Random(number)
    version, log = 0, set()
    with FaissMemory(folder, WordEmbeddings()) as memory:
        while time.monotonic() < end:
            version += 1
            numbers = range(BOARD)
            memory.add_texts(
                [f"board {number} place {i} version {version}" for i in numbers],
                [{"board": number, "place": i, "version": version} for i in numbers],
                ids=[f"b{number}-{i}" for i in numbers],
            )
            id = f"log{number}-{version}"
            memory.add_texts([f"log {number} entry {version}"], [{"log": number}], ids=[id])
            log.add(id)
            if generator.random() < 0.2:
                gone = generator.choice(sorted(log))
                memory.delete([gone])
                log.discard(gone)
            if generator.random() < 0.02:
                memory.save_index()
            if generator.random() < 0.01:
                memory.compact()
    return {"version": version, "log": sorted(log)}


def read(folder: Path, number: int, end: float) -> dict[str, Any]:
    """Look at boards until the end; how often, and what was torn."""
    generator = random.Random(number)
    looks, torn = 0, []
    while time.monotonic() < end:
        with FaissMemory(folder, WordEmbeddings(), read_only=number % 2 == 0) as memory:
            for _ in range(50):
                board = generator.randrange(WRITERS)
                query = f"board {board} place 3"
                hits = memory.similarity_search_with_score(query, 50, filter={"board": board})
                documents = [document for document, _ in hits]
                documents_by_id = memory.get_by_ids([f"b{board}-{i}" for i in range(BOARD)])
                for seen in (documents, documents_by_id):
                    versions = {document.metadata["version"] for document in seen}
                    if len(versions) > 1 or len(seen) not in (0, BOARD):
                        torn.append(f"versions {versions} in {len(seen)} notes")
                for document in documents:
                    data = document.metadata
                    text = f"board {board} place {data['place']} version {data['version']}"
                    if document.page_content != text:
                        torn.append(f"{document.page_content!r} is not {text!r}")
                looks += 1
                if time.monotonic() > end:
                    break
    return {"looks": looks, "torn": torn}


def start(work: Work, folder: Path, number: int, end: float) -> tuple[int, Path]:
    """A process that leaves its result, or what it failed with, in a file."""
    result = folder.parent / f"{work.__name__}-{number}.json"
    pid = os.fork()
    if pid == 0:
        try:
            found = work(folder, number, end)
        except BaseException as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        result.write_text(json.dumps(found))
        os._exit(0)
    return pid, result


def main(folder: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    FaissMemory(folder, WordEmbeddings()).close()
    started = [start(write, folder, number, end) for number in range(WRITERS)]
    started += [start(read, folder, number, end) for number in range(READERS)]
    for pid, _ in started:
        os.waitpid(pid, 0)
    results = [json.loads(path.read_text()) for _, path in started]
    errors = [result["error"] for result in results if "error" in result]
    writers = [result for result in results[:WRITERS] if "error" not in result]
    lost: list[str] = []
    with FaissMemory(folder, WordEmbeddings()) as memory:
        for number, result in enumerate(writers):
            found = {document.id for document in memory.scan({"log": number})}
            lost.extend(sorted(set(result["log"]) ^ {str(id) for id in found}))
            board = memory.get_by_ids([f"b{number}-{i}" for i in range(BOARD)])
            if [d.metadata["version"] for d in board] != [result["version"]] * BOARD:
                lost.append(f"board {number}")
        problems = memory.verify()
    summary = {
        "writes": sum(result["version"] * 2 for result in writers),
        "looks": sum(result.get("looks", 0) for result in results[WRITERS:]),
        "torn": [text for result in results for text in result.get("torn", [])],
        "errors": errors,
        "lost": lost,
        "problems": problems,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
