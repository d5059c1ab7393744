"""Sentence encoders: their vectors agree with plain transformers, whatever batch a text is in."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models import embedder as embedding
from models.embedder import TextEmbedder, batches, load_embedder
from models.errors import ModelUnavailable, OutOfMemory
from tests.models.tiny import publish
from tests.models.tiny_encoder import WINDOW, write_encoder

TEXTS = [
    "Refunds are paid within 14 days.",
    "",
    "a",
    "The quick brown fox jumps over the lazy dog. " * 6,
    "Grüße aus Köln, 你好 世界, 👋🏽",
    "\0 and \ud800 half a character",
    " \n\t ",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture
def tiny(folder: Path, home: Path) -> TextEmbedder:
    return load_embedder(str(folder), home, device="cpu")


def one_by_one(folder: Path, texts: list[str], window: int) -> NDArray[np.float32]:
    """Plain transformers: one text a forward, mean over its tokens, length 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=window, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            mean = model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        rows.append((mean / mean.norm()).numpy())
    return np.stack(rows)


def test_agrees_with_transformers_one_by_one(tiny: TextEmbedder, folder: Path) -> None:
    texts = [text for text in TEXTS if text and "\ud800" not in text]
    assert np.abs(tiny.vectors(texts) - one_by_one(folder, texts, WINDOW)).max() < 1e-5


def test_a_texts_vector_does_not_depend_on_its_batch(tiny: TextEmbedder) -> None:
    alone = np.stack([tiny.vectors([text])[0] for text in TEXTS])
    for order in (range(len(TEXTS)), reversed(range(len(TEXTS)))):
        mixed = [i for i in order for _ in range(30)]
        found = tiny.vectors([TEXTS[i] for i in mixed])
        assert np.abs(found - alone[mixed]).max() < 1e-5


def test_texts_keep_their_order_over_more_than_one_slab(
    tiny: TextEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"text {'x' * (i % 11)} {i}" for i in range(50)]
    whole = tiny.vectors(texts)
    monkeypatch.setattr(embedding, "SLAB", 7)
    assert np.abs(tiny.vectors(texts) - whole).max() < 1e-5


def test_a_longer_text_is_cut_at_the_window(tiny: TextEmbedder) -> None:
    assert tiny.window == WINDOW
    long = "z" * 5_000  # more tokens than the window, whatever the merges
    assert np.abs(tiny.vectors([long])[0] - tiny.vectors([long * 3])[0]).max() < 1e-6


def test_the_networks_own_limit_holds_where_the_folder_names_none(
    tmp_path: Path, home: Path
) -> None:
    folder = write_encoder(tmp_path / "open", window=None)
    tiny = load_embedder(str(folder), home, device="cpu")
    assert tiny.window == 64
    assert tiny.vectors(["z" * 5_000]).shape == (1, 32)


def test_no_texts_give_no_vectors(tiny: TextEmbedder) -> None:
    assert tiny.embed_documents([]) == []
    assert tiny.vectors([]).shape == (0, tiny.dimension)


def test_what_is_no_text_is_refused(tiny: TextEmbedder) -> None:
    wrong: Any = ["fine", None]
    with pytest.raises(TypeError, match="not a NoneType"):
        tiny.embed_documents(wrong)


def test_vectors_have_length_one_only_where_the_folder_says_so(tmp_path: Path, home: Path) -> None:
    free = load_embedder(str(write_encoder(tmp_path / "free", normalise=False)), home, device="cpu")
    assert not free.fingerprint.normalised
    assert not np.allclose(np.linalg.norm(free.vectors(TEXTS), axis=1), 1)
    fixed = load_embedder(str(write_encoder(tmp_path / "fixed")), home, device="cpu")
    assert fixed.fingerprint.normalised
    assert np.allclose(np.linalg.norm(fixed.vectors(TEXTS), axis=1), 1, atol=1e-6)


def test_a_dense_layer_is_applied(tmp_path: Path, home: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = write_encoder(tmp_path / "dense", dense=8, normalise=False)
    found = load_embedder(str(folder), home, device="cpu")
    assert found.dimension == found.fingerprint.dimension == 8
    plain = write_encoder(tmp_path / "plain", normalise=False)
    before = torch.tensor(load_embedder(str(plain), home, device="cpu").vectors(["a text"]))
    layer = load_file(folder / "2_Dense" / "model.safetensors")
    expected = torch.tanh(before @ layer["linear.weight"].T + layer["linear.bias"]).numpy()
    assert np.abs(found.vectors(["a text"]) - expected).max() < 1e-5


def test_the_models_prompts_go_before_queries_and_documents(tmp_path: Path, home: Path) -> None:
    prompts = {"query": "query: ", "document": "text: "}
    folder = write_encoder(tmp_path / "prompted", prompts=prompts)
    prompted = load_embedder(str(folder), home, device="cpu")
    assert prompted.embed_query("fox") == pytest.approx(
        prompted.vectors(["query: fox"], prompt="")[0].tolist(), abs=1e-6
    )
    assert prompted.embed_documents(["fox"])[0] == pytest.approx(
        prompted.vectors(["text: fox"], prompt="")[0].tolist(), abs=1e-6
    )


def test_batches_hold_texts_of_one_length_and_a_bounded_number_of_tokens() -> None:
    lengths = [3, 500, 3, 40, 500, 7, 5_000] + [12] * 300
    found = list(batches(lengths))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    padded = [len(batch) * max(lengths[i] for i in batch) for batch in found]
    assert padded[0] == 5_000  # alone: a longer text than a batch may hold still has its turn
    assert max(padded[1:]) <= embedding.BATCH_TOKENS
    assert max(map(len, found)) <= embedding.BATCH_TEXTS
    assert sum(padded) < 1.3 * sum(lengths)


def test_a_batch_that_does_not_fit_is_tried_in_halves(
    tiny: TextEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny.vectors(TEXTS)
    forward = tiny._network.forward
    sizes = []

    def small(batch: Any) -> NDArray[np.float32]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise OutOfMemory("too many")
        return forward(batch)

    monkeypatch.setattr(tiny._network, "forward", small)
    assert np.abs(tiny.vectors(TEXTS) - whole).max() < 1e-5
    assert max(sizes) > 2


def test_one_text_that_does_not_fit_is_an_error(
    tiny: TextEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(tiny._network._model, "forward", full)
    with pytest.raises(OutOfMemory, match="take a smaller embedder"):
        tiny.vectors(["text"])


def test_threads_get_the_same_vectors(tiny: TextEmbedder) -> None:
    expected = tiny.vectors(TEXTS)
    wrong: list[float] = []

    def work() -> None:
        wrong.extend(float(np.abs(tiny.vectors(TEXTS) - expected).max()) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 40
    assert max(wrong) < 1e-5


def test_the_fingerprint_changes_with_what_decides_a_vector(tmp_path: Path, home: Path) -> None:
    folder = write_encoder(tmp_path / "one")

    def revision() -> str:
        return load_embedder(str(folder), home, device="cpu").fingerprint.revision

    first = revision()
    assert first == revision()
    (folder / "README.md").write_text("Read me.")
    assert first == revision()
    write_encoder(folder, seed=1)
    other_weights = revision()
    write_encoder(folder, pooling={"pooling_mode_cls_token": True})
    assert len({first, other_weights, revision()}) == 3


@pytest.mark.parametrize("name", ["default", "qwen3-8b"])
def test_a_chat_model_is_refused(name: str, home: Path) -> None:
    with pytest.raises(ModelUnavailable, match="is a chat model, it makes no vectors"):
        load_embedder(name, home)


def test_what_cannot_be_an_embedder_is_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(ModelUnavailable, match="there is no model folder"):
        load_embedder("./missing", home)
    with pytest.raises(ModelUnavailable, match="GGUF"):
        load_embedder("model.gguf", home)
    with pytest.raises(ModelUnavailable, match="no model called"):
        load_embedder("minilm-l7", home)


def spoilt(tmp_path: Path, **changes: Any) -> str:
    folder = write_encoder(tmp_path / "spoilt")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return str(folder)


def test_a_kind_that_transformers_does_not_know_is_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(ModelUnavailable, match="knows no model of kind 'gadget'"):
        load_embedder(spoilt(tmp_path, model_type="gadget"), home, device="cpu")


def test_an_encoder_decoder_is_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(ModelUnavailable, match="encoder-decoder"):
        load_embedder(spoilt(tmp_path, is_encoder_decoder=True), home, device="cpu")


def test_missing_weights_are_refused_not_invented(tmp_path: Path, home: Path) -> None:
    with pytest.raises(ModelUnavailable, match="lacks 16 of its weights"):
        load_embedder(spoilt(tmp_path, num_hidden_layers=3), home, device="cpu")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, home: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = write_encoder(tmp_path / "nan")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.dense.bias"][3] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"encoder\.layer\.1\.output\.dense\.bias holds"):
        load_embedder(str(folder), home, device="cpu")


def test_a_language_model_without_a_pooling_config_still_gives_vectors(
    tmp_path: Path, home: Path
) -> None:
    tiny = load_embedder(str(publish(tmp_path, "llama")), home, device="cpu")
    found = tiny.vectors(["short", "a longer text than the other"])
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.abs(found[0] - tiny.vectors(["short"])[0]).max() < 1e-5


def test_importing_the_embedder_brings_no_torch() -> None:
    code = "import sys, models.embedder, models.hashing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


_MINILM: dict[str, TextEmbedder] = {}


@pytest.fixture
def minilm(weights: Path) -> TextEmbedder:
    if not _MINILM:
        _MINILM["minilm"] = load_embedder("minilm-l6", weights, device="cpu")
    return _MINILM["minilm"]


@pytest.mark.weights
def test_minilm_agrees_with_transformers_one_by_one(minilm: TextEmbedder, weights: Path) -> None:
    texts = [t for t in TEXTS if "\ud800" not in t] + ["word " * 400, "one two " * 90]
    expected = one_by_one(weights / "models" / "minilm-l6", texts, 256)
    assert np.abs(minilm.vectors(texts) - expected).max() < 1e-5


@pytest.mark.weights
def test_minilms_vectors_stay_what_they_are(minilm: TextEmbedder) -> None:
    """Were they to change, every memory on every machine would have to be embedded again."""
    first = minilm.embed_query("This is an example sentence")[:4]
    assert first == pytest.approx([0.0676569, 0.0634960, 0.0487131, 0.0793050], abs=1e-5)
    assert (minilm.window, minilm.dimension, minilm.fingerprint.normalised) == (256, 384, True)


@pytest.mark.weights
def test_minilm_knows_meaning(minilm: TextEmbedder) -> None:
    asked, paid, other = minilm.vectors(
        ["How do I get my money back?", "Refunds are paid within 14 days.", "The cat sleeps."]
    )
    assert asked @ paid > asked @ other + 0.3


@pytest.mark.weights
def test_minilm_reads_a_text_of_a_megabyte(minilm: TextEmbedder) -> None:
    long = "the refund policy " * 60_000
    cut = "the refund policy " * 200
    assert np.abs(minilm.vectors([long])[0] - minilm.vectors([cut])[0]).max() < 1e-5
