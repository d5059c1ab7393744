"""Model folders from elsewhere: refused before any library reads them."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelUnavailable
from models.untrusted import check_folder
from tests.models.tiny import publish


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("hub"), "llama")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of a sound model that the test may spoil."""
    copy = tmp_path / "llama"
    copy.mkdir()
    for path in sound.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def spoil(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path, reason: str) -> None:
    with pytest.raises(ModelUnavailable, match=reason) as caught:
        check_folder(folder)
    assert "\n" not in str(caught.value)


def test_a_sound_folder_gives_its_config(folder: Path) -> None:
    assert check_folder(folder)["model_type"] == "llama"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "rng.pth", "x.pkl", "modeling_x.py", "x.so"])
def test_a_file_that_may_run_code_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")
    refused(folder, f"{name}, which may run code")


def test_code_in_a_folder_below_is_refused(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "tokenizer.py").write_text("boom")
    refused(folder, "which may run code")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize(
    "keys",
    [
        {"auto_map": {"AutoModel": "modeling_x.Model"}},
        {"trust_remote_code": True},
        {"_attn_implementation_internal": "owner/kernel"},
        {"text_config": {"auto_map": {"AutoConfig": "x.C"}}},
        {"layers": [{"deep": {"custom_pipelines": {}}}]},
    ],
)
def test_a_config_that_brings_code_is_refused(
    folder: Path, name: str, keys: dict[str, Any]
) -> None:
    spoil(folder / name, **keys)
    refused(folder, "run code that came with the model")


@pytest.mark.parametrize("method", ["gptq", "awq", "hqq", None, {"odd": 1}])
def test_a_quantisation_that_is_not_ours_is_refused(folder: Path, method: object) -> None:
    spoil(folder / "config.json", quantization_config={"quant_method": method})
    refused(folder, "quantised with")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"model_type": "llama", "model_type": "gpt2"}', "[" * 99_999]
)
def test_a_broken_config_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    refused(folder, r"config\.json is not")


def test_an_enormous_config_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"x": "y" * 5_000_000}))
    refused(folder, "more than 4,000,000 bytes")


def test_an_enormous_chat_template_is_refused(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("x" * 300_000)
    refused(folder, "no chat template")


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, r"no \*\.safetensors weights")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "gone", "no model folder .*gone")


def headed(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
SPOILT_WEIGHTS = {
    "empty": b"",
    "short": b"abc",
    "header of 2^63": struct.pack("<Q", 1 << 63) + b"{}",
    "header past the end": struct.pack("<Q", 100) + b"{}",
    "no JSON": headed(b"{nonsense"),
    "a list": headed(b"[]"),
    "twice the same tensor": headed(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        bytes(8),
    ),
    "overlapping": headed(json.dumps({"a": ONE, "b": ONE}).encode(), bytes(4)),
    "a gap": headed(json.dumps({"a": {**ONE, "data_offsets": [4, 8]}}).encode(), bytes(8)),
    "cut": headed(json.dumps({"a": ONE}).encode(), bytes(3)),
    "too long": headed(json.dumps({"a": ONE}).encode(), bytes(5)),
    "no offsets": headed(json.dumps({"a": {"dtype": "F32"}}).encode()),
    "text as offsets": headed(json.dumps({"a": {"data_offsets": ["x", 4]}}).encode(), bytes(4)),
}


@pytest.mark.parametrize("data", SPOILT_WEIGHTS.values(), ids=SPOILT_WEIGHTS)
def test_broken_weights_are_refused(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    refused(folder, r"model\.safetensors is broken")
