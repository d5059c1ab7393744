"""Hashes are remembered only as long as the file stays as it is."""

import hashlib
import os
from pathlib import Path

import pytest

from models.digest import Digests


def test_a_hash_is_computed_once(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"weights")
    seen: list[int] = []
    digests = Digests(tmp_path / "models")
    for _ in range(2):
        found = digests.of_file(file, lambda what, done, total: seen.append(done))
        assert found == hashlib.sha256(b"weights").hexdigest()
    assert seen == [7]


def test_a_changed_file_is_hashed_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"weights")
    digests = Digests(tmp_path)
    before = digests.of_file(file)
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(1, 1))
    assert digests.of_file(file) != before


def test_a_broken_memory_is_rebuilt(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"weights")
    digests = Digests(tmp_path)
    for junk in ("", "[]", '{"x": 1}', "\x00", "{"):
        digests.path.write_text(junk)
        assert digests.of_file(file) == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize("change", ["content", "name"])
def test_the_hash_of_a_folder_covers_content_and_names(tmp_path: Path, change: str) -> None:
    one = tmp_path / "one"
    one.mkdir()
    (one / "a.safetensors").write_bytes(b"1")
    other = tmp_path / "other"
    other.mkdir()
    name = "b.safetensors" if change == "name" else "a.safetensors"
    (other / name).write_bytes(b"2" if change == "content" else b"1")
    digests = Digests(tmp_path)
    assert digests.of_weights(one) != digests.of_weights(other)
