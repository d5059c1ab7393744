"""LoRA adapters and soft prompts: each as PEFT itself runs it, and never one through another."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM

from models.engine import Engine
from models.errors import ModelError, ModelUnavailable
from models.request import Request, Sampling
from tests.models import tiny

# PEFT asks transformers for a setting by its old name while it makes a model to tune.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

PROMPT = tuple(range(20, 60))
TOKENS = 12
NAMES = ("lora_a", "lora_b", "soft_a", "soft_b")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def base_model(hub: Path, kind: str) -> Any:
    folder = tiny.publish(hub, kind)
    return AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)


def tune(hub: Path, name: str, config: Any, *, kind: str = "llama") -> Path:
    """An adapter with random weights, saved the way PEFT saves it."""
    torch.manual_seed(sum(name.encode()))
    model = get_peft_model(base_model(hub, kind), config)
    for key, weight in model.named_parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=1.0 if "prompt" in key else 0.5)
    folder = hub / "adapters" / f"{name}-{kind}"
    model.save_pretrained(str(folder))
    return folder


def lora() -> LoraConfig:
    return LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type=TaskType.CAUSAL_LM)


def soft() -> PromptTuningConfig:
    return PromptTuningConfig(num_virtual_tokens=5, task_type=TaskType.CAUSAL_LM)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hub = tmp_path_factory.mktemp("hub")
    for name in NAMES:
        tune(hub, name, lora() if name.startswith("lora") else soft())
    return hub


@pytest.fixture
def engine(hub: Path) -> Engine:
    return Engine(tiny.load(tiny.publish(hub, "llama")))


def folder(hub: Path, name: str) -> Path:
    return hub / "adapters" / f"{name}-llama"


def say(engine: Engine, ids: Sequence[int], adapter: str | None) -> tuple[int, ...]:
    request = Request(tuple(ids), sampling=Sampling(max_tokens=TOKENS), adapter=adapter)
    return engine.generate([request])[0].ids


def by_peft(hub: Path, name: str | None, ids: Sequence[int]) -> tuple[int, ...]:
    """What PEFT's own model generates, read in full for each token."""
    model = base_model(hub, "llama")
    if name is not None:
        model = PeftModel.from_pretrained(model, str(folder(hub, name)))
    said: list[int] = []
    with torch.inference_mode():
        while len(said) < TOKENS:
            logits = model(input_ids=torch.tensor([[*ids, *said]]), use_cache=False).logits
            token = int(logits[0, -1].argmax())
            if token in (0, 2):
                break
            said.append(token)
    return tuple(said)


def test_adapters_in_turns_say_what_each_says_alone_and_what_peft_says(
    hub: Path, engine: Engine
) -> None:
    names: tuple[str | None, ...] = (*NAMES, None)
    for kind in NAMES:
        engine.network.adapters.load(kind, folder(hub, kind))
    expected = {name: by_peft(hub, name, PROMPT) for name in names}
    assert len(set(expected.values())) == 5, "the adapters must differ to show anything"
    for _ in range(2):
        for name, ids in expected.items():
            assert say(engine, PROMPT, name) == ids
    for name in reversed(expected):
        longer = [*PROMPT, *expected[name], 99, 98]
        assert say(engine, longer, name) == by_peft(hub, name, longer)


def test_a_soft_prompt_survives_going_back_in_the_cache(hub: Path, engine: Engine) -> None:
    engine.network.adapters.load("soft", folder(hub, "soft_a"))
    for ids in (PROMPT, PROMPT[:10] + (70, 71, 72), PROMPT[:1], PROMPT):
        assert say(engine, ids, "soft") == by_peft(hub, "soft_a", ids)


def test_candidates_are_scored_through_the_adapter(hub: Path, engine: Engine) -> None:
    engine.network.adapters.load("lora", folder(hub, "lora_a"))
    candidates = [[30, 31], [40], [50, 51, 52]]
    base = engine.score(PROMPT, candidates)
    tuned = engine.score(PROMPT, candidates, adapter="lora")
    assert tuned != pytest.approx(base, abs=1e-3)
    assert engine.score(PROMPT, candidates) == pytest.approx(base, abs=1e-4)


def test_loading_another_adapter_under_a_name_replaces_it(hub: Path, engine: Engine) -> None:
    adapters = engine.network.adapters
    engine.load_adapter("mine", folder(hub, "lora_a"))
    first = say(engine, PROMPT, "mine")
    adapters.load("mine", folder(hub, "lora_b"))
    assert adapters.names == ("mine",)
    assert say(engine, PROMPT, "mine") == by_peft(hub, "lora_b", PROMPT) != first
    adapters.load("mine", folder(hub, "soft_a"))
    assert say(engine, PROMPT, "mine") == by_peft(hub, "soft_a", PROMPT)


def test_a_removed_adapter_leaves_the_base_model_as_it_was(hub: Path, engine: Engine) -> None:
    base = say(engine, PROMPT, None)
    for name in NAMES:
        engine.network.adapters.load(name, folder(hub, name))
        say(engine, PROMPT, name)
    for name in NAMES:
        engine.network.adapters.remove(name)
    assert engine.network.adapters.names == ()
    assert say(engine, (*PROMPT, 5), None) == by_peft(hub, None, (*PROMPT, 5))
    assert say(engine, PROMPT, None) == base


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(hub: Path, engine: Engine) -> None:
    engine.network.adapters.load("mine", folder(hub, "lora_a"))
    with pytest.raises(ModelError, match=r"'yours'.*mine"):
        say(engine, PROMPT, "yours")


def broken(hub: Path, tmp_path: Path, file: str, content: bytes | None) -> Path:
    copy = tmp_path / "adapter"
    shutil.copytree(folder(hub, "lora_a"), copy)
    (copy / file).unlink(missing_ok=True)
    if content is not None:
        (copy / file).write_bytes(content)
    return copy


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("adapter_config.json", None, "adapter_config.json is missing"),
        ("adapter_config.json", b"{", "broken"),
        ("adapter_config.json", b'{"peft_type": "MAGIC"}', "broken"),
        ("adapter_config.json", b'{"peft_type": "LORA", "r": "four"}', "does not fit"),
        ("adapter_model.safetensors", None, "adapter_model.safetensors is missing"),
        ("adapter_model.safetensors", b"?" * 100, "broken"),
        ("tuneward.json", b'{"base_digest": "0123456789abcdef"}', "tuned on .* 0123456789ab"),
        ("tuneward.json", b"[", "broken"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused_and_changes_nothing(
    hub: Path, engine: Engine, tmp_path: Path, file: str, content: bytes | None, said: str
) -> None:
    engine.network.adapters.load("good", folder(hub, "lora_b"))
    before = say(engine, PROMPT, "good"), say(engine, PROMPT, None)
    with pytest.raises(ModelUnavailable, match=said):
        engine.network.adapters.load("good", broken(hub, tmp_path, file, content))
    assert (say(engine, PROMPT, "good"), say(engine, PROMPT, None)) == before


def test_pickled_weights_are_not_even_looked_at(hub: Path, engine: Engine, tmp_path: Path) -> None:
    copy = broken(hub, tmp_path, "adapter_model.safetensors", None)
    (copy / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'touch canary'\ntR.")
    with pytest.raises(ModelUnavailable, match="safetensors is missing"):
        engine.network.adapters.load("pickled", copy)


def test_a_matching_base_digest_is_accepted(hub: Path, engine: Engine, tmp_path: Path) -> None:
    card = json.dumps({"base_digest": engine.network.digest}).encode()
    engine.network.adapters.load("mine", broken(hub, tmp_path, "tuneward.json", card))
    assert say(engine, PROMPT, "mine") == by_peft(hub, "lora_a", PROMPT)


@pytest.mark.parametrize("make", [lora, soft])
def test_an_adapter_of_another_model_is_refused(hub: Path, engine: Engine, make: Any) -> None:
    kind = "gpt2" if make is lora else "wide"
    config = make()
    if kind == "gpt2":
        config.target_modules, config.fan_in_fan_out = {"c_attn"}, True
        foreign = tune(hub, "foreign", config, kind=kind)
    else:
        foreign = tune(hub, "foreign", config)
        _widen(foreign)
    before = say(engine, PROMPT, None)
    with pytest.raises(ModelUnavailable, match=r"does not fit|needs vectors of 32"):
        engine.network.adapters.load("foreign", foreign)
    assert engine.network.adapters.names == ()
    assert say(engine, PROMPT, None) == before


def _widen(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "adapter_model.safetensors"
    prompt = load_file(file)["prompt_embeddings"]
    save_file({"prompt_embeddings": torch.cat([prompt, prompt], dim=1)}, file)


def test_a_kind_that_is_not_supported_is_named(hub: Path, engine: Engine) -> None:
    from peft import IA3Config

    config = IA3Config(
        target_modules=["q_proj"], feedforward_modules=[], task_type=TaskType.CAUSAL_LM
    )
    with pytest.raises(ModelUnavailable, match=r"IA3.*LORA"):
        engine.network.adapters.load("ia3", tune(hub, "ia3", config))
