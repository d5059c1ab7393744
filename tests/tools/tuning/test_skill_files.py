"""Only plain data is part of a skill: what can run code, is broken or holds no numbers is refused.

Each case is looked over by our own code before any library opens it; a pickle that would leave a
file behind when it is loaded shows that nothing was.
"""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.tools.tuning.cards import weights
from tools.tuning.errors import SkillError
from tools.tuning.skill_files import check_content, check_manifest, names_in, write_manifest


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def tensors(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    """A safetensors file of that header, sound or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(dtype: str, shape: list[Any], data: bytes, **more: Any) -> bytes:
    return tensors(
        {"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)], **more}}, data
    )


def bf16(*numbers: float) -> bytes:
    return (np.array(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()


NAN = float("nan")
INF = float("inf")
BAD_TENSORS: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "header beyond the file": struct.pack("<Q", 1_000) + b"{}",
    "header of 2^63 bytes": struct.pack("<Q", 1 << 63) + b"{}",
    "header of 2^64-1 bytes": struct.pack("<Q", (1 << 64) - 1) + b"{}",
    "header no JSON": tensors(b"{not json"),
    "header a list": tensors(b"[1, 2]"),
    "header deep": tensors(b'{"a":' * 100_000),
    "duplicate key": tensors(
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b"\0" * 4,
    ),
    "truncated": one("F32", [4], b"\0" * 16)[:-3],
    "more behind": one("F32", [4], b"\0" * 16) + b"PK\3\4",
    "gap": tensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8),
    "overlap": tensors(
        {
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        },
        b"\0" * 8,
    ),
    "offsets no numbers": tensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": "ab"}}),
    "offsets with a point": tensors(
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4.0]}}, b"\0" * 4
    ),
    "no offsets": tensors({"w": {"dtype": "F32", "shape": [1]}}),
    "shape and size differ": one("F32", [5], b"\0" * 16),
    "negative shape": one("F32", [-1, -4], b"\0" * 16),
    "shape of words": one("F32", ["4"], b"\0" * 16),
    "shape missing": tensors({"w": {"dtype": "F32", "data_offsets": [0, 4]}}, b"\0" * 4),
    "unknown kind": one("F8_E4M3", [4], b"\0" * 4),
    "kind of a list": tensors(
        {"w": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4
    ),
    "NaN in F32": one("F32", [2], np.array([1, NAN], np.float32).tobytes()),
    "Inf in F32": one("F32", [2], np.array([-INF, 1], np.float32).tobytes()),
    "NaN in F16": one("F16", [2], np.array([1, NAN], np.float16).tobytes()),
    "Inf in F64": one("F64", [1], np.array([INF], np.float64).tobytes()),
    "NaN in BF16": one("BF16", [2], bf16(1.0, NAN)),
    "Inf in BF16": one("BF16", [2], bf16(-INF, 2.0)),
    "NaN at the end of 9 MB": one(
        "F32", [9 << 18], np.append(np.zeros((9 << 18) - 1, np.float32), np.float32(NAN)).tobytes()
    ),
}
JSON_WITH_CODE: dict[str, Any] = {
    "auto_map": {"auto_map": {"AutoModel": "evil.Model"}},
    "deep": {"text_config": {"vision": [{"auto_map": {}}]}},
    "attention": {"_attn_implementation_internal": "someone/kernel"},
    "experts": {"_experts_implementation_internal": "x"},
    "trust": {"trust_remote_code": True},
    "pipelines": {"custom_pipelines": {}},
}


def whole(folder: Path, change: Callable[[Path], object] = lambda _: None) -> Path:
    """A skill's folder with a manifest that fits whatever was done to it."""
    folder.mkdir(exist_ok=True)
    weights()(folder)
    change(folder)
    write_manifest(folder)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(SkillError) as said:
        check_content(folder)
    assert "\n" not in str(said.value)
    return str(said.value)


def test_plain_files_pass(tmp_path: Path) -> None:
    folder = whole(tmp_path / "skill")
    check_manifest(folder)
    check_content(folder)


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_weights_that_are_broken_or_no_numbers_are_refused(tmp_path: Path, case: str) -> None:
    folder = whole(
        tmp_path / "skill", lambda f: (f / "model.safetensors").write_bytes(BAD_TENSORS[case])
    )
    assert "model.safetensors" in refused(folder)


@pytest.mark.parametrize(
    "array",
    [
        np.array([1e38, -0.0], np.float32),
        np.array([[65_504.0]], np.float16),
        np.array([], np.float32),
        np.array(3, np.int64),
        np.array([True, False]),
        np.array([-128, 127], np.int8),
    ],
)
def test_finite_weights_of_every_kind_pass(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    def write(folder: Path) -> None:
        save_file({"w": array}, folder / "model.safetensors", metadata={"format": "np"})

    check_content(whole(tmp_path / "skill", write))


def test_finite_bf16_weights_pass(tmp_path: Path) -> None:
    data = one("BF16", [3], bf16(1.0, -3.3e38, 0.0))
    check_content(whole(tmp_path / "skill", lambda f: (f / "model.safetensors").write_bytes(data)))


@pytest.mark.parametrize("name", ["config.json", "inner/tokenizer_config.json", "card.json"])
@pytest.mark.parametrize("case", JSON_WITH_CODE)
def test_json_that_makes_a_library_run_code_is_refused(
    tmp_path: Path, case: str, name: str
) -> None:
    text = json.dumps(JSON_WITH_CODE[case])
    folder = whole(tmp_path / "skill", lambda f: (f / name).write_text(text))
    assert "run code" in refused(folder)


@pytest.mark.parametrize(
    "config",
    [
        {"auto_mapping": {"parent_library": "evil", "base_model_class": "X"}},
        {"auto_mapping": "evil"},
        {"megatron_config": {}, "megatron_core": "evil"},
    ],
)
def test_an_adapter_that_makes_peft_import_a_module_is_refused(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    text = json.dumps(config)
    folder = whole(tmp_path / "skill", lambda f: (f / "adapter_config.json").write_text(text))
    assert "import" in refused(folder)
    fine = {"auto_mapping": {"parent_library": "transformers.models.bert"}, "megatron_config": None}
    (folder / "adapter_config.json").write_text(json.dumps(fine))
    check_content(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "3", '"x"', '{"a": 1, "a": 2}', "[" * 100_000, "\0", "{'a': 1}"]
)
def test_json_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    folder = whole(tmp_path / "skill", lambda f: (f / "config.json").write_text(text))
    assert "config.json" in refused(folder)


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "data.pkl",
        "head.joblib",
        "rng_state.pth",
        "code.py",
        "lib.so",
        "run.sh",
        "x",
        "weights.safetensors.pkl",
        "inner/deep.pickle",
        ".hidden",
    ],
)
def test_a_file_that_may_run_code_is_refused_and_not_opened(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    folder = tmp_path / "skill"
    folder.mkdir()
    weights()(folder)
    (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(SkillError, match="may not be part of a skill"):
        write_manifest(folder)
    with pytest.raises(SkillError, match="may not be part of a skill"):
        check_manifest_after(folder)
    assert not canary.exists()


def check_manifest_after(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": 1, "files": {}}')
    check_manifest(folder)


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "dead link", "fifo"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    folder = tmp_path / "skill"
    folder.mkdir()
    place = folder / "notes.txt"
    if kind == "fifo":
        os.mkfifo(place)
    else:
        targets = {"link to a file": outside, "link to a folder": tmp_path, "dead link": Path("no")}
        place.symlink_to(targets[kind])
    with pytest.raises(SkillError, match="is no regular file"):
        names_in(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": []}', '{"files": {"a.txt": 3}}', '{"files": null}']
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    folder = whole(tmp_path / "skill")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(SkillError):
        check_manifest(folder)
