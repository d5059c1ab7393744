"""FaissMemory through its public door: what is kept, what is found, what is refused."""

import logging
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from memory import migrations
from memory.errors import (
    BadFilter,
    BadNote,
    EmbedderChanged,
    ReadOnly,
    StoreClosed,
    StoreDamaged,
    StoreMissing,
    StoreTooNew,
)
from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path / "memory", WordEmbeddings()) as memory:
        yield memory


def ids_of(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_notes_outlive_the_process_that_wrote_them(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["the invoice is due on Monday"], [{"kind": "note"}], ids=["invoice"])
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        assert memory.similarity_search("when is the invoice due", k=1) == [
            Document("the invoice is due on Monday", id="invoice", metadata={"kind": "note"})
        ]


def test_importing_it_loads_neither_torch_nor_faiss() -> None:
    code = "import sys, memory.store; print({'torch', 'faiss', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def test_adding_does_not_load_faiss(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        from pathlib import Path
        from memory.store import FaissMemory
        from tests.memory.words import WordEmbeddings
        with FaissMemory(Path({str(tmp_path)!r}), WordEmbeddings()) as memory:
            memory.add_texts(["one"])
        print("faiss" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr


def test_a_note_with_the_same_id_is_replaced(memory: FaissMemory) -> None:
    memory.add_texts(["red fox"], [{"v": 1}], ids=["a"])
    memory.add_texts(["blue whale", "green frog"], [{"v": 2}, {"v": 3}], ids=["a", "b"])
    assert memory.count() == 2
    assert memory.count({"v": 1}) == 0
    assert memory.similarity_search("blue whale", k=1)[0].metadata == {"v": 2}
    assert "red fox" not in [d.page_content for d in memory.similarity_search("red fox", k=5)]


def test_of_one_id_twice_in_a_call_the_last_counts(memory: FaissMemory) -> None:
    assert memory.add_texts(["first", "second"], ids=["a", "a"]) == ["a", "a"]
    assert [d.page_content for d in memory.scan()] == ["second"]


def test_some_ids_may_be_left_to_the_memory(memory: FaissMemory) -> None:
    made = memory.add_documents([Document("one", id="a"), Document("two")])
    assert made[0] == "a"
    assert [d.page_content for d in memory.get_by_ids(made)] == ["one", "two"]


def test_vectors_may_be_given(memory: FaissMemory) -> None:
    vectors = np.eye(16)[:3] * 1e30  # of any length
    memory.add_vectors(["x", "y", "z"], vectors, [{"n": 0}, {"n": 1}, {"n": 2}], ["x", "y", "z"])
    found = memory.similarity_search_with_score_by_vector([0, 2, 1] + [0] * 13, k=3)
    assert [(d.id, round(score, 4)) for d, score in found] == [
        ("y", round(2 / math.sqrt(5), 4)),
        ("z", round(1 / math.sqrt(5), 4)),
        ("x", 0.0),
    ]


def test_a_filter_is_applied_before_the_search(memory: FaissMemory) -> None:
    memory.add_texts([f"red {n}" for n in range(200)], [{"kind": "common"}] * 200)
    memory.add_texts(["something else"], [{"kind": "rare"}], ids=["rare"])
    assert ids_of(memory.similarity_search("red 7", k=3, filter={"kind": "rare"})) == ["rare"]


def test_a_filter_is_asked_anew_after_a_change(memory: FaissMemory) -> None:
    memory.add_texts(["red", "blue"], [{"uses": 1}, {"uses": 2}], ids=["a", "b"])
    assert ids_of(memory.similarity_search("red", filter={"uses": 1})) == ["a"]
    memory.update_metadata({"b": {"uses": 1, "helped": 1}, "nobody": {}})
    assert set(ids_of(memory.similarity_search("red", filter={"uses": 1}))) == {"a", "b"}
    assert memory.get_by_ids(["b"])[0].metadata == {"uses": 1, "helped": 1}
    assert memory.verify() == []


def test_relevance_is_between_0_and_1(memory: FaissMemory) -> None:
    vectors = np.array([[1.0] + [0] * 15, [-1.0] + [0] * 15])
    memory.add_vectors(["same", "opposite"], vectors)
    relevance = memory._select_relevance_score_fn()
    hits = memory.similarity_search_with_score_by_vector([1] + [0] * 15, k=2)
    assert [(d.page_content, relevance(score)) for d, score in hits] == [
        ("same", 1.0),
        ("opposite", 0.0),
    ]
    found = memory.similarity_search_with_relevance_scores("anything", k=2, score_threshold=0.0)
    assert len(found) == 2


def test_mmr_prefers_what_is_unlike(memory: FaissMemory) -> None:
    vectors = np.zeros((3, 16))
    vectors[:, 0], vectors[1, 1], vectors[2, 2] = 1, 0.01, 1
    memory.add_vectors(["near", "its twin", "other"], vectors)
    query = [1.0] + [0.0] * 15
    plain = memory.similarity_search_by_vector(query, k=2)
    diverse = memory.max_marginal_relevance_search_by_vector(query, k=2, lambda_mult=0.3)
    assert [d.page_content for d in plain] == ["near", "its twin"]
    assert [d.page_content for d in diverse] == ["near", "other"]
    assert memory.max_marginal_relevance_search("near", k=2, filter={"x": 1}) == []


async def test_async_twins(memory: FaissMemory) -> None:
    await memory.aadd_texts(["red", "blue"], [{"n": 1}, {"n": 2}], ids=["a", "b"])
    assert ids_of(await memory.asimilarity_search("red", k=1, filter={"n": 2})) == ["b"]
    [(document, score)] = await memory.asimilarity_search_with_score("red", k=1)
    assert (document.id, round(score, 4)) == ("a", 1.0)
    assert len(await memory.amax_marginal_relevance_search("red", k=2)) == 2
    vector = WordEmbeddings().embed_query("blue")
    assert ids_of(await memory.asimilarity_search_by_vector(vector, k=1)) == ["b"]


def test_several_threads_may_use_it_at_once(memory: FaissMemory) -> None:
    def use(thread: int) -> int:
        found = 0
        for n in range(15):
            [id] = memory.add_texts([f"thread {thread} note {n}"], [{"thread": thread}])
            text = f"thread {thread} note {n}"
            hits = memory.similarity_search(text, k=1, filter={"thread": thread})
            found += hits[0].id == id
            if n % 3 == 0:
                memory.delete([id])
        return found

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(6))) == [15] * 6
    assert memory.count() == 60
    assert memory.verify() == []


def test_from_texts_makes_a_memory_in_a_folder(tmp_path: Path) -> None:
    with FaissMemory.from_texts(["one"], WordEmbeddings(), folder=tmp_path, ids=["a"]) as memory:
        assert ids_of(memory.similarity_search("one")) == ["a"]


def test_a_retriever_filters(memory: FaissMemory) -> None:
    memory.add_texts(["red", "blue"], [{"n": 1}, {"n": 2}], ids=["a", "b"])
    retriever = memory.as_retriever(search_kwargs={"k": 5, "filter": {"n": 2}})
    assert ids_of(retriever.invoke("red")) == ["b"]
    strict = memory.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.99}
    )
    assert ids_of(strict.invoke("red")) == ["a"]


def test_scan_reads_page_by_page_in_the_order_of_writing(memory: FaissMemory) -> None:
    texts = [f"note {n}" for n in range(1_201)]
    memory.add_texts(texts, [{"odd": n % 2} for n in range(1_201)])
    assert [d.page_content for d in memory.scan()] == texts
    assert len(list(memory.scan({"odd": 1}))) == 600


def test_delete_takes_ids_only(memory: FaissMemory) -> None:
    memory.add_texts(["one"], ids=["a"])
    for everything in (None, "a"):
        with pytest.raises(BadNote):
            memory.delete(everything)
    assert memory.delete([]) is True
    assert memory.delete(["nobody", "a\ud800"]) is True
    assert memory.count() == 1


# Bad input: a typed error, and nothing of the call is kept

BAD_TEXTS: list[Any] = [
    "",
    " \n\t",
    "half \ud83d a character",
    7,
    None,
    b"bytes",
    "x" * (16 << 20) + "x",
]
BAD_METADATA: list[Any] = [
    {"x": float("nan")}, {"x": float("inf")}, {"x": {1, 2}}, {"x": b"b"}, {1: "x"}, {"x": (1, 2)},
    {"x": "\ud800"}, {"\udfff": 1}, {"x": object()}, [("x", 1)], {str(n): n for n in range(1_001)},
    {"x": 10 ** 5_000},
]  # fmt: skip
BAD_VECTORS: list[Any] = [
    [float("nan")] * 16, [float("inf")] + [0.0] * 15, [0.0] * 16, [1.0] * 15, [1.0] * 17, [],
    ["a"] * 16, [[1.0]] * 16, None, 10 ** 400,
]  # fmt: skip
BAD_IDS: list[Any] = ["", 7, "\ud800", "x" * 1_001, b"x"]


def deep() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(100_000):
        inner = {"x": inner}
    return inner


@pytest.mark.parametrize("text", BAD_TEXTS, ids=range(len(BAD_TEXTS)))
def test_bad_texts(memory: FaissMemory, text: Any) -> None:
    with pytest.raises(BadNote, match="text 1: "):
        memory.add_texts(["fine", text])
    assert memory.count() == 0


@pytest.mark.parametrize("metadata", [*BAD_METADATA, deep()], ids=range(len(BAD_METADATA) + 1))
def test_bad_metadata(memory: FaissMemory, metadata: Any) -> None:
    memory.add_texts(["there"], [{"n": 1}], ids=["a"])
    with pytest.raises(BadNote):
        memory.add_texts(["fine", "not"], [{}, metadata], ids=["a", "b"])
    with pytest.raises((BadNote, TypeError)):
        memory.update_metadata({"a": metadata})
    assert [(d.page_content, d.metadata) for d in memory.scan()] == [("there", {"n": 1})]


@pytest.mark.parametrize("vector", BAD_VECTORS, ids=range(len(BAD_VECTORS)))
def test_bad_vectors(memory: FaissMemory, vector: Any) -> None:
    memory.add_texts(["there"])
    with pytest.raises(BadNote, match="vector"):
        memory.add_vectors(["fine", "not"], [[1.0] * 16, vector])
    with pytest.raises(BadNote):
        memory.similarity_search_by_vector(vector)
    assert memory.count() == 1


@pytest.mark.parametrize("id", BAD_IDS, ids=range(len(BAD_IDS)))
def test_bad_ids(memory: FaissMemory, id: Any) -> None:
    with pytest.raises(BadNote, match="id"):
        memory.add_texts(["fine", "not"], ids=["a", id])
    assert memory.count() == 0


def test_lists_of_unequal_length(memory: FaissMemory) -> None:
    calls: list[Callable[[], object]] = [
        lambda: memory.add_texts(["a", "b"], [{}]),
        lambda: memory.add_texts(["a"], ids=["1", "2"]),
        lambda: memory.add_vectors(["a", "b"], [[1.0] * 16]),
    ]
    for bad in calls:
        with pytest.raises(BadNote, match="for [12] texts"):
            bad()
    assert memory.count() == 0


ODD_TEXTS = [
    "a\0b", "\0", "x" * 1_000_000, "'; drop table notes; --", 'say "hi"', "%_", "\u202eabc",
    "é", "e\u0301", "🙂", "line\nbreak\r\n", "\ufeffbom", "\uffff", "{}",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_odd_texts_are_kept_as_they_are_everywhere(tmp_path: Path, text: str) -> None:
    id, data = text[:1_000], {text[:600]: text, "list": [text[:10], {"deep": None}]}
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([text, "other"], [data, {}], ids=[id, "other"])
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        expected = Document(text, id=id, metadata=data)
        assert memory.get_by_ids([id]) == [expected]
        assert memory.similarity_search(text, k=1) == [expected]
        assert memory.similarity_search(text, k=5, filter={text[:600]: text}) == [expected]
        memory.delete([id])
        assert ids_of(list(memory.scan())) == ["other"]
        assert memory.verify() == []


@pytest.mark.parametrize(
    "filter",
    [
        {f"k{n}": n for n in range(1_000_000)},
        {"k": {"$in": list(range(1_000_000))}},
        {"k": {"$where": "1"}},
        {"k": {}},
        {"k": {"$gt": None}},
        {"k": {"$in": "text"}},
        {"k": float("nan")},
        {"k": [1]},
        {"k": object()},
        {"\ud800": 1},
        {"k": "\ud800"},
        {1: 1},
        [("k", 1)],
        "k = 1",
    ],
    ids=range(14),
)
def test_bad_filters(memory: FaissMemory, filter: Any) -> None:
    memory.add_texts(["one"], [{"k": 1}])
    with pytest.raises(BadFilter):
        memory.similarity_search("one", filter=filter)
    with pytest.raises(BadFilter):
        memory.count(filter)
    with pytest.raises(BadFilter):
        list(memory.scan(filter))


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
    import sqlite3

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


# Embedders


def test_another_embedder_is_noticed_and_the_way_out_works(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(700)], ids=[str(n) for n in range(700)])
        memory.save_index()
    with pytest.raises(EmbedderChanged, match="tuneward memory verify --reembed"):
        FaissMemory(tmp_path, WordEmbeddings(8, "2"))
    with FaissMemory.with_new_embedder(tmp_path, WordEmbeddings(8, "2")) as memory:
        assert ids_of(memory.similarity_search("note 456", k=1)) == ["456"]
        assert memory.verify() == []
    with pytest.raises(EmbedderChanged):
        FaissMemory(tmp_path, WordEmbeddings())


def test_a_failing_embedder_leaves_the_old_vectors_and_a_second_try_goes_on(tmp_path: Path) -> None:
    class Failing(WordEmbeddings):
        seen = 0
        limit = 600

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.seen += len(texts)
            if self.seen > self.limit:
                raise RuntimeError("gone")
            return super().embed_documents(texts)

    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(700)])
        with pytest.raises(RuntimeError, match="gone"):
            memory.reembed(Failing(16, "2"))
        assert memory.similarity_search("note 456", k=1)[0].page_content == "note 456"
        assert memory.verify() == []
        second = Failing(16, "2")
        assert memory.reembed(second) == 700
        assert second.seen < 300  # 512 were done before
        assert memory.verify() == []


def test_an_open_memory_notices_that_others_re_embedded(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["one"])
        FaissMemory.with_new_embedder(tmp_path, WordEmbeddings(16, "2")).close()
        with pytest.raises(EmbedderChanged):
            memory.similarity_search("one")
        with pytest.raises(EmbedderChanged):
            memory.add_texts(["two"])


def test_an_empty_memory_takes_any_embedder(tmp_path: Path) -> None:
    FaissMemory(tmp_path, WordEmbeddings()).close()
    with FaissMemory(tmp_path, WordEmbeddings(8, "2")) as memory:
        memory.add_texts(["one"])
        assert len(memory.similarity_search("one")) == 1


def test_an_embedder_that_says_nothing_of_itself(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, DeterministicFakeEmbedding(size=12)) as memory:
        memory.add_texts(["one"])
        assert memory.fingerprint.model.endswith("DeterministicFakeEmbedding")
        assert memory.fingerprint.dimension == 12
    with pytest.raises(EmbedderChanged):
        FaissMemory(tmp_path, DeterministicFakeEmbedding(size=13))


# Damage and size


def test_a_damaged_row_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts([f"note {n}" for n in range(4)], ids=list("abcd"))
        with memory._notes.writing() as db:
            db.execute("update notes set text = 'note 9' where id = 'b'")
        with caplog.at_level(logging.WARNING):
            assert set(ids_of(memory.similarity_search("note 1", k=3))) == set("acd")
        assert "'b' is damaged" in caplog.text
        assert memory.get_by_ids(["b"]) == []
        assert memory.verify() == ["note 'b': its row is not what was written"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("update notes set vector = x'00' where id = 'b'", "its row is not what was written"),
        ("update notes set metadata = '{' where id = 'b'", "its row is not what was written"),
        ("delete from note_keys where fid = 2", "filters do not find its 'n'"),
        ("insert into note_keys values ('n', 9, 99)", "1 filter entries belong to no note"),
    ],
)
def test_verify_finds_every_kind_of_damage(tmp_path: Path, change: str, problem: str) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        memory.add_texts(["one", "two", "three"], [{"n": 1}] * 3, ids=["a", "b", "c"])
        assert memory.verify() == []
        with memory._notes.writing() as db:
            db.execute(change)
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        assert any(problem in found for found in memory.verify())
        assert set(ids_of(memory.similarity_search("one", k=3))) >= {"a", "c"}


def test_compacting_gives_room_back(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        ids = memory.add_texts([f"note-{n}-" * 50 for n in range(2_000)])
        memory.similarity_search("note")
        memory.delete(ids[100:])
        before = memory.stats()
        memory.compact()
        after = memory.stats()
        assert before.removed == 1_900
        assert after.removed == 0
        assert after.notes_bytes * 10 < before.notes_bytes
        assert after.indexed == after.notes == 100
        assert memory.similarity_search("note-7-" * 50, k=1)[0].page_content == "note-7-" * 50


def test_what_was_removed_long_ago_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.notes.REMEMBERED", 5)
    with (
        FaissMemory(tmp_path, WordEmbeddings()) as memory,
        FaissMemory(tmp_path, WordEmbeddings()) as late,
    ):
        memory.add_texts(["there from the start", "changing"], ids=["a", "b"])
        assert len(late.similarity_search("changing")) == 2
        for n in range(20):
            memory.add_texts([f"changing {n}"], ids=["b"])
        assert memory.stats().removed == 5
        found = [d.page_content for d in late.similarity_search("changing", k=5)]
        assert sorted(found) == ["changing 19", "there from the start"]
        assert late.verify() == []


def test_years_of_upserts_do_not_grow_the_files(tmp_path: Path) -> None:
    with FaissMemory(tmp_path, WordEmbeddings()) as memory:
        sizes = []
        for round in range(6):
            for n in range(20):
                memory.add_texts(
                    [f"note {n} round {round}"] * 10, ids=[f"{n}-{i}" for i in range(10)]
                )
            memory.compact()
            sizes.append(memory.stats().notes_bytes + memory.stats().index_bytes)
        assert max(sizes[1:]) <= sizes[0] * 1.2
