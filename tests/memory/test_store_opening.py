"""Opening a FaissMemory: other versions, foreign files, reading only, folders not there."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from memory import migrations
from memory.errors import (
    ReadOnly,
    StoreClosed,
    StoreDamaged,
    StoreMissing,
    StoreTooNew,
    WriteFailed,
)
from memory.store import FaissMemory
from tests.memory.found import ids_of
from tests.memory.words import WordEmbeddings

ROOT = Path(__file__).parents[2]


def test_a_store_of_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = (*migrations.MIGRATIONS, lambda db: None)
    with monkeypatch.context() as later:
        later.setattr("memory.database.MIGRATIONS", steps)
        FaissMemory(tmp_path, WordEmbeddings()).close()
    before = (tmp_path / "notes.sqlite").read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreTooNew, match="format 2, this Tuneward reads up to 1"):
            FaissMemory(tmp_path, WordEmbeddings(), read_only=read_only)
    assert (tmp_path / "notes.sqlite").read_bytes() == before


def test_a_store_of_an_older_version_is_brought_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["old"], ids=["a"])
    steps = (*migrations.MIGRATIONS, lambda db: db.execute("create table more (x)"))
    monkeypatch.setattr("memory.database.MIGRATIONS", steps)
    with pytest.raises(ReadOnly, match="older format; open it once for writing"):
        FaissMemory(tmp_path, WordEmbeddings(), read_only=True)
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        assert ids_of(memory.similarity_search("old")) == ["a"]
        assert memory._notes.database._version() == 2


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"x" * 5_000])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes.sqlite").write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"notes\.sqlite is damaged"):
        FaissMemory(tmp_path, WordEmbeddings())
    assert (tmp_path / "notes.sqlite").read_bytes() == content


def test_somebody_elses_database(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "notes.sqlite")
    db.execute("create table theirs (x)")
    db.commit()
    db.close()
    with pytest.raises(StoreDamaged, match="is a database, but no memory"):
        FaissMemory(tmp_path, WordEmbeddings())


def test_reading_only_changes_nothing(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(5)], ids=list("abcde"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with FaissMemory(tmp_path, WordEmbeddings(), read_only=True) as memory:
        assert ids_of(memory.similarity_search("note 3", k=1)) == ["d"]
        for write in (
            lambda: memory.add_texts(["x"]),
            lambda: memory.delete(["a"]),
            lambda: memory.update_metadata({"a": {}}),
            memory.compact,
        ):
            with pytest.raises(ReadOnly, match="opened for reading only"):
                write()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("read_only", [True, False])
def test_what_a_killed_writer_left_half_done_is_undone(tmp_path: Path, read_only: bool) -> None:
    with FaissMemory(tmp_path / "memory", WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(200)])
        expected = memory.verify(), list(memory.scan())
        with memory._notes.writing() as db:
            db.execute("pragma cache_size=1")  # so that half of it is in the file already
            db.execute("update notes set text = 'torn'")
            shutil.copytree(tmp_path / "memory", tmp_path / "killed")
    assert (tmp_path / "killed" / "notes.sqlite-journal").stat().st_size > 10_000
    with FaissMemory(tmp_path / "killed", WordEmbeddings(), read_only=read_only) as memory:
        assert (memory.verify(), list(memory.scan())) == expected


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.system
def test_a_folder_that_may_not_be_written(tmp_path: Path, read_only: bool) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["kept"], ids=["a"])
    code = f"""
from pathlib import Path; from memory.store import FaissMemory; from memory.errors import ReadOnly
from tests.memory.words import WordEmbeddings
try:
    with FaissMemory(Path("{tmp_path}"), WordEmbeddings(), read_only={read_only}) as memory:
        print([d.id for d in memory.similarity_search("kept")])
except ReadOnly as error:
    print("ReadOnly:", error)
"""
    mount = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    script = f"{mount} && cd {ROOT} && {sys.executable} -c '{code}'"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare on this machine")
    if done.returncode and "mount" in done.stderr.lower():
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    if read_only:
        assert done.stdout == "['a']\n", done.stderr
    else:
        assert "may not be written (Read-only file system); open the memory for" in done.stdout


def test_a_commit_waits_until_the_folder_is_on_the_disk_too(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        [(level,)] = memory._notes.database.connection.execute("pragma synchronous")
        assert level == 3  # EXTRA: else a power cut brings the journal back, which undoes it


def test_a_link_in_place_of_the_notes_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "notes.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WriteFailed, match="is a link"):
        FaissMemory(tmp_path / "memory", WordEmbeddings())


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="no memory in"):
        FaissMemory(tmp_path / "nothere", WordEmbeddings(), read_only=True)
    assert not (tmp_path / "nothere").exists()
    assert not FaissMemory.exists(tmp_path / "nothere")


def test_after_closing(tmp_path: Path) -> None:
    memory = FaissMemory(tmp_path, WordEmbeddings())
    memory.close()
    memory.close()
    for use in (lambda: memory.add_texts(["x"]), memory.count, lambda: memory.get_by_ids(["a"])):
        with pytest.raises(StoreClosed, match="was closed; open it again"):
            use()
