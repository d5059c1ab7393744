"""Which embedder made the vectors: its fingerprint is stored, and another one is noticed."""

import json
import math

from langchain_core.embeddings import Embeddings

from memory.errors import EmbedderChanged, StoreDamaged
from models.fingerprint import Fingerprint

PROBE = "the length of this sentence's vector"


def fingerprint_of(embedding: Embeddings) -> Fingerprint:
    """What `embedding` says of itself; for one that says nothing, its class and a probe's vector.

    Two models behind one foreign class are told apart by their `model` or `model_name` if they
    have one, and by the vector's length.
    """
    told = getattr(embedding, "fingerprint", None)
    if isinstance(told, Fingerprint):
        return told
    kind = type(embedding)
    name = getattr(embedding, "model_name", None) or getattr(embedding, "model", None)
    vector = embedding.embed_query(PROBE)
    return Fingerprint(
        model=f"{kind.__module__}.{kind.__qualname__}"
        + (f":{name}" if isinstance(name, str) else ""),
        revision="",
        dimension=len(vector),
        normalised=math.isclose(math.hypot(*vector), 1, abs_tol=1e-3),
    )


def dumps(fingerprint: Fingerprint) -> str:
    """As text, for storing."""
    return json.dumps(fingerprint.as_dict(), sort_keys=True)


def loads(stored: str) -> Fingerprint:
    """From text that `dumps` gave.

    Raises:
        StoreDamaged: it is something else.
    """
    try:
        return Fingerprint(**json.loads(stored))
    except (TypeError, ValueError) as error:
        raise StoreDamaged(f"the memory's embedder is unreadable: {stored[:80]!r}") from error


def expect_same(stored: Fingerprint, current: Fingerprint) -> None:
    """Nothing, or the error that says how to go on.

    Raises:
        EmbedderChanged: the vectors that are stored and those that would come cannot be compared.
    """
    if (stored.model, stored.revision, stored.dimension) != (
        current.model,
        current.revision,
        current.dimension,
    ):
        raise EmbedderChanged(
            f"this memory was made with {stored}, not with {current}; use that embedder again, or"
            " `tuneward memory verify --reembed` computes all vectors anew"
        )
