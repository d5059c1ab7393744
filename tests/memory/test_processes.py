"""Several processes on one memory at once: nothing lost, nothing torn, nobody told it is locked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memory.errors import StoreBusy
from memory.store import FaissMemory
from tests.long_list import in_full
from tests.memory.words import WordEmbeddings

ROOT = Path(__file__).parents[2]


def python(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=240,
    )


@pytest.mark.stress("memory")
def test_four_writers_and_eight_readers(tmp_path: Path) -> None:
    script = str(Path(__file__).parent / "busy.py")
    done = python(script, str(tmp_path / "memory"), "60" if in_full() else "5")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found["writes"] > 20
    assert found["looks"] > 20
    for kind in ("errors", "torn", "lost", "problems"):
        assert found[kind] == []


OPEN = """if True:
    import sys
    from pathlib import Path
    from memory.store import FaissMemory
    from tests.memory.words import WordEmbeddings
    with FaissMemory(Path(sys.argv[1]), WordEmbeddings()) as memory:
        memory.add_texts([f"by {sys.argv[2]}"], ids=[sys.argv[2]])
"""


LOOK = """if True:
    import sys
    from pathlib import Path
    import memory.database
    from memory.errors import StoreBusy
    from memory.store import FaissMemory
    from tests.memory.words import WordEmbeddings
    memory.database.PATIENCE_SECONDS = 0.1
    try:
        with FaissMemory(Path(sys.argv[1]), WordEmbeddings(), read_only=True) as opened:
            print(opened.count())
    except StoreBusy:
        print("busy")
"""


def test_a_second_memory_in_the_writers_process_does_not_end_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [f"n{n}" for n in range(300)]
    monkeypatch.setattr("memory.database.PATIENCE_SECONDS", 0.1)
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        with memory._notes.writing() as db:
            db.execute("pragma cache_size=1")  # so that half of it is in the file already
            vectors = np.ones((len(ids), 16), np.float32)
            memory._notes.put(ids, ids, ["{}"] * len(ids), vectors)
            with pytest.raises(StoreBusy):
                FaissMemory(tmp_path, WordEmbeddings())
            # A reader that finds the journal but no lock takes the writer for dead and undoes it.
            assert python("-c", LOOK, str(tmp_path)).stdout == "busy\n"
        with FaissMemory(tmp_path, WordEmbeddings()) as second:
            second.add_texts(["by the second"], ids=["second"])
            memory.add_texts(["by the first"], ids=["first"])
            assert second.count() == memory.count() == len(ids) + 2
    assert python("-c", LOOK, str(tmp_path)).stdout == f"{len(ids) + 2}\n"


def test_processes_that_open_a_new_memory_at_once_make_one(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    names = [f"process-{n}" for n in range(3)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(folder), name],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in names
    ]
    assert [process.wait(timeout=60) for process in started] == [0] * len(names)
    with FaissMemory(folder, WordEmbeddings()) as memory:
        assert {document.id for document in memory.scan()} == set(names)


def test_an_open_memory_sees_what_another_process_wrote_and_deleted(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["by nobody"], ids=["nobody"])
        assert len(memory.similarity_search("by", k=5)) == 1
        assert python("-c", OPEN, str(tmp_path), "other").returncode == 0
        assert memory.similarity_search("by other", k=1)[0].id == "other"
        with FaissMemory(tmp_path, WordEmbeddings()) as second:
            second.delete(["other"])
        assert [found.id for found in memory.similarity_search("by other", k=5)] == ["nobody"]


def test_a_reader_whose_notes_were_compacted_starts_anew(tmp_path: Path) -> None:
    with (
        FaissMemory(tmp_path, WordEmbeddings()) as memory,
        FaissMemory(tmp_path, WordEmbeddings(), read_only=True) as reader,
    ):
        memory.add_texts(["one", "two", "three"], ids=["1", "2", "3"])
        assert len(reader.similarity_search("one", k=5)) == 3
        memory.delete(["1"])
        memory.compact()
        assert reader.verify() == []
        assert {found.id for found in reader.similarity_search("one", k=5)} == {"2", "3"}


def test_a_forked_child_is_told_to_open_the_memory_itself(tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        from pathlib import Path
        from memory.errors import StoreClosed
        from memory.store import FaissMemory
        from tests.memory.words import WordEmbeddings
        with FaissMemory(Path(sys.argv[1]), WordEmbeddings()) as memory:
            pid = os.fork()
            if not pid:
                try:
                    memory.add_texts(["mine"])
                except StoreClosed as error:
                    print(error, flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
            memory.add_texts(["the parent's"])
            print(memory.count())
    """
    done = python("-c", code, str(tmp_path))
    assert "was opened by another process; open it here anew" in done.stdout, done.stderr
    assert done.stdout.endswith("\n1\n")
