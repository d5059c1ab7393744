"""A skill of each family is registered, sent away, taken in and asked: the answers are the same.

What is exported for other libraries loads in them as it is; on another base model or tokenizer a
skill is refused.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForTokenClassification

from tests.long_list import sample
from tests.models.tiny import publish
from tests.models.tiny_encoder import write_encoder
from tests.tools.tuning.methods.problems import CLASSES, TAGS, classes, tags
from tools.tuning.errors import SkillError
from tools.tuning.examples import ClassPrediction, Example, Prediction, TagPrediction, inputs_of
from tools.tuning.method_catalogue import method_class
from tools.tuning.methods.base import Bench
from tools.tuning.skill_archive import export_skill, import_skill
from tools.tuning.skill_card import SkillCard
from tools.tuning.skill_store import Skill, SkillStore
from tools.tuning.task import Task

ENCODERS: dict[str, dict[str, Any]] = {
    "majority": {},
    "nearest": {},
    "linear_head": {"c": 1.0},
    "contrastive": {"steps": 2},
    "encoder": {"epochs": 1},
    "encoder_lora": {"epochs": 1},
}
LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "zero_shot": {},
    "soft_prompt": {"steps": 2},
    "kv_prefix": {"steps": 2},
    "lora": {"steps": 2},
    "full": {"steps": 2},
}


def encoder_bench(folder: Path, seed: int = 0) -> Bench:
    base = folder / f"encoder-{seed}"
    if not base.exists():
        write_encoder(base, seed=seed, window=64)
    return Bench(folder / "home", base=str(base), device="cpu")


def model_bench(folder: Path, seed: int = 0) -> Bench:
    base = publish(folder / f"model-{seed}", "llama", seed=seed)
    return Bench(folder / "home", base=str(base), device="cpu")


def made(name: str, bench: Bench, task: Task, examples: list[Example], **settings: Any) -> Skill:
    method = method_class(name)(task, settings)
    method.fit(examples, [], bench)
    card = SkillCard(
        name="travels",
        description="Travels",
        task=task,
        method=name,
        settings=method.settings,
        base=method.base_facts(),
    )
    return SkillStore(bench.home).register("travels", card, method.save)


def numbers(found: list[Prediction]) -> list[tuple[float, ...]]:
    return [
        each.probabilities if isinstance(each, ClassPrediction) else each.scores for each in found
    ]


def answers(skill: Skill, bench: Bench, examples: list[Example]) -> list[Prediction]:
    return skill.load(bench).predict(inputs_of(examples))


@pytest.mark.stress("skill-travel")
@pytest.mark.parametrize("name", sample([*ENCODERS, *LANGUAGE_MODELS], 6))
def test_a_skill_answers_elsewhere_as_it_does_here(tmp_path: Path, name: str) -> None:
    bench = encoder_bench(tmp_path) if name in ENCODERS else model_bench(tmp_path)
    settings = {**ENCODERS, **LANGUAGE_MODELS}[name]
    here = made(name, bench, CLASSES, classes(12), **settings)
    archive = export_skill(here, tmp_path / "travels.skill")
    there = import_skill(archive, SkillStore(tmp_path / "elsewhere"))
    asked = classes(9, seed=3)
    first, second = answers(here, bench, asked), answers(there, bench, asked)
    assert numbers(first) == numbers(second)
    assert all(isinstance(each, ClassPrediction) for each in first)


@pytest.mark.stress("skill-travel")
@pytest.mark.parametrize("name", sample(["encoder", "encoder_lora", "linear_head", "majority"], 2))
def test_a_tagger_answers_elsewhere_as_it_does_here(tmp_path: Path, name: str) -> None:
    bench = encoder_bench(tmp_path)
    here = made(name, bench, TAGS, tags(12), **ENCODERS[name])
    there = import_skill(
        export_skill(here, tmp_path / "travels.skill"), SkillStore(tmp_path / "elsewhere")
    )
    asked = tags(5, seed=3)
    first, second = answers(here, bench, asked), answers(there, bench, asked)
    assert first == second
    assert all(isinstance(each, TagPrediction) for each in first)


@pytest.mark.parametrize("name", ["linear_head", "encoder_lora", "soft_prompt", "lora"])
def test_a_skill_is_refused_on_another_base_model(tmp_path: Path, name: str) -> None:
    is_encoder = name in ENCODERS
    make = encoder_bench if is_encoder else model_bench
    settings = {**ENCODERS, **LANGUAGE_MODELS}[name]
    skill = made(name, make(tmp_path), CLASSES, classes(12), **settings)
    with pytest.raises(SkillError, match="skill `travels` cannot be used: .*made for") as refused:
        skill.load(make(tmp_path, seed=1))
    assert "\n" not in str(refused.value)


def opened(kind: Any, folder: Path | str | None) -> Any:
    """A model as transformers alone opens it."""
    return kind.from_pretrained(folder, local_files_only=True).eval()


def ids() -> torch.Tensor:
    return torch.arange(1, 12)[None]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
@pytest.mark.parametrize("name", ["encoder_lora", "soft_prompt", "kv_prefix", "lora"])
def test_an_adapter_exported_for_peft_loads_in_peft_and_changes_the_model(
    tmp_path: Path, name: str
) -> None:
    is_encoder = name in ENCODERS
    bench = encoder_bench(tmp_path) if is_encoder else model_bench(tmp_path)
    settings = {**ENCODERS, **LANGUAGE_MODELS}[name]
    if name in ("soft_prompt", "kv_prefix"):
        settings = {**settings, "placement": "front"}  # what peft can place
    skill = made(name, bench, CLASSES, classes(12), **settings)
    out = export_skill(skill, tmp_path / "out", format="peft")
    assert {path.name for path in out.iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not {path.name for path in out.iterdir()} & {"card.json", "method.json"}
    kind = AutoModel if is_encoder else AutoModelForCausalLM
    plain = opened(kind, bench.base)
    with torch.no_grad():
        before = plain(input_ids=ids())[0].clone()
        tuned = PeftModel.from_pretrained(plain, str(out)).eval()
        after = tuned(input_ids=ids())[0][:, -before.shape[1] :]
    assert bool(torch.isfinite(after).all())
    assert float((after - before).abs().max()) > 1e-6


def test_a_model_exported_for_transformers_is_the_tuned_one(tmp_path: Path) -> None:
    bench = model_bench(tmp_path)
    skill = made("full", bench, CLASSES, classes(12), steps=2)
    out = export_skill(skill, tmp_path / "out", format="hf")
    theirs = opened(AutoModelForCausalLM, out)
    plain = opened(AutoModelForCausalLM, bench.base)
    with torch.no_grad():
        assert float((theirs(ids()).logits - plain(ids()).logits).abs().max()) > 1e-6


@pytest.mark.parametrize("name", ["encoder", "contrastive"])
def test_an_encoder_exported_for_transformers_is_the_tuned_one(tmp_path: Path, name: str) -> None:
    bench = encoder_bench(tmp_path)
    skill = made(name, bench, CLASSES, classes(12), **ENCODERS[name])
    out = export_skill(skill, tmp_path / "out", format="hf")
    theirs, plain = opened(AutoModel, out), opened(AutoModel, bench.base)
    with torch.no_grad():
        assert float((theirs(ids())[0] - plain(ids())[0]).abs().max()) > 1e-6


def test_a_tagger_exported_for_transformers_tags_there(tmp_path: Path) -> None:
    skill = made("encoder", encoder_bench(tmp_path), TAGS, tags(12), epochs=1, shapes=False)
    out = export_skill(skill, tmp_path / "out", format="hf")
    theirs = opened(AutoModelForTokenClassification, out)
    assert set(theirs.config.id2label.values()) == {"O", "B-LOC", "I-LOC", "B-PER", "I-PER"}


def test_a_suffix_has_no_place_in_peft_and_that_is_said(tmp_path: Path) -> None:
    skill = made("soft_prompt", model_bench(tmp_path), CLASSES, classes(12), steps=2)
    with pytest.raises(SkillError, match="--format peft could hold; take --format tuneward"):
        export_skill(skill, tmp_path / "out", format="peft")
    assert not (tmp_path / "out").exists()
