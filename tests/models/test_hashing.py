"""The embedder without weights: the same everywhere, and related texts closer than others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.hashing import HashingEmbedder

ROOT = Path(__file__).parents[2]
RELATED = [
    ("How are refunds paid?", "Refunds are paid within 14 days.", "The warehouse opens at eight."),
    ("exit code of a full disk", "A full disk ends the run.", "Adapters are small weights."),
    ("Rückerstattungen", "Die Rückerstattung dauert zwei Wochen.", "Das Lager öffnet um acht."),
    ("退款需要多少天", "退款需要十四天", "仓库八点开门"),
    ("tokenizer settings", "settings of the tokenizers", "a bowl of fruit"),
]


def cosine(one: str, other: str) -> float:
    embedder = HashingEmbedder()
    return float(embedder.vector(one) @ embedder.vector(other))


@pytest.mark.parametrize(("query", "related", "unrelated"), RELATED)
def test_a_related_text_is_closer_than_an_unrelated_one(
    query: str, related: str, unrelated: str
) -> None:
    assert cosine(query, related) > cosine(query, unrelated) + 0.1


def test_every_process_gives_the_same_vectors() -> None:
    texts = ["How are refunds paid?", "退款", "", "\ud800 half", "a\0b"]
    code = (
        "import json, sys; from models.hashing import HashingEmbedder;"
        "print(json.dumps(HashingEmbedder(64).embed_documents(json.loads(sys.argv[1]))))"
    )
    found = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, json.dumps(texts)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(run.stdout))
    assert found[0] == found[1] == HashingEmbedder(64).embed_documents(texts)


@pytest.mark.parametrize("text", ["", " ", "?!", "a", "the", "x" * 1_000_000, "\ud800", "你"])
def test_every_text_has_a_vector_of_length_one(text: str) -> None:
    assert np.linalg.norm(HashingEmbedder().vector(text)) == pytest.approx(1, abs=1e-6)


def test_case_does_not_matter() -> None:
    assert cosine("REFUNDS paid", "refunds Paid") == pytest.approx(1)


def test_the_fingerprint_tells_dimensions_apart() -> None:
    short, long = HashingEmbedder(64).fingerprint, HashingEmbedder(128).fingerprint
    assert short != long
    assert (short.model, short.dimension, short.normalised) == ("hashing", 64, True)
    assert len(HashingEmbedder(64).embed_query("x")) == 64


def test_a_vector_of_a_few_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="7 numbers is too short"):
        HashingEmbedder(7)


def test_no_texts_give_no_vectors() -> None:
    assert HashingEmbedder().embed_documents([]) == []
