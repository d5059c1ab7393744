"""Kills `ingest` at each system call that changes the disk: `python traced_ingest.py FOLDER COUNT`.

A memory holds two documents; meanwhile one was edited, one removed and a third written. The run
that brings memory up to date is killed before its k-th call of each kind. COUNT points are tried,
evenly spread, all where it is 0. Prints how many; stops at the first that broke a promise.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

import faiss  # noqa: F401  # here, so that no child has to

from memory.chunks import Section, lines
from memory.ingest import IngestReport, ingest
from memory.store import FaissMemory
from models.hashing import HashingEmbedder
from tests.memory.strace import Say, Work, calls_of, copies, harmed, in_child, kills, spread

Held = list[tuple[str, str, str]]


def paragraphs(*numbers: int) -> str:
    """Each about as long as a chunk, so that each becomes one."""
    return "\n\n".join(f"Paragraph {n}. " + f"Words of paragraph {n}. " * 20 for n in numbers)


def read(_: str, data: bytes) -> list[Section]:
    return [lines(data.decode())]


def write_old(root: Path) -> None:
    root.mkdir()
    (root / "edited.txt").write_text(paragraphs(*range(12)))
    (root / "removed.txt").write_text(paragraphs(50, 51))


def write_new(root: Path) -> None:
    (root / "edited.txt").write_text(paragraphs(99, *range(3, 12), 98))
    (root / "removed.txt").unlink()
    (root / "added.txt").write_text(paragraphs(70, 71))


def take(memory: FaissMemory, root: Path) -> IngestReport:
    return ingest(["."], memory, root=root, read=read)


def embedder() -> HashingEmbedder:
    return HashingEmbedder(16)


def take_in(copy: Path, root: Path) -> Work:
    def work(say: Say) -> None:
        with FaissMemory(copy, embedder()) as memory:
            take(memory, root)
            say("done")

    return work


def held(memory: FaissMemory) -> Held:
    return sorted(
        (chunk.metadata["source"], chunk.metadata["position"], chunk.page_content)
        for chunk in memory.scan()
    )


def held_in(copy: Path) -> Held:
    with FaissMemory(copy, embedder()) as memory:
        assert memory.verify() == []
        return held(memory)


def mended(copy: Path, root: Path) -> Held:
    """What the next run makes of it."""
    with FaissMemory(copy, embedder()) as memory:
        take(memory, root)
        assert take(memory, root).chunks_added == 0
        assert memory.verify() == []
        return held(memory)


def main(folder: Path, count: int) -> None:
    root = folder / "root"
    write_old(root)
    for name in ("base", "warm"):
        with FaissMemory(folder / name, embedder()) as memory:
            take(memory, root)
    before = in_child(partial(held_in, folder / "base"))
    write_new(root)
    take_in(folder / "warm", root)(lambda _: None)  # so that what is imported late is there
    shutil.copytree(folder / "base", folder / "count")
    calls = calls_of(take_in(folder / "count", root), folder / "log")
    after = in_child(partial(held_in, folder / "count"))
    assert len(before) == 14
    assert len(after) == 13
    possible = {(source, text) for source, _, text in [*before, *after]}
    lasting = {(s, t) for s, _, t in before} & {(s, t) for s, _, t in after}
    points = kills(calls)
    chosen = spread(points, count)
    for copy, point in copies(folder / "base", chosen):
        code, said = harmed(take_in(copy, root), point)
        if code is not None:
            sys.exit(f"{point}: it was not killed, exit {code}")
        found = in_child(partial(held_in, copy))
        texts = {(source, text) for source, _, text in found}
        if not lasting <= texts <= possible or len(found) != len(texts):
            sys.exit(f"{point}: passages are lost, torn or double: {found}")
        if "done" in said and found != after:
            sys.exit(f"{point}: acknowledged, but not there")
        if in_child(partial(mended, copy, root)) != after:
            sys.exit(f"{point}: the next run does not mend it")
    print(f"{len(chosen)} of {len(points)} points")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
