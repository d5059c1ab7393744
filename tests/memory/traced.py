"""Memory operations whose system calls fail, or kill: `python traced.py FOLDER HOW COUNT`.

Each operation runs in a forked child with strace attached, on a copy of the same small memory. HOW:
  kill   SIGKILL just before the k-th call of each kind that can change the disk, for every k
  fault  the same calls fail instead, with EIO, or ENOSPC where a call can need room
  naive  `kill` for the control: LangChain community's store, which has no defence
  random a child writes on and on and is killed at a random moment
COUNT is how many points to try, evenly spread; 0 tries all. Prints the points tried and how many
there are; stops with a message at the first that broke a promise.
"""

import contextlib
import ctypes
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss  # noqa: F401  # here, so that no child has to

from memory.errors import StoreError, WritesStopped
from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings

CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "ftruncate,mkdir,mkdirat"
)
NEED_ROOM = {"openat", "write", "pwrite64", "ftruncate", "mkdir", "mkdirat"}
PR_SET_PTRACER, ANYONE = 0x59616D61, -1

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


class Child:
    """A forked process that does some work when told to, and can be watched."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        start, self._go = os.pipe()
        self._said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYONE, 0, 0, 0)
                os.read(start, 1)
                work(lambda text: tell(say, text))
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        os.close(start)
        os.close(say)

    def go(self) -> None:
        os.write(self._go, b".")

    def wait(self) -> tuple[int | None, list[str]]:
        """Exit code (None where it was killed) and what it said."""
        with os.fdopen(self._said) as said:
            lines = said.read().splitlines()
        _, status = os.waitpid(self.pid, 0)
        os.close(self._go)
        return (os.WEXITSTATUS(status) if os.WIFEXITED(status) else None), lines


def tell(pipe: int, text: str) -> None:
    """Write a line; the pipe is ours, so a fault that hits it is not the memory's."""
    with contextlib.suppress(OSError):
        os.write(pipe, f"{text}\n".encode())
        return
    os.write(pipe, f"{text}\n".encode())


def traced(child: Child, *options: str) -> tuple[int | None, list[str]]:
    """Run the child under strace, from its start signal on."""
    command = ["strace", "-q", "-p", str(child.pid), "-e", f"trace={CALLS}", *options]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    status = Path(f"/proc/{child.pid}/status")
    deadline = time.monotonic() + 20
    while "TracerPid:\t0\n" in status.read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
            sys.exit(f"strace cannot attach: {tracer.communicate()[1].decode()}")
        time.sleep(0.001)
    child.go()
    ended = child.wait()
    tracer.communicate()
    return ended


def run(folder: Path, operation: Operation) -> Callable[[Callable[[str], None]], None]:
    """Open, do, acknowledge, close."""

    def work(say: Callable[[str], None]) -> None:
        with FaissMemory(folder, embedding()) as memory:
            operation(memory)
            say("done")

    return work


def run_with_faults(folder: Path, operation: Operation) -> Callable[[Callable[[str], None]], None]:
    """As `run`; after a failure, look whether the memory still reads and takes no more writes."""

    def work(say: Callable[[str], None]) -> None:
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


def calls_of(work: Callable[[Callable[[str], None]], None], log: Path) -> Counter[str]:
    """How often the work makes each call."""
    code, said = traced(Child(work), "-o", str(log))
    assert (code, said[-1:]) == (0, ["done"]), said
    names = (line.partition("(")[0] for line in log.read_text().splitlines() if "(" in line)
    return Counter(name for name in names if name in CALLS.split(","))


def spread(points: list[Any], count: int) -> list[Any]:
    if not count or len(points) <= count:
        return points
    return [points[i * len(points) // count] for i in range(count)]


def in_child(work: Callable[[], Any]) -> Any:
    """The result of the work, done in a process of its own (FAISS and forks do not mix)."""
    child = Child(lambda say: say(json.dumps(work())))
    child.go()
    code, lines = child.wait()
    assert code == 0, "the check failed"
    return json.loads(lines[0])


def sweep(folder: Path, count: int, *, faults: bool) -> str:
    """Every operation at every call; the summary."""
    base(folder / "base")
    for name, operation in OPERATIONS.items():  # so that what is imported late is there
        shutil.copytree(folder / "base", folder / f"warm-{name}")
        run(folder / f"warm-{name}", operation)(lambda _: None)
    before = in_child(partial(content, folder / "base"))
    after: dict[str, Any] = {}
    points: list[tuple[str, str, int, str]] = []
    for name, operation in OPERATIONS.items():
        copy = folder / f"count-{name}"
        shutil.copytree(folder / "base", copy)
        for call, times in sorted(calls_of(run(copy, operation), folder / "log").items()):
            for k in range(1, times + 1):
                if not faults:
                    points.append((name, call, k, "signal=SIGKILL"))
                    continue
                points.append((name, call, k, "error=EIO"))
                if call in NEED_ROOM:
                    points.append((name, call, k, "error=ENOSPC"))
        after[name] = in_child(partial(content, copy))
    chosen = spread(points, count)
    for number, (name, call, k, harm) in enumerate(chosen):
        copy = folder / f"try{number}"
        shutil.copytree(folder / "base", copy)
        how = (run_with_faults if faults else run)(copy, OPERATIONS[name])
        code, said = traced(Child(how), "-o", "/dev/null", "-e", f"inject={call}:{harm}:when={k}")
        now = in_child(partial(content, copy))
        is_done = "done" in said
        place = f"{name}, {call} {k}, {harm}: exit {code}, said {said}"
        if not faults and code is not None:
            sys.exit(f"{place}: it was not killed")
        if faults and (code != 0 or any("took more" in line for line in said)):
            sys.exit(f"{place}: no typed error, or more was written after it")
        if is_done and now != after[name]:
            sys.exit(f"{place}: acknowledged, but not there")
        if now not in (before, after[name]):
            sys.exit(f"{place}: neither as before nor as after")
        shutil.rmtree(copy)
    return f"{len(chosen)} of {len(points)} points"


def random_kills(folder: Path, count: int) -> str:
    """A child changes notes until it is killed; what it acknowledged must be there."""
    generator = random.Random(7)
    for number in range(count or 300):
        copy = folder / f"kill{number}"
        seed = generator.random()

        def work(say: Callable[[str], None], copy: Path = copy, seed: float = seed) -> None:
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


def naive(folder: Path, count: int) -> str:
    """The control: the same kills do harm to a store that just writes its files."""
    from langchain_community.vectorstores import FAISS

    def names(store: FAISS) -> dict[str, str]:
        return {
            id: store.get_by_ids([id])[0].page_content for id in store.index_to_docstore_id.values()
        }

    def load(copy: Path) -> FAISS:
        return FAISS.load_local(str(copy), embedding(), allow_dangerous_deserialization=True)

    def work_on(copy: Path) -> Callable[[Callable[[str], None]], None]:
        def work(say: Callable[[str], None]) -> None:
            store = load(copy)
            store.add_texts([f"text {n} of the note" for n in range(30, 130)])
            store.save_local(str(copy))
            say("done")

        return work

    def is_whole(copy: Path) -> bool:
        try:
            store = load(copy)
            return store.index.ntotal == len(store.index_to_docstore_id) and all(
                names(store)[document.id] == document.page_content
                for document in store.similarity_search("text", k=200)
                if document.id is not None
            )
        except Exception:  # whatever a torn pickle raises
            return False

    texts = [f"text {n} of the note" for n in range(30)]
    FAISS.from_texts(texts, embedding()).save_local(str(folder / "base"))
    shutil.copytree(folder / "base", folder / "count")
    work_on(folder / "count")(lambda _: None)
    calls = calls_of(work_on(folder / "count"), folder / "log")
    points = [(call, k) for call, times in calls.items() for k in range(1, times + 1)]
    broken = 0
    for number, (call, k) in enumerate(spread(points, count)):
        copy = folder / f"try{number}"
        shutil.copytree(folder / "base", copy)
        traced(
            Child(work_on(copy)), "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={k}"
        )
        broken += not in_child(partial(is_whole, copy))
    return f"{broken} broken"


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
    if how == "naive":
        print(naive(folder, count))
    elif how == "random":
        print(random_kills(folder, count))
    else:
        print(sweep(folder, count, faults=how == "fault"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
