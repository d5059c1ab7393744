"""Finds the notes and the passages of ingested documents that answer a question."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from memory.ranking import fused_order
from memory.sources import shown_source, source_of

if TYPE_CHECKING:
    from memory.store import FaissMemory

CHUNKS = {"kind": "chunk"}
CANDIDATES = 50


def has_passages(memory: "FaissMemory") -> bool:
    """Whether any document was taken in."""
    return memory.count(CHUNKS) > 0


def find_passages(
    memory: "FaissMemory", query: str, *, source: str | None = None, limit: int = 5
) -> list[Document]:
    """At most `limit` chunks, the best first, of one document or of all."""
    wanted = CHUNKS if source is None else {**CHUNKS, "source": source}
    return [chunk for chunk, _ in find(memory, query, wanted, limit=limit)]


def find(
    memory: "FaissMemory", query: str, filter: dict[str, Any] | None = None, *, limit: int = 5
) -> list[tuple[Document, float]]:
    """At most `limit` notes, the best first, each with its similarity in [-1, 1].

    The nearest `CANDIDATES` by meaning are put in order by meaning and words together.
    """
    found = memory.similarity_search_with_score(query, max(CANDIDATES, limit), filter)
    order = fused_order(query, [note.page_content for note, _ in found])
    return [found[i] for i in order[:limit]]


def known_source(memory: "FaissMemory", named: str, folder: Path) -> str | None:
    """The source that `named` means in `folder`: a path, or the only source that ends with it."""
    try:
        for source in (source_of(named, folder), named):
            if memory.count({**CHUNKS, "source": source}):
                return source
    except ValueError:  # no path and no text
        return None
    ending = [source for source in sources(memory) if source.endswith(f"/{named}")]
    return ending[0] if len(ending) == 1 else None


def sources(memory: "FaissMemory") -> list[str]:
    """Every document of which there are chunks, sorted; reads them all."""
    return sorted({str(chunk.metadata.get("source", "")) for chunk in memory.scan(CHUNKS)})


def close_sources(memory: "FaissMemory", named: str, folder: Path, count: int = 5) -> list[str]:
    """Sources, as shown in `folder`, that `named` may mean; the first few if none is close."""
    known = sorted(shown_source(source, folder) for source in sources(memory))
    return get_close_matches(named, known, n=count, cutoff=0.4) or known[:count]
