"""Folders that LangChain community's FAISS store saved: taken over whole, run by nobody."""

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memory.community import import_community
from memory.errors import BadImport, BadNote
from memory.store import FaissMemory
from tests.memory.words import WordEmbeddings

pytestmark = pytest.mark.filterwarnings("ignore:`langchain-community` is:DeprecationWarning")

TEXTS = ["the cat sleeps", "the dog barks", "rain falls", "the sun shines"]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[FaissMemory]:
    with FaissMemory(tmp_path / "memory", WordEmbeddings()) as memory:
        yield memory


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save(tmp_path / "saved", [{"n": n, "tags": ["a"]} for n in range(len(TEXTS))])


def save(folder: Path, metadatas: list[dict[str, Any]], **how: Any) -> Path:
    from langchain_community.vectorstores import FAISS

    ids = [f"id-{n}" for n in range(len(TEXTS))]
    FAISS.from_texts(TEXTS, WordEmbeddings(), metadatas, ids, **how).save_local(str(folder))
    return folder


@pytest.mark.parametrize("strategy", ["EUCLIDEAN_DISTANCE", "MAX_INNER_PRODUCT"])
def test_takes_over_documents_ids_and_vectors(
    tmp_path: Path, memory: FaissMemory, strategy: str
) -> None:
    metadatas: list[dict[str, Any]] = [{"n": n, "tags": ["a"]} for n in range(len(TEXTS))]
    folder = save(tmp_path / "saved", metadatas, distance_strategy=strategy)
    assert import_community(folder, memory) == ["id-0", "id-1", "id-2", "id-3"]
    documents = memory.get_by_ids(["id-0", "id-1", "id-2", "id-3"])
    assert [document.page_content for document in documents] == TEXTS
    assert [document.metadata for document in documents] == metadatas
    for text in TEXTS:
        [(document, score)] = memory.similarity_search_with_score(text, k=1)
        assert (document.page_content, round(score, 4)) == (text, 1.0)
    assert memory.verify() == []


def test_what_the_folder_says_of_given_facts_does_not_count(
    tmp_path: Path, memory: FaissMemory
) -> None:
    folder = save(tmp_path / "saved", [{"kind": "note", "trust": "trusted", "n": 1} for _ in TEXTS])
    import_community(folder, memory, facts={"kind": "chunk", "trust": "untrusted"})
    assert memory.count({"kind": "chunk", "trust": "untrusted", "n": 1}) == len(TEXTS)


def test_importing_twice_is_importing_once(memory: FaissMemory, saved: Path) -> None:
    import_community(saved, memory)
    import_community(saved, memory)
    assert memory.count() == len(TEXTS)


def test_a_store_from_which_documents_were_deleted(tmp_path: Path, memory: FaissMemory) -> None:
    from langchain_community.vectorstores import FAISS

    store = FAISS.from_texts(TEXTS, WordEmbeddings(), ids=["a", "b", "c", "d"])
    store.delete(["b"])
    store.save_local(str(tmp_path / "saved"))
    assert import_community(tmp_path / "saved", memory) == ["a", "c", "d"]
    assert memory.similarity_search(TEXTS[2], k=1)[0].page_content == TEXTS[2]


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (Path.touch, (self.canary,))


def test_runs_no_code(memory: FaissMemory, saved: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    bad = pickle.dumps((Evil(canary), {}))
    (saved / "index.pkl").write_bytes(bad)
    with pytest.raises(BadImport, match="which is not loaded"):
        import_community(saved, memory)
    assert not canary.exists()
    pickle.loads(bad)  # the control: a plain load does run it
    assert canary.exists()


@pytest.mark.parametrize(
    "name",
    [
        b"cos\nsystem\n",
        b"cbuiltins\neval\n",
        b"cbuiltins\ngetattr\n",
        b"clangchain_community.docstore.in_memory\nAddableMixin\n",
        b"clangchain_core.documents.base\nDocument.construct\n",
        b"cmemory.community\n_Reader\n",
    ],
)
def test_finds_no_other_name(memory: FaissMemory, saved: Path, name: bytes) -> None:
    (saved / "index.pkl").write_bytes(name + b"(S'true'\ntR.")
    with pytest.raises(BadImport, match="not loaded"):
        import_community(saved, memory)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps([1, 2]),
        pickle.dumps(({}, {})),
        pickle.dumps(("store", "ids", 3)),
        b"\x80\x04Pid\n.",
    ],
)
def test_anything_else_is_refused(memory: FaissMemory, saved: Path, content: bytes) -> None:
    (saved / "index.pkl").write_bytes(content)
    with pytest.raises(BadImport):
        import_community(saved, memory)
    assert memory.count() == 0


def test_files_of_two_saves_are_noticed(memory: FaissMemory, saved: Path, tmp_path: Path) -> None:
    from langchain_community.vectorstores import FAISS

    FAISS.from_texts(["one"], WordEmbeddings()).save_local(str(tmp_path / "other"))
    shutil.copy(tmp_path / "other" / "index.pkl", saved / "index.pkl")
    with pytest.raises(BadImport, match="1 documents for 4 vectors"):
        import_community(saved, memory)


def test_vectors_of_another_length_are_refused(tmp_path: Path, saved: Path) -> None:
    with (
        FaissMemory(tmp_path / "other", WordEmbeddings(8)) as memory,
        pytest.raises(BadImport, match="vectors of 16 numbers, this memory's have 8"),
    ):
        import_community(saved, memory)


def test_an_index_that_is_not_flat_is_refused(memory: FaissMemory, saved: Path) -> None:
    import faiss

    faiss.write_index(faiss.IndexHNSWFlat(16, 4), str(saved / "index.faiss"))
    with pytest.raises(BadImport, match="only flat indexes"):
        import_community(saved, memory)


def test_every_truncation_of_the_index_is_refused(memory: FaissMemory, saved: Path) -> None:
    whole = (saved / "index.faiss").read_bytes()
    for length in range(0, len(whole), 7):
        (saved / "index.faiss").write_bytes(whole[:length])
        with pytest.raises(BadImport):
            import_community(saved, memory)
    assert memory.count() == 0


def test_a_missing_folder_is_named(memory: FaissMemory, tmp_path: Path) -> None:
    with pytest.raises(BadImport, match="nothere"):
        import_community(tmp_path / "nothere", memory)


def test_metadata_that_is_not_json_is_refused(tmp_path: Path, memory: FaissMemory) -> None:
    folder = save(tmp_path / "saved", [{"n": (1, 2)} for _ in TEXTS])
    with pytest.raises(BadNote, match="come back from JSON changed"):
        import_community(folder, memory)
    assert memory.count() == 0
