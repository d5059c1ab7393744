"""Opening models by name: folders, GGUF files, the catalogue, and what cannot be opened."""

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from models import gguf_file, load
from models.chat import ChatLocal
from models.errors import ModelUnavailable, OutOfMemory
from models.gguf_file import converted
from models.load import hub_entry, load_chat, load_network, locate
from tests.models.tiny import publish, tokenizer


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("hub"), "llama")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "llama"))


@pytest.fixture(scope="module")
def sound_gguf(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(sound, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def write_gguf(folder: Path, path: Path) -> Path:
    """The tiny llama as GGUF in Q8_0, the way llama.cpp's converter lays one out."""
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    words = tokenizer()
    ids = sorted(words.get_vocab().items(), key=lambda pair: pair[1])
    merges = json.loads(words.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([word for word, _ in ids])
    special = set(words.all_special_tokens) | {"<|im_start|>", "<|im_end|>"}
    writer.add_token_types([3 if word in special else 1 for word, _ in ids])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, values in load_file(folder / "model.safetensors").items():
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        for part, key in heads.items():
            if part in name:  # llama.cpp stores rotary halves interleaved
                rows = values.shape[0] // config[key] // 2
                values = values.reshape(config[key], 2, rows, -1).swapaxes(1, 2)
                values = values.reshape(config[key] * rows * 2, -1)
        short = names.get_name(name, try_suffixes=(".weight",))
        assert short is not None, name
        if values.ndim > 1:
            packed = gguf.quantize(np.ascontiguousarray(values), gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(short, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(short, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def scores(network: Any, ids: list[int]) -> Any:
    return network.new_state().forward(ids)


def refused(name: str | Path, home: Path, reason: str) -> None:
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        load_network(str(name), home)
    assert "\n" not in str(caught.value)


def test_a_folder_is_opened_as_a_chat_model(folder: Path, home: Path) -> None:
    model = load_chat(str(folder), home, max_tokens=4)
    assert isinstance(model, ChatLocal)
    assert model.model_name == "llama"
    assert model.invoke("Hello").usage_metadata["output_tokens"] <= 4  # type: ignore[index]


def test_the_digest_is_that_of_the_weights(folder: Path, home: Path) -> None:
    before = load_network(str(folder), home).digest
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"comment": "other"}))
    assert load_network(str(folder), home).digest == before
    publish(folder.parent / "other", "llama", seed=1)
    assert load_network(str(folder.parent / "other" / "llama"), home).digest != before


def test_a_gguf_file_gives_the_scores_of_the_model_it_was_made_from(
    sound: Path, sound_gguf: Path, home: Path
) -> None:
    ids = tokenizer()("Read the tickets")["input_ids"]
    expected = scores(load_network(str(sound), home), ids)
    found = scores(load_network(str(sound_gguf), home), ids)
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_a_gguf_file_is_converted_once(
    sound_gguf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, digest = converted(sound_gguf, home, "float32")
    monkeypatch.setattr(gguf_file, "_convert", lambda *_: pytest.fail("converted twice"))
    assert converted(sound_gguf, home, "float32") == (first, digest)
    copy = home / "same content.gguf"
    shutil.copy(sound_gguf, copy)
    assert converted(copy, home, "float32") == (first, digest)


def test_digits_of_a_smollm_file_are_read_one_by_one(sound_gguf: Path, home: Path) -> None:
    network = load_network(str(sound_gguf), home)
    spaced = network.tokenizer.encode("a  1")
    assert network.tokenizer.decode(spaced[-1:]) == "1"
    assert network.tokenizer.decode(spaced) == "a  1"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.9, 0.999])
def test_a_cut_gguf_file_is_refused_and_leaves_nothing(
    sound_gguf: Path, home: Path, tmp_path: Path, share: float
) -> None:
    data = sound_gguf.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(data[: int(len(data) * share)])
    refused(cut, home, "is broken or cut short|is not a GGUF file")
    left = [p.name for p in home.glob("models/converted/*") if p.suffix != ".lock"]
    assert left == []


def test_a_gguf_file_of_an_unknown_architecture_is_refused(home: Path, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "odd.gguf", "no_such_thing")
    writer.add_tokenizer_model("gpt2")
    writer.add_tensor("a", np.zeros((4, 4), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(tmp_path / "odd.gguf", home, "architecture 'no_such_thing' cannot be read here")


def test_weights_that_are_no_numbers_are_refused(sound: Path, home: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = Path(shutil.copytree(sound, tmp_path / "nan"))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(write_gguf(folder, tmp_path / "nan.gguf"), home, "values that are not numbers")
    refused(folder, home, "values that are not numbers")


def test_a_missing_gguf_file_is_said(home: Path, tmp_path: Path) -> None:
    refused(tmp_path / "gone.gguf", home, r"no model file .*gone\.gguf; check the path")


def test_a_missing_folder_is_said(home: Path) -> None:
    refused("./no-such-folder", home, "no model folder no-such-folder")


def test_an_empty_name_is_said(home: Path) -> None:
    refused(" ", home, "TUNEWARD_MODEL")


def test_a_misspelt_name_gets_a_suggestion(home: Path) -> None:
    refused("smollm2-135", home, "did you mean `smollm2-135m`")


def test_an_embedder_cannot_chat(home: Path) -> None:
    refused("minilm-l6", home, "it cannot chat")


def test_a_folder_in_the_working_directory_never_shadows_a_name(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    refused("llama", home, "there is no model called `llama`")


def test_a_hostile_folder_is_refused_and_runs_nothing(
    folder: Path, home: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "boom.Model", "AutoConfig": "boom.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "boom.py").write_text(f"open({str(canary)!r}, 'w')")
    refused(folder, home, "which may run code")
    (folder / "boom.py").unlink()
    refused(folder, home, "`auto_map`, which makes the loader run code")
    assert not canary.exists()


def test_an_unknown_kind_of_model_is_refused(folder: Path, home: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "novel"}))
    refused(folder, home, "knows no language model of kind 'novel'")


def test_missing_weights_are_refused_not_invented(folder: Path, home: Path) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, home, r"lacks 1 of its weights \(first: model\.layers\.1\.mlp\.up_proj")


def test_weights_of_another_shape_are_refused(folder: Path, home: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    refused(folder, home, "cannot be loaded")


def test_a_broken_tokenizer_is_refused(folder: Path, home: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, home, "cannot be loaded")


def test_4bit_without_a_gpu_is_refused(folder: Path, home: Path) -> None:
    with pytest.raises(ModelUnavailable, match="4-bit needs a CUDA GPU"):
        load_network(str(folder), home, quant="4bit", device="cpu")


def test_4bit_without_the_extra_names_it(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"pip install -e '\.\[quant\]'"):
        load_network(str(folder), home, quant="4bit", device="cuda")


def test_running_out_of_memory_is_said(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    def no_room(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", no_room)
    with pytest.raises(OutOfMemory, match="does not fit the memory of cpu"):
        load_network(str(folder), home)


def test_a_cpu_computes_in_fp32_while_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "machine_memory", lambda: (8 << 30, 8 << 30))
    assert load.best_dtype("cpu", lambda: 1_500_000_000) == "float32"
    assert load.best_dtype("cpu", lambda: 3_000_000_000) == "bfloat16"


def test_a_hub_id_of_the_catalogue_takes_its_pinned_revision() -> None:
    entry = hub_entry("Qwen/Qwen3-8B")
    assert entry.name == "qwen3-8b"


def test_another_revision_lies_in_another_folder() -> None:
    assert hub_entry("owner/name").name == "hub/owner--name@main"
    assert hub_entry("owner/name@v1/x").name == "hub/owner--name@v1--x"


@pytest.mark.weights
def test_the_default_model_is_pulled_and_answers(weights: Path) -> None:
    model = load_chat("default", weights, max_tokens=12)
    assert isinstance(model, ChatLocal)
    assert model.parameters == 134_515_008
    assert "Paris" in str(model.invoke("What is the capital of France?").text)
    assert model.engine.network.digest.startswith("b179c9523d0e")


@pytest.mark.weights
def test_the_default_model_starts_from_its_converted_files(weights: Path) -> None:
    source = locate("default", weights)
    folder, _ = converted(source.path, weights, "float32")
    assert (folder / "model.safetensors").stat().st_size == 538_090_408
