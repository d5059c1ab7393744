"""Memory operations whose system calls fail, or kill: `python traced_store.py FOLDER HOW COUNT`.

Each operation runs in a forked child with strace attached, on a copy of the same small memory. HOW:
  kill   SIGKILL just before the k-th call of each kind that can change the disk, for every k
  fault  the same calls fail instead, with EIO, or ENOSPC where a call can need room
  random a child writes on and on and is killed at a random moment, without strace
COUNT is how many points to try, evenly spread; 0 tries all. Prints the points tried and how many
there are; stops with a message at the first that broke a promise.
"""

import os
import random
import select
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss  # noqa: F401  # here, so that no child has to

from memory.errors import StoreError, WritesStopped
from memory.store import FaissMemory
from tests.memory.strace import (
    Child,
    Point,
    Say,
    Work,
    calls_of,
    copies,
    faults,
    harmed,
    in_child,
    kills,
    spread,
)
from tests.memory.words import WordEmbeddings

Content = dict[str, tuple[str, dict[str, Any]]]
Operation = Callable[[FaissMemory], object]


def embedding(revision: str = "1") -> WordEmbeddings:
    return WordEmbeddings(8, revision)


def base(folder: Path) -> None:
    """A memory with notes, holes and a saved index that lags behind."""
    with FaissMemory(folder, embedding()) as memory:
        add(memory, range(30))
        memory.delete(["n3", "n4"])
        memory.save_index()
        add(memory, range(30, 33))


def add(memory: FaissMemory, numbers: range) -> list[str]:
    return memory.add_texts(
        [f"text {n} of the note" for n in numbers],
        [{"n": n, "even": n % 2 == 0} for n in numbers],
        ids=[f"n{n}" for n in numbers],
    )


OPERATIONS: dict[str, Operation] = {
    "add": lambda memory: add(memory, range(40, 44)),
    "add many": lambda memory: add(memory, range(40, 140)),
    "upsert": lambda memory: memory.add_texts(["changed", "new"], [{"n": 1}, {}], ids=["n1", "x"]),
    "delete": lambda memory: memory.delete(["n5", "n6", "nobody"]),
    "metadata": lambda memory: memory.update_metadata({"n7": {"uses": 1}, "n8": {"n": -8}}),
    "compact": lambda memory: memory.compact(),
    "save index": lambda memory: memory.save_index(),
    "re-embed": lambda memory: memory.reembed(embedding("2")),
}


def content(folder: Path) -> Content:
    """What a fresh process finds; every note must be found by its own text, too."""
    for revision in ("1", "2"):
        try:
            memory = FaissMemory(folder, embedding(revision))
        except StoreError:
            continue
        with memory:
            found: Content = {}
            for document in memory.scan():
                assert document.id is not None
                assert document.id not in found, f"{document.id} is there twice"
                found[document.id] = (document.page_content, document.metadata)
                [(best, score)] = memory.similarity_search_with_score(document.page_content, 1)
                assert (best.page_content, round(score, 3)) == (document.page_content, 1.0), best
            evens = {document.id for document in memory.scan({"even": True})}
            assert evens == {id for id, (_, data) in found.items() if data.get("even") is True}
            problems = memory.verify()
            assert not problems, problems
            return found
    raise AssertionError("no embedder fits the memory any more")


def run(folder: Path, operation: Operation) -> Work:
    """Open, do, acknowledge, close."""

    def work(say: Say) -> None:
        with FaissMemory(folder, embedding()) as memory:
            operation(memory)
            say("done")

    return work


def run_with_faults(folder: Path, operation: Operation) -> Work:
    """As `run`; after a failure, look whether the memory still reads and takes no more writes."""

    def work(say: Say) -> None:
        try:
            memory = FaissMemory(folder, embedding())
        except StoreError as error:
            say(f"not opened: {type(error).__name__}: {error}")
            return
        with memory:
            try:
                operation(memory)
                say("done")
                return
            except StoreError as error:
                say(f"failed: {type(error).__name__}: {error}")
            assert memory.get_by_ids(["n10"])[0].page_content == "text 10 of the note"
            try:
                memory.add_texts(["one more"], ids=["more"])
                say("took more")
            except WritesStopped:
                say("takes no more")

    return work


def sweep(folder: Path, count: int, *, faulty: bool) -> str:
    """Every operation at every call; the summary."""
    base(folder / "base")
    for name, operation in OPERATIONS.items():  # so that what is imported late is there
        shutil.copytree(folder / "base", folder / f"warm-{name}")
        run(folder / f"warm-{name}", operation)(lambda _: None)
    before = in_child(partial(content, folder / "base"))
    after: dict[str, Any] = {}
    points: list[tuple[str, Point]] = []
    for name, operation in OPERATIONS.items():
        copy = folder / f"count-{name}"
        shutil.copytree(folder / "base", copy)
        calls = calls_of(run(copy, operation), folder / "log")
        points += [(name, point) for point in (faults if faulty else kills)(calls)]
        after[name] = in_child(partial(content, copy))
    chosen = spread(points, count)
    for copy, (name, point) in copies(folder / "base", chosen):
        how = (run_with_faults if faulty else run)(copy, OPERATIONS[name])
        code, said = harmed(how, point)
        now = in_child(partial(content, copy))
        place = f"{name}, {point}: exit {code}, said {said}"
        if not faulty and code is not None:
            sys.exit(f"{place}: it was not killed")
        if faulty and (code != 0 or any("took more" in line for line in said)):
            sys.exit(f"{place}: no typed error, or more was written after it")
        if "done" in said and now != after[name]:
            sys.exit(f"{place}: acknowledged, but not there")
        if now not in (before, after[name]):
            sys.exit(f"{place}: neither as before nor as after")
    return f"{len(chosen)} of {len(points)} points"


def random_kills(folder: Path, count: int) -> str:
    """A child changes notes until it is killed; what it acknowledged must be there."""
    generator = random.Random(7)
    for number in range(count or 300):
        copy = folder / f"kill{number}"
        seed = generator.random()

        def work(say: Say, copy: Path = copy, seed: float = seed) -> None:
            with FaissMemory(copy, embedding()) as memory:
                for step, (texts, gone, saves) in enumerate(changes(seed)):
                    if texts:
                        memory.add_texts(list(texts.values()), ids=list(texts))
                    else:
                        memory.delete(gone)
                    say(str(step))
                    if saves:
                        memory.save_index()

        child = Child(work)
        child.go()
        select.select([], [], [], generator.uniform(0.005, 0.25))
        os.kill(child.pid, signal.SIGKILL)
        _, said = child.wait()
        done = len(said)
        states = list(models(seed, done + 1))
        now = in_child(partial(content, copy)) if FaissMemory.exists(copy) else {}
        if {id: text for id, (text, _) in now.items()} not in states[done:]:
            sys.exit(f"kill {number}: after {done} acknowledged changes the notes are {now}")
        shutil.rmtree(copy, ignore_errors=True)
    return f"{count or 300} of {count or 300} points"


def changes(seed: float) -> Iterator[tuple[dict[str, str], list[str], bool]]:
    """An endless list of notes to write or ids to delete, and whether to save the index then."""
    generator = random.Random(seed)
    for step in range(10**9):
        ids = [f"n{generator.randrange(40)}" for _ in range(generator.randrange(1, 6))]
        saves = generator.random() < 0.1
        if generator.random() < 0.7:
            yield {id: f"text {step} of {id}" for id in ids}, [], saves
        else:
            yield {}, ids, saves


def models(seed: float, steps: int) -> Iterator[dict[str, str]]:
    """What must be there after 0, 1, ... `steps` changes."""
    model: dict[str, str] = {}
    yield dict(model)
    for _, (texts, gone, _) in zip(range(steps), changes(seed), strict=False):
        model.update(texts)
        for id in gone:
            model.pop(id, None)
        yield dict(model)


def main(folder: Path, how: str, count: int) -> None:
    if how == "random":
        print(random_kills(folder, count))
    else:
        print(sweep(folder, count, faulty=how == "fault"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
