"""The catalogue: names, suggestions, and figures that agree with the architectures."""

from typing import Any

import pytest

from models import catalogue
from models.catalogue import CATALOGUE, Entry, Hub, Wheel, find, for_card
from models.errors import ModelUnavailable

CONFIGS = {
    "smollm2": "llama",
    "qwen2.5": "qwen2",
    "qwen3": "qwen3",
    "minilm": "bert",
    "multilingual-minilm": "bert",
}


def test_default_is_the_embedded_model() -> None:
    assert find("default").name == "smollm2-135m"
    assert find("default").embedded


def test_an_unknown_name_is_refused_with_the_closest_one() -> None:
    with pytest.raises(ModelUnavailable, match="`qwen3-8`; did you mean `qwen3-8b`"):
        find("qwen3-8")


def test_a_far_off_name_is_refused_with_all_names() -> None:
    with pytest.raises(ModelUnavailable, match="known: default, .*qwen3-32b"):
        find("zzz")


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_the_parameter_count_is_that_of_the_architecture(entry: Entry) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    shape = entry.shape
    assert shape is not None
    kind = next(kind for start, kind in CONFIGS.items() if entry.name.startswith(start))
    sizes: dict[str, Any] = {
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "vocab_size": shape.vocabulary,
    }
    if kind != "bert":
        sizes |= {"num_key_value_heads": shape.kv_heads, "head_dim": shape.head_dim}
        sizes |= {"tie_word_embeddings": shape.tied}
    auto: Any = AutoModel if kind == "bert" else AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(AutoConfig.for_model(kind, **sizes))
    assert sum(weight.numel() for weight in model.parameters()) == entry.parameters


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_every_source_is_pinned(entry: Entry) -> None:
    if isinstance(entry.source, Hub):
        assert entry.source.revision_is_pinned
    else:
        assert isinstance(entry.source, Wheel)
        hashes = [entry.source.sha256, *(sha for _, sha in entry.source.files.values())]
        assert all(len(sha) == 64 for sha in hashes)


def test_a_branch_is_no_pin() -> None:
    assert not Hub("owner/name", "main").revision_is_pinned


@pytest.mark.parametrize(
    ("gigabytes", "name"),
    [(4, "smollm2-135m"), (8, "qwen3-4b"), (12, "qwen3-8b"), (24, "qwen3-14b"), (80, "qwen3-32b")],
)
def test_each_card_has_its_model(gigabytes: int, name: str) -> None:
    assert for_card(gigabytes).name == name


def test_a_card_that_reports_slightly_less_counts_as_its_class() -> None:
    assert for_card(79.2).name == "qwen3-32b"


def test_aliases_name_real_entries() -> None:
    assert all(name in CATALOGUE for name in catalogue.ALIASES.values())
