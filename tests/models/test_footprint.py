"""What models need in memory, and that the model named for a card fits it."""

from pathlib import Path

import pytest

from models.catalogue import CATALOGUE, Entry
from models.footprint import Footprint, cache_bytes, footprints, machine

CARDS = [entry for entry in CATALOGUE.values() if entry.card_gb is not None]


def needs(entry: Entry, kind: str, tokens: int) -> Footprint:
    assert entry.shape is not None
    return next(f for f in footprints(entry.parameters, entry.shape, tokens) if f.kind == kind)


@pytest.mark.parametrize("entry", CARDS, ids=lambda entry: entry.name)
def test_the_model_for_a_card_fits_it_with_a_window_of_8192(entry: Entry) -> None:
    assert entry.card_gb is not None
    assert needs(entry, entry.quant or "bf16", 8_192).total < entry.card_gb * 1e9


@pytest.mark.parametrize("entry", [e for e in CARDS if e.quant], ids=lambda entry: entry.name)
def test_a_model_is_quantised_only_where_bf16_would_not_fit(entry: Entry) -> None:
    assert entry.card_gb is not None
    assert needs(entry, "bf16", 8_192).total > entry.card_gb * 1e9


def test_the_cache_of_qwen3_8b_is_the_published_144_kib_a_token() -> None:
    shape = CATALOGUE["qwen3-8b"].shape
    assert shape is not None
    assert cache_bytes(shape, 1) == 144 * 1024


def test_a_longer_window_needs_more() -> None:
    entry = CATALOGUE["qwen3-4b"]
    assert needs(entry, "4bit", 32_768).cache == 4 * needs(entry, "4bit", 8_192).cache


def test_4bit_leaves_embeddings_in_bf16() -> None:
    entry = CATALOGUE["qwen3-8b"]
    assert entry.shape is not None
    embeddings = 2 * entry.shape.vocabulary * entry.shape.hidden
    smallest = 2 * embeddings + 0.5 * (entry.parameters - embeddings)
    assert smallest < needs(entry, "4bit", 1).weights < 0.5 * needs(entry, "bf16", 1).weights


def test_the_machine_is_described_even_where_the_home_does_not_exist_yet(tmp_path: Path) -> None:
    found = machine(tmp_path / "not" / "yet")
    assert 0 < found.memory_free <= found.memory
    assert found.disk_free > 0


def test_a_gpu_is_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559, 80000'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = machine(tmp_path)
    assert found.gpu == "NVIDIA H100 80GB HBM3"
    assert (found.gpu_memory, found.gpu_free) == (81_559 << 20, 80_000 << 20)


def test_a_broken_nvidia_smi_means_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'No devices were found'; exit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine(tmp_path).gpu is None
