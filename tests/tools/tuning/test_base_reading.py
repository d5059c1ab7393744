"""What a base model reads is told without loading it, and the data report of a job goes by it."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.models.tiny import publish
from tests.models.tiny_encoder import write_encoder
from tests.tools.tuning.files import jsonl, reviews
from tools.tuning.base_reading import base_reading
from tools.tuning.job_data import read_data
from tools.tuning.job_spec import DataFile, JobSpec
from tools.tuning.methods.base import Bench


def test_the_default_reads_english_whether_it_is_here_yet_or_not(home: Path) -> None:
    reads = base_reading(None, home)
    assert (reads.languages, reads.longest, reads.count) == (("en",), 256, None)
    assert not (home / "models").exists()


@pytest.mark.parametrize(
    ("method", "settings", "longest"),
    [
        ("linear_head", {}, 256),
        ("linear_head", {"max_tokens": 64}, 64),
        ("zero_shot", {}, 512),
        ("lora", {"longest": 100}, 100),
        ("encoder", {"max_tokens": 9_000}, 512),
        ("majority", {}, None),
    ],
)
def test_a_method_says_how_much_it_reads_but_no_more_than_the_window(
    method: str, settings: dict[str, Any], longest: int | None, home: Path
) -> None:
    assert base_reading(None, home, method=method, settings=settings).longest == longest


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("multilingual-minilm-l12", "zh"),
        ("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", "zh"),
        ("smollm2-135m", "en"),
        ("default", "en"),
    ],
)
def test_the_catalogue_knows_languages(name: str, language: str, home: Path) -> None:
    assert language in base_reading(name, home).languages


@pytest.mark.parametrize("name", ["someone/model", "./no folder", "model.gguf"])
def test_of_a_model_that_nobody_knows_nothing_is_said(name: str, home: Path) -> None:
    reads = base_reading(name, home)
    assert (reads.languages, reads.longest, reads.count) == ((), 256, None)


@pytest.mark.parametrize("kind", ["encoder", "llama"])
def test_a_folder_counts_with_its_own_tokenizer(kind: str, home: Path, tmp_path: Path) -> None:
    is_encoder = kind == "encoder"
    folder = write_encoder(tmp_path / kind) if is_encoder else publish(tmp_path, kind)
    reads = base_reading(str(folder), home)
    text = "ein Überblick über die 物流 " * 9
    assert reads.longest == (24 if is_encoder else 256)
    assert reads.count is not None
    assert reads.count(text) == len(AutoTokenizer.from_pretrained(folder)(text).input_ids)


def test_a_broken_folder_is_for_those_to_say_who_load_it(home: Path, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "broken")
    (folder / "tokenizer.json").write_text("{")
    assert base_reading(str(folder), home).count is None
    (folder / "modules.json").write_text("{")
    assert base_reading(str(folder), home).longest == 256


@pytest.mark.weights
def test_minilm_counts_what_is_beyond_its_window(weights: Path) -> None:
    reads = base_reading(None, weights)
    assert reads.longest == 256
    assert reads.count is not None
    # Its tokenizer file cuts at 128 tokens and pads up to them.
    assert [reads.count("word " * count) for count in (1, 300)] == [3, 302]


def lines(home: Path, path: Path, **facts: Any) -> list[str]:
    spec = JobSpec(kind="classification", skill="mood", train=DataFile.at(path), **facts)
    return read_data(spec, Bench(home, base=spec.base)).report_lines


def test_a_chinese_file_is_outside_the_language_of_the_default(home: Path, tmp_path: Path) -> None:
    rows = [{"text": f"物流很快{i}", "label": "ab"[i % 2]} for i in range(12)]
    path = jsonl(tmp_path, rows)
    (found,) = [line for line in lines(home, path) if " language: " in line]
    assert "12 language: mostly not in Latin letters" in found
    assert "lines 1, 2, 3, 4, 5, ..." in found
    wide = lines(home, path, base="multilingual-minilm-l12")
    assert not any(" language: " in line for line in wide)


def test_a_job_names_what_its_own_base_would_cut(home: Path, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny")
    path = jsonl(tmp_path, [*reviews(12), {"text": "z" * 40, "label": "bad"}])
    (found,) = [line for line in lines(home, path, base=str(folder)) if " long: " in line]
    assert "longer than the 24 tokens that the model reads at once; the rest is cut" in found
    assert not any(" long: " in line for line in lines(home, path))
