"""What a sentence model's folder says of its vectors, and what in it is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelUnavailable
from models.sentence_folder import read_sentence_folder
from tests.models.tiny_encoder import step, write_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "tiny")


def set_modules(folder: Path, steps: list[tuple[str, str]]) -> None:
    listed = [
        {"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in steps
    ]
    (folder / "modules.json").write_text(json.dumps(listed))


def refused(folder: Path, reason: str) -> None:
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        read_sentence_folder(folder)
    assert "\n" not in str(caught.value)


def test_reads_pooling_window_and_normalisation(folder: Path) -> None:
    read = read_sentence_folder(folder)
    assert (read.pooling, read.window, read.normalise) == (("mean",), 24, True)
    assert read.network == folder


def test_a_folder_without_modules_is_pooled_by_the_mean(tmp_path: Path) -> None:
    read = read_sentence_folder(write_encoder(tmp_path / "plain", modules=False))
    assert (read.pooling, read.window, read.normalise) == (("mean",), None, True)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ("cls",)),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}, ("max", "mean")),
        ({"pooling_mode": "lasttoken"}, ("lasttoken",)),
        ({"pooling_mode": ["mean", "cls"]}, ("cls", "mean")),
    ],
)
def test_old_and_new_names_of_poolings_are_read(
    folder: Path, config: dict[str, Any], pooling: tuple[str, ...]
) -> None:
    step(folder, "1_Pooling", config)
    assert read_sentence_folder(folder).pooling == pooling


@pytest.mark.parametrize(
    "config",
    [{}, {"pooling_mode": "attention"}, {"pooling_mode": ["mean", "x"]}, {"pooling_mode": 7}],
)
def test_a_pooling_that_is_not_known_is_refused(folder: Path, config: dict[str, Any]) -> None:
    step(folder, "1_Pooling", config)
    refused(folder, "names no pooling known here")


def test_a_layer_behind_the_pooling_is_read(tmp_path: Path) -> None:
    read = read_sentence_folder(write_encoder(tmp_path / "dense", dense=8))
    assert [(d.inputs, d.outputs, d.activation) for d in read.dense] == [(32, 8, "Tanh")]


def test_an_activation_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "dense", dense=8)
    config = json.loads((folder / "2_Dense" / "config.json").read_text())
    step(folder, "2_Dense", config | {"activation_function": "os.system"})
    refused(folder, "describes no layer known here")


def test_a_layer_without_its_weights_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "dense", dense=8)
    (folder / "2_Dense" / "model.safetensors").unlink()
    refused(folder, r"holds no model\.safetensors")


def test_a_layer_with_broken_weights_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "dense", dense=8)
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"\0" * 40)
    refused(folder, "is broken")


@pytest.mark.parametrize(
    "steps",
    [
        [("Pooling", "1_Pooling")],
        [("Transformer", ""), ("WordWeights", "1_Pooling")],
        [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", ""), ("LSTM", "")],
        [("os.system", ""), ("Pooling", "1_Pooling")],
    ],
)
def test_a_step_that_is_not_known_is_refused(folder: Path, steps: list[tuple[str, str]]) -> None:
    set_modules(folder, steps)
    refused(folder, "only Transformer, Pooling, Dense and Normalize")


@pytest.mark.parametrize("path", ["..", "../other", "/etc", "a/b", ".hidden", "a\nb"])
def test_a_step_outside_the_folder_is_refused(folder: Path, path: str) -> None:
    set_modules(folder, [("Transformer", path), ("Pooling", "1_Pooling")])
    refused(folder, "which is no folder's name")


@pytest.mark.parametrize("text", ["[]", "{}", "[1]", "[", '[{"type": "x"', "[" * 60_000])
def test_a_broken_list_of_steps_is_refused(folder: Path, text: str) -> None:
    (folder / "modules.json").write_text(text)
    refused(folder, "modules.json")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "2_Dense/pytorch_model.bin", "modeling.py"])
def test_a_file_that_may_run_code_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    refused(folder, "may run code")


def test_a_config_that_brings_code_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "x.Y"}}))
    refused(folder, "run code that came with the model")


def test_prompts_are_read(tmp_path: Path) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    read = read_sentence_folder(write_encoder(tmp_path / "prompted", prompts=prompts))
    assert (read.query_prompt, read.document_prompt) == ("query: ", "passage: ")


def test_prompts_that_are_left_out_of_the_pooling_are_refused(tmp_path: Path) -> None:
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    folder = write_encoder(tmp_path / "p", pooling=pooling, prompts={"query": "find: "})
    refused(folder, "leaves its prompts out of the pooling")
