"""The control: kills do harm to a store that just writes: `python traced_naive.py FOLDER COUNT`.

LangChain community's FAISS store adds notes and saves, and is killed before its k-th call of each
kind that can change the disk. COUNT points are tried, evenly spread, all where it is 0. Prints how
many of them left a store that is torn or does not load.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

import faiss  # noqa: F401  # here, so that no child has to
from langchain_community.vectorstores import FAISS

from tests.memory.strace import Say, Work, calls_of, copies, harmed, in_child, kills, spread
from tests.memory.words import WordEmbeddings


def load(copy: Path) -> FAISS:
    return FAISS.load_local(str(copy), WordEmbeddings(8), allow_dangerous_deserialization=True)


def work_on(copy: Path) -> Work:
    def work(say: Say) -> None:
        store = load(copy)
        store.add_texts([f"text {n} of the note" for n in range(30, 130)])
        store.save_local(str(copy))
        say("done")

    return work


def is_whole(copy: Path) -> bool:
    try:
        store = load(copy)
        texts = {
            id: store.get_by_ids([id])[0].page_content for id in store.index_to_docstore_id.values()
        }
        return store.index.ntotal == len(store.index_to_docstore_id) and all(
            texts[document.id] == document.page_content
            for document in store.similarity_search("text", k=200)
            if document.id is not None
        )
    except Exception:  # whatever a torn pickle raises
        return False


def main(folder: Path, count: int) -> None:
    texts = [f"text {n} of the note" for n in range(30)]
    FAISS.from_texts(texts, WordEmbeddings(8)).save_local(str(folder / "base"))
    shutil.copytree(folder / "base", folder / "count")
    work_on(folder / "count")(lambda _: None)  # so that what is imported late is there
    points = kills(calls_of(work_on(folder / "count"), folder / "log"))
    broken = 0
    for copy, point in copies(folder / "base", spread(points, count)):
        harmed(work_on(copy), point)
        broken += not in_child(partial(is_whole, copy))
    print(f"{broken} broken")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
