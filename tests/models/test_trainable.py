"""Models to be tuned: any encoder or language model, in fp32, with hashes that name it."""

import shutil
from pathlib import Path

import pytest
import torch

from models.errors import ModelUnavailable
from models.trainable import load_encoder, load_language_model
from tests.models.tiny import publish
from tests.models.tiny_encoder import HIDDEN, WINDOW, write_encoder


def test_an_encoder_from_a_folder_can_be_trained(tmp_path: Path, home: Path) -> None:
    found = load_encoder(str(write_encoder(tmp_path / "tiny")), home, "cpu")
    ids = torch.tensor([found.tokenizer("two films")["input_ids"]])
    states = found.model(input_ids=ids).last_hidden_state
    states.sum().backward()
    embeddings = found.model.get_input_embeddings().weight
    assert states.shape == (1, ids.shape[1], HIDDEN)
    assert states.dtype == torch.float32
    assert embeddings.grad.abs().sum() > 0
    assert found.window == WINDOW
    assert found.sentence is not None
    assert found.sentence.pooling == ("mean",)


def test_a_plain_encoder_needs_no_sentence_settings(tmp_path: Path, home: Path) -> None:
    found = load_encoder(str(write_encoder(tmp_path / "tiny", modules=False)), home, "cpu")
    assert found.sentence is not None
    assert found.sentence.pooling == ("mean",)


def test_a_language_model_from_a_folder_can_be_trained(tmp_path: Path, home: Path) -> None:
    found = load_language_model(str(publish(tmp_path, "llama")), home, "cpu")
    ids = torch.tensor([found.tokenizer("two films")["input_ids"]])
    found.model(input_ids=ids, labels=ids).loss.backward()
    assert found.model.get_input_embeddings().weight.grad.abs().sum() > 0
    assert found.window == 2048
    assert found.sentence is None


def test_the_hashes_tell_weights_and_tokenizers_apart(tmp_path: Path, home: Path) -> None:
    first = load_encoder(str(write_encoder(tmp_path / "a", seed=0)), home, "cpu")
    other = load_encoder(str(write_encoder(tmp_path / "b", seed=1)), home, "cpu")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    settings = tmp_path / "c" / "tokenizer_config.json"
    settings.write_text(settings.read_text("utf-8").replace("{", '{"truncation_side": "left",', 1))
    retold = load_encoder(str(tmp_path / "c"), home, "cpu")
    assert first.digest != other.digest
    assert first.tokenizer_digest == other.tokenizer_digest
    assert first.digest == retold.digest
    assert first.tokenizer_digest != retold.tokenizer_digest
    assert first.facts == {
        "name": "a",
        "digest": first.digest,
        "tokenizer_digest": first.tokenizer_digest,
    }


@pytest.mark.parametrize(
    ("name", "load", "said"),
    [
        ("default", load_encoder, "chat model"),
        ("minilm-l6", load_language_model, "cannot chat"),
        ("./nowhere", load_encoder, "nowhere"),
        ("./nowhere", load_language_model, "nowhere"),
        ("openai:m@http://localhost:1", load_language_model, "server"),
        ("model.gguf", load_encoder, "GGUF"),
    ],
)
def test_says_why_a_model_cannot_be_tuned(name: str, load: object, said: str, home: Path) -> None:
    assert callable(load)
    with pytest.raises(ModelUnavailable, match=said) as error:
        load(name, home, "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.weights
def test_the_embedded_models_are_the_defaults(weights: Path) -> None:
    encoder = load_encoder(None, weights, "cpu")
    assert (encoder.name, encoder.window, encoder.model.config.hidden_size) == (
        "minilm-l6",
        256,
        384,
    )
    model = load_language_model(None, weights, "cpu")
    assert model.name == "smollm2-135m"
    assert model.model.dtype == torch.float32
    assert model.tokenizer_digest == model.digest
