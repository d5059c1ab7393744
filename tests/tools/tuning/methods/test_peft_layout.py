"""What is tuned here loads in plain PEFT and through the engine's adapters, and says the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from models.adapters import TorchAdapters
from models.errors import ModelUnavailable
from tests.models.tiny import load, publish
from tests.tools.tuning.methods.test_label_tuning import CASES, fit
from tests.tools.tuning.methods.tiny_task import bench, rows
from tools.tuning.examples import TextInput
from tools.tuning.methods.label_tuning import LabelTuning
from tools.tuning.methods.label_words import encode, encode_row

PLAIN = ("soft_prompt front", "kv_prefix front", "lora")
KINDS = ("llama", "gpt2")


def label_scores(method: LabelTuning, text: TextInput) -> torch.Tensor:
    with torch.no_grad():
        return method.scores(method.prepare([text], once=True), [0])[0]


def row_ids(method: LabelTuning, text: TextInput) -> list[int]:
    row = encode_row(method.opened.tokenizer, method.design, text, 200)
    head = method.head_ids(method.design) if method.settings.get("head") else []
    return [*head, *row]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT's own
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLAIN)
def test_peft_reads_the_folder_and_gives_the_same_scores(
    name: str, kind: str, tmp_path: Path
) -> None:
    at = bench(tmp_path, kind)
    method = fit(CASES[name], at)
    method.save(tmp_path / "skill")
    base = AutoModelForCausalLM.from_pretrained(at.base or "", dtype=torch.float32)
    loaded: Any = PeftModel.from_pretrained(base, str(tmp_path / "skill")).eval()
    for example in rows()[:3]:
        ids = row_ids(method, example.input)
        whole = torch.ones((1, len(ids)), dtype=torch.long)
        with torch.no_grad():
            logits = loaded(input_ids=torch.tensor([ids]), attention_mask=whole).logits[0, -1]
        wanted = label_scores(method, example.input)
        torch.testing.assert_close(logits[method.label_tokens], wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["soft_prompt front", "lora"])
def test_the_engine_reads_the_folder_and_gives_the_same_scores(name: str, tmp_path: Path) -> None:
    at = bench(tmp_path)
    method = fit(CASES[name], at)
    method.save(tmp_path / "skill")
    network = load(Path(at.base or ""))
    network.adapters = TorchAdapters(network.model, method.opened.trainable.digest)
    network.adapters.load("skill", tmp_path / "skill")
    for example in rows()[:3]:
        found = network.new_state("skill").forward(row_ids(method, example.input))
        wanted = label_scores(method, example.input)
        assert found[method.label_tokens.tolist()] == pytest.approx(wanted.numpy(), abs=1e-4)


@pytest.mark.parametrize("name", ["soft_prompt front", "lora"])
def test_generating_with_and_without_a_cache_gives_the_same_tokens(
    name: str, tmp_path: Path
) -> None:
    at = bench(tmp_path)
    method = fit(CASES[name], at)
    method.save(tmp_path / "skill")
    network = load(Path(at.base or ""))
    network.adapters = TorchAdapters(network.model, method.opened.trainable.digest)
    network.adapters.load("skill", tmp_path / "skill")
    start = encode(method.opened.tokenizer, "Read the tickets")
    state = network.new_state("skill")
    kept, scores = list(start), state.forward(start)
    for _ in range(12):
        kept.append(int(scores.argmax()))
        scores = state.forward(kept[-1:])
    anew = list(start)
    for _ in range(12):
        anew.append(int(network.new_state("skill").forward(anew).argmax()))
    assert kept == anew
    plain = network.new_state(None).forward(start)
    assert abs(plain - network.new_state("skill").forward(start)).max() > 1e-2, "it is not used"


def test_the_engine_refuses_a_folder_that_was_tuned_on_another_model(tmp_path: Path) -> None:
    method = fit(CASES["soft_prompt front"], bench(tmp_path), steps=1)
    method.save(tmp_path / "skill")
    network = load(publish(tmp_path / "other", "llama", seed=1))
    with pytest.raises(ModelUnavailable, match="tuned on the model"):
        network.adapters.load("skill", tmp_path / "skill")


def test_what_stands_after_the_text_is_not_written_as_if_it_stood_before(tmp_path: Path) -> None:
    for name in ("soft_prompt suffix", "kv_prefix suffix"):
        fit(CASES[name], bench(tmp_path), steps=1).save(tmp_path / name)
        assert not (tmp_path / name / "adapter_config.json").exists()


def test_a_whole_model_loads_in_plain_transformers(tmp_path: Path) -> None:
    method = fit(CASES["full"], bench(tmp_path))
    method.save(tmp_path / "skill")
    folder = tmp_path / "skill" / "model"
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    text = rows()[0].input
    with torch.no_grad():
        logits = plain(input_ids=torch.tensor([row_ids(method, text)])).logits[0, -1]
    wanted = label_scores(method, text)
    torch.testing.assert_close(logits[method.label_tokens], wanted, atol=1e-4, rtol=1e-4)
