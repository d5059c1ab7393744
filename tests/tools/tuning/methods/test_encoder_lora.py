"""LoRA over an encoder: small, frozen below, loadable with plain peft."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModel

from tests.tools.tuning.methods.problems import CLASSES, PROBLEMS, TAGS, classes, tags
from tools.tuning.examples import inputs_of
from tools.tuning.methods.base import Bench
from tools.tuning.methods.encoder_files import open_encoder
from tools.tuning.methods.encoder_lora import EncoderLora
from tools.tuning.tally import mean_score, tally
from tools.tuning.task import Task

QUICK = {"epochs": 25, "lr": 1e-2, "batch": 8}
MOST_BYTES = 3_000_000


@pytest.mark.parametrize(("problem", "least"), [("classes", 0.9), ("tags", 0.9)])
def test_learns(problem: str, least: float, tiny_bench: Bench) -> None:
    task, make = PROBLEMS[problem]
    method = EncoderLora(task, QUICK)
    method.fit(make(48), [], tiny_bench)
    test = make(30, seed=2)
    assert mean_score(tally(test, method.predict(inputs_of(test)))) >= least


def test_only_the_adapter_and_the_head_are_trained(tiny_bench: Bench) -> None:
    method = EncoderLora(TAGS, QUICK)
    method.fit(tags(16), [], tiny_bench)
    before = dict(open_encoder(tiny_bench).model.named_parameters())
    wrapped = method.labeller.network.encoder
    changed = 0
    for name, weight in wrapped.get_base_model().named_parameters():
        if "lora_" in name:
            assert "pooler" not in name
            changed += "lora_B" in name and bool(weight.detach().abs().sum() > 0)
        else:
            assert torch.equal(weight, before[name.replace(".base_layer", "")])
    assert changed == 12  # six linear layers in each of two blocks


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_the_saved_adapter_loads_in_plain_peft(
    tiny_bench: Bench, tiny_folder: Path, tmp_path: Path
) -> None:
    method = EncoderLora(CLASSES, QUICK)
    method.fit(classes(24), [], tiny_bench)
    method.save(tmp_path / "skill")
    assert str(tiny_folder) not in (tmp_path / "skill" / "adapter_config.json").read_text()
    plain = AutoModel.from_pretrained(tiny_folder, local_files_only=True)
    theirs = PeftModel.from_pretrained(plain, str(tmp_path / "skill")).eval()
    ours = method.labeller.network.encoder.eval()
    ids = torch.arange(1, 12)[None]
    with torch.no_grad():
        difference = theirs(input_ids=ids)[0] - ours(input_ids=ids)[0]
    assert float(difference.abs().max()) < 1e-6


@pytest.mark.weights
def test_a_tagger_over_the_embedded_encoder_is_small(weights: Path, tmp_path: Path) -> None:
    task = Task("ner", ("LOC", "MISC", "ORG", "PER"))
    method = EncoderLora(task, {"epochs": 1})
    method.fit(tags(8), [], Bench(weights, device="cpu"))
    method.save(tmp_path / "skill")
    whole = sum(path.stat().st_size for path in (tmp_path / "skill").iterdir())
    assert whole < MOST_BYTES
