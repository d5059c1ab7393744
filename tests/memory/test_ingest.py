"""Taking documents into memory: only what changed, never half, and one bad file stops no other."""

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from memory.chunks import CUTTER, NoText, Section, lines
from memory.errors import DiskFull
from memory.ingest import IngestReport, ingest
from memory.store import FaissMemory
from models.hashing import HashingEmbedder

WORDS = ["refund", "invoice", "warehouse", "delivery", "customer", "price", "order", "truck"]


class Counting(HashingEmbedder):
    """Remembers which texts it embedded."""

    def __init__(self) -> None:
        super().__init__(32)
        self.texts: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return super().embed_documents(texts)


@pytest.fixture
def embedder() -> Counting:
    return Counting()


@pytest.fixture
def memory(tmp_path: Path, embedder: Counting) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path / "memory", embedder) as opened:
        yield opened
        assert opened.verify() == []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "manuals"
    folder.mkdir()
    return folder


def read(name: str, data: bytes) -> list[Section]:
    """Plain text; `.bin` files have none, `.bad` ones are broken."""
    if name.endswith(".bin"):
        raise NoText("it is no text")
    if name.endswith(".bad"):
        raise RecursionError("the library gave up")
    return [lines(data.decode())]


def take(memory: FaissMemory, root: Path, *paths: str) -> IngestReport:
    """What became of each source, named from the folder `root`."""
    report = ingest(paths or ["."], memory, root=root, read=read)
    return replace(
        report,
        added=[short(source) for source in report.added],
        changed=[short(source) for source in report.changed],
        unchanged=[short(source) for source in report.unchanged],
        removed=[short(source) for source in report.removed],
        failed={short(source): why for source, why in report.failed.items()},
        skipped={short(source): why for source, why in report.skipped.items()},
    )


def short(source: str) -> str:
    return source.rpartition("/manuals/")[2]


def held(memory: FaissMemory) -> list[tuple[str, str, str]]:
    """(source, position, text) of every chunk, sorted."""
    found = memory.scan({"kind": "chunk"})
    return sorted(
        (short(c.metadata["source"]), c.metadata["position"], c.page_content) for c in found
    )


def paragraphs(*numbers: int) -> str:
    """Each about as long as a chunk, so that each becomes one."""
    return "\n\n".join(f"Paragraph {n}. " + f"Words of paragraph {n}. " * 20 for n in numbers)


def test_a_chunk_says_what_it_is_and_where_from(memory: FaissMemory, root: Path) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "refunds.txt").write_text("first\nRefunds are paid in 14 days.")
    assert take(memory, root).added == ["docs/refunds.txt"]
    (chunk,) = memory.scan()
    facts = chunk.metadata
    assert chunk.page_content == "first\nRefunds are paid in 14 days."
    assert (facts["kind"], facts["origin"], facts["trust"]) == ("chunk", "document", "untrusted")
    assert facts["source"] == str((root / "docs" / "refunds.txt").resolve())
    assert facts["position"] == "lines 1-2"
    assert len(facts["sha256"]) == 64
    assert isinstance(facts["created"], float)


def test_what_did_not_change_is_not_read_again(
    memory: FaissMemory, root: Path, embedder: Counting
) -> None:
    for name in ("a.txt", "b.txt"):
        (root / name).write_text(paragraphs(1, 2) + name)
    take(memory, root)
    before, embedded = held(memory), len(embedder.texts)

    def unread(name: str, data: bytes) -> list[Section]:
        raise AssertionError(f"{name} was read again")

    report = ingest(["."], memory, root=root, read=unread)
    assert report == IngestReport(unchanged=[str(root / "a.txt"), str(root / "b.txt")])
    assert held(memory) == before
    assert len(embedder.texts) == embedded


def test_of_a_changed_file_only_new_passages_are_embedded(
    memory: FaissMemory, root: Path, embedder: Counting
) -> None:
    (root / "a.txt").write_text(paragraphs(1, 2, 3))
    take(memory, root)
    created = {c.page_content: c.metadata["created"] for c in memory.scan()}
    embedder.texts.clear()
    (root / "a.txt").write_text(paragraphs(0, 1, 2, 3))
    report = take(memory, root)
    assert report.changed == ["a.txt"]
    assert report.chunks_added == len(embedder.texts) == 1
    assert embedder.texts[0].startswith("Paragraph 0.")
    positions = {c.page_content[:12]: c.metadata["position"] for c in memory.scan()}
    assert positions["Paragraph 3."] == "line 7"
    for chunk in memory.scan():
        assert (
            created.get(chunk.page_content, chunk.metadata["created"]) == chunk.metadata["created"]
        )


def test_a_file_that_shrank_loses_its_chunks(memory: FaissMemory, root: Path) -> None:
    (root / "a.txt").write_text(paragraphs(1, 2, 3))
    take(memory, root)
    (root / "a.txt").write_text(paragraphs(2))
    report = take(memory, root)
    assert (report.changed, report.chunks_added, report.chunks_removed) == (["a.txt"], 0, 2)
    assert [text[:12] for _, _, text in held(memory)] == ["Paragraph 2."]


def test_the_same_passage_twice_in_a_file_is_kept_twice(memory: FaissMemory, root: Path) -> None:
    (root / "a.txt").write_text(paragraphs(1, 2, 1))
    take(memory, root)
    assert [position for _, position, _ in held(memory)] == ["line 1", "line 3", "line 5"]
    assert take(memory, root).unchanged == ["a.txt"]


def test_the_same_text_in_two_files_is_kept_for_both(memory: FaissMemory, root: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (root / name).write_text("the same")
    take(memory, root)
    (root / "a.txt").unlink()
    assert take(memory, root).removed == ["a.txt"]
    assert [source for source, _, _ in held(memory)] == ["b.txt"]


@pytest.mark.parametrize("path", [".", "docs", "docs/a.txt"])
def test_what_is_gone_is_removed(memory: FaissMemory, root: Path, path: str) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "a.txt").write_text("text")
    (root / "b.txt").write_text("text")
    take(memory, root)
    (root / "docs" / "a.txt").unlink()
    report = take(memory, root, path)
    assert (report.removed, report.failed) == (["docs/a.txt"], {})
    assert [source for source, _, _ in held(memory)] == ["b.txt"]


def test_a_folder_that_is_gone_takes_its_files_along(memory: FaissMemory, root: Path) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "a.txt").write_text("text")
    take(memory, root)
    (root / "docs" / "a.txt").unlink()
    (root / "docs").rmdir()
    report = take(memory, root, "docs")
    assert (report.removed, report.failed) == (["docs/a.txt"], {})


def test_two_folders_with_the_same_names_in_them_are_kept_apart(
    memory: FaissMemory, tmp_path: Path
) -> None:
    for project in ("a", "b"):
        (tmp_path / project / "docs").mkdir(parents=True)
        (tmp_path / project / "docs" / "same.txt").write_text(f"of {project}")
    (tmp_path / "a" / "docs" / "other.txt").write_text("only in a")
    for project in ("a", "b"):
        report = ingest(["docs"], memory, root=tmp_path / project, read=read)
        assert (report.changed, report.removed) == ([], [])
    assert {chunk.page_content for chunk in memory.scan()} == {"of a", "only in a", "of b"}


def test_a_folder_reached_through_a_link_is_the_same_folder(
    memory: FaissMemory, root: Path, tmp_path: Path
) -> None:
    (root / "a.txt").write_text("text")
    take(memory, root)
    (tmp_path / "link").symlink_to(root)
    report = ingest([tmp_path / "link"], memory, root=tmp_path, read=read)
    assert report.unchanged == [str((root / "a.txt").resolve())]


def test_a_relative_source_of_an_earlier_version_is_left_alone_and_named(
    memory: FaissMemory, root: Path
) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "a.txt").write_text("new")
    earlier = {"kind": "chunk", "cutter": 1}
    memory.add_texts(
        ["old", "elsewhere"],
        [{**earlier, "source": "docs/gone.txt"}, {**earlier, "source": "other/b.txt"}],
    )
    report = take(memory, root, "docs")
    assert (report.added, report.removed) == (["docs/a.txt"], [])
    assert report.unplaced == ["docs/gone.txt"]
    assert memory.count() == 3


def test_what_was_named_once_stays_when_its_folder_is_named(
    memory: FaissMemory, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "target.txt").write_text("behind a link")
    (root / "link.txt").symlink_to(tmp_path / "target.txt")
    (root / ".hidden.txt").write_text("hidden")
    (root / "plain.txt").write_text("plain")
    take(memory, root, "link.txt", ".hidden.txt")
    report = take(memory, root)
    assert (report.added, report.removed) == (["plain.txt"], [])
    assert [source for source, _, _ in held(memory)] == [".hidden.txt", "link.txt", "plain.txt"]
    (root / "link.txt").unlink()
    (root / ".hidden.txt").unlink()
    assert take(memory, root).removed == [".hidden.txt", "link.txt"]


def test_what_was_not_asked_for_stays(memory: FaissMemory, root: Path) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "a.txt").write_text("text")
    (root / "b.txt").write_text("text")
    take(memory, root)
    memory.add_texts(["a note of the user"], [{"kind": "note", "source": "docs/x"}], ids=["mine"])
    (root / "b.txt").unlink()
    assert take(memory, root, "docs").removed == []
    assert {source for source, _, _ in held(memory)} == {"docs/a.txt", "b.txt"}
    (root / "docs" / "a.txt").unlink()
    take(memory, root)
    assert [note.id for note in memory.scan()] == ["mine"]


def test_a_path_that_never_was_is_a_failure(memory: FaissMemory, root: Path) -> None:
    (root / "a.txt").write_text("text")
    report = take(memory, root, "typo.txt", "a.txt")
    assert report.failed == {"typo.txt": "there is no such file or folder"}
    assert report.added == ["a.txt"]


def test_one_broken_file_stops_no_other(memory: FaissMemory, root: Path) -> None:
    (root / "1.txt").write_text("first")
    (root / "2.bad").write_text("broken")
    (root / "3.bin").write_bytes(b"\0\1")
    (root / "4.txt").write_bytes(b"\xff\xfe\xff")
    (root / "5.txt").write_text("last")
    report = take(memory, root)
    assert report.added == ["1.txt", "5.txt"]
    assert report.failed["2.bad"] == "the library gave up"
    assert "codec can't decode" in report.failed["4.txt"]
    assert report.skipped == {"3.bin": "it is no text"}


def test_a_file_without_text_that_was_named_is_a_failure(memory: FaissMemory, root: Path) -> None:
    (root / "3.bin").write_bytes(b"\0")
    (root / "blank.txt").write_text(" \n")
    report = take(memory, root, "3.bin", "blank.txt")
    assert report.failed == {"3.bin": "it is no text", "blank.txt": "it has no text"}


def test_what_memory_had_of_a_file_that_broke_is_kept(memory: FaissMemory, root: Path) -> None:
    (root / "a.txt").write_text("sound")
    take(memory, root)
    (root / "a.txt").write_bytes(b"\xff\xfe\xff")
    assert list(take(memory, root).failed) == ["a.txt"]
    assert [text for _, _, text in held(memory)] == ["sound"]


def test_a_file_that_was_emptied_has_nothing_in_memory(memory: FaissMemory, root: Path) -> None:
    (root / "a.txt").write_text("text")
    take(memory, root)
    (root / "a.txt").write_text("")
    report = take(memory, root)
    assert (report.skipped, report.chunks_removed) == ({"a.txt": "it has no text"}, 1)
    assert held(memory) == []


def test_a_file_of_two_gigabytes_is_refused_before_it_is_read(
    memory: FaissMemory, root: Path
) -> None:
    with (root / "huge.txt").open("wb") as file:
        file.truncate(2 << 30)
    (root / "small.txt").write_text("text")
    report = take(memory, root)
    assert report.failed == {"huge.txt": "it has 2,147,483,648 bytes; at most 67,108,864 are read"}
    assert report.added == ["small.txt"]


def test_a_folder_that_cannot_be_listed_loses_nothing(
    memory: FaissMemory, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "a.txt").write_text("text")
    take(memory, root)
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("docs"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    report = take(memory, root)
    assert (report.removed, list(report.failed)) == ([], ["docs"])
    assert len(held(memory)) == 1


def test_what_a_killed_run_left_is_mended(memory: FaissMemory, root: Path) -> None:
    (root / "a.txt").write_text(paragraphs(1, 2, 3))
    take(memory, root)
    whole = held(memory)
    memory.delete([next(iter(memory.scan())).id or ""])
    assert take(memory, root).changed == ["a.txt"]
    assert held(memory) == whole


def test_a_full_disk_is_not_taken_for_a_broken_file(root: Path) -> None:
    (root / "a.txt").write_text("text")

    class Full:
        def scan(self, filter: object = None) -> Iterator[Any]:
            return iter(())

        def add_documents(self, documents: object, *, ids: object) -> list[str]:
            raise DiskFull("no room")

        def update_metadata(self, changes: object) -> int:
            return 0

        def delete(self, ids: object = None) -> None:
            return None

    with pytest.raises(DiskFull):
        ingest(["."], Full(), root=root, read=read)


def test_everything_is_cut_anew_when_the_cutter_changed(
    memory: FaissMemory, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a.txt").write_text("text")
    take(memory, root)
    monkeypatch.setattr("memory.ingest.CUTTER", CUTTER + 1)
    assert take(memory, root).changed == ["a.txt"]
    assert take(memory, root).unchanged == ["a.txt"]


def test_small_files_are_embedded_together_and_large_ones_in_parts(
    memory: FaissMemory, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    add = memory.add_documents

    def counted(documents: list[Document], **how: Any) -> list[str]:
        sizes.append(len(documents))
        return add(documents, **how)

    monkeypatch.setattr(memory, "add_documents", counted)
    for number in range(40):
        (root / f"{number:02}.txt").write_text(f"text {number}")
    (root / "large.txt").write_text(paragraphs(*range(25)))
    monkeypatch.setattr("memory.ingest.TOGETHER", 30)
    monkeypatch.setattr("memory.ingest.CALL", 20)
    assert len(take(memory, root).added) == 41
    assert sizes == [20, 10, 20, 15]
    assert len(held(memory)) == 65
    assert len(take(memory, root).unchanged) == 41


def test_half_characters_from_a_reader_stop_nothing(memory: FaissMemory, root: Path) -> None:
    (root / "a.txt").write_text("x")
    ingest(["."], memory, root=root, read=lambda name, data: [lines("half \ud800 here")])
    assert held(memory) == [("a.txt", "line 1", "half ? here")]


def test_progress_counts_the_files(memory: FaissMemory, root: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (root / name).write_text("text")
    told: list[tuple[str, int, int]] = []
    ingest(["."], memory, root=root, read=read, progress=lambda *said: told.append(said))
    assert told == [(str(root / "a.txt"), 0, 2), (str(root / "b.txt"), 1, 2)]


@pytest.mark.parametrize("seed", range(6))
def test_after_any_edits_memory_is_as_if_taken_in_afresh(
    memory: FaissMemory, root: Path, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    names = ["a.txt", "b.txt", "docs/c.txt", "docs/d.txt", "docs/deep/e.txt"]

    def text() -> str:
        kept = [chance.choice(WORDS) * chance.randint(1, 40) for _ in range(chance.randint(0, 60))]
        return chance.choice([" ", "\n", "\n\n"]).join(kept)

    def edited(old: str) -> str:
        at = chance.randint(0, len(old))
        return old[:at] + text() + old[at + chance.randint(0, 200) :]

    for _ in range(8):
        for name in chance.sample(names, 2):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and chance.random() < 0.3:
                path.unlink()
            else:
                path.write_text(edited(path.read_text()) if path.exists() else text())
        take(memory, root)
    with FaissMemory(tmp_path / "fresh", HashingEmbedder(32)) as fresh:
        take(fresh, root)
        assert held(memory) == held(fresh)
