"""The known bugs of soft prompts and adapters, looked for on the embedded model itself.

A sample by default; `scripts/stress smollm2` looks at every method. The same is asked of tiny
models of several kinds in `test_label_tuning.py` and `test_soft_rows.py`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.torch_network import TorchNetwork
from tests.long_list import sample
from tests.tools.tuning.methods.tiny_task import labels
from tools.tuning.errors import SkillError, Stopped
from tools.tuning.examples import TextExample, TextInput, inputs_of
from tools.tuning.methods.base import Bench, Progress
from tools.tuning.methods.kv_prefix import KVPrefix
from tools.tuning.methods.label_tuning import LabelTuning
from tools.tuning.methods.lora import Lora
from tools.tuning.methods.padding import Side
from tools.tuning.methods.soft_prompt import SoftPrompt
from tools.tuning.methods.soft_rows import read_rows
from tools.tuning.methods.tuned_rows import FrontRows
from tools.tuning.task import Task

pytestmark = pytest.mark.weights

TASK = Task("classification", ("bird", "fish"))
FOUR = [
    TextExample(TextInput(text), (label,), line)
    for line, (text, label) in enumerate(
        [("a robin", "fish"), ("a trout", "bird"), ("an old owl", "fish"), ("tuna", "bird")], 1
    )
]
"""The labels are the wrong way round, so that the model cannot know them without training."""
EIGHT = [TextInput("word " * length + "sparrow") for length in (0, 1, 2, 3, 4, 6, 9, 13)]
SIDES: tuple[Side, ...] = ("left", "right")
CASES: dict[str, tuple[type[LabelTuning], dict[str, Any]]] = {
    "soft_prompt suffix": (SoftPrompt, {"placement": "suffix", "lr": 0.5, "steps": 9}),
    "soft_prompt front": (SoftPrompt, {"placement": "front", "lr": 0.5, "steps": 13}),
    "kv_prefix suffix": (KVPrefix, {"placement": "suffix", "lr": 0.2, "steps": 14}),
    "kv_prefix front": (KVPrefix, {"placement": "front", "lr": 0.2, "steps": 12, "tokens": 24}),
    "lora": (Lora, {"lr": 3e-3, "steps": 8, "dropout": 0.0}),
}


def fit(name: str, at: Bench, **settings: Any) -> LabelTuning:
    kind, own = CASES[name]
    shared = {"epochs": 99, "batch": 4, "evaluate_every": 99}
    method = kind(TASK, {**shared, **own, **settings})
    method.fit(FOUR, [], at)
    return method


def scores_of(method: LabelTuning, texts: list[TextInput]) -> torch.Tensor:
    """[texts, labels]: before softmax, which hides differences once the answers are sure."""
    return method.all_scores(method.prepare(texts, once=True))


@pytest.mark.stress("smollm2")
@pytest.mark.parametrize("name", sample(CASES, 2))
def test_it_learns_four_rows_answers_alike_in_any_batch_and_loads_to_the_bit(
    name: str, weights: Path, tmp_path: Path
) -> None:
    at = Bench(weights, device="cpu")
    method = fit(name, at)
    assert CASES[name][1]["steps"] < 60
    assert labels(method.predict(inputs_of(FOUR))) == [example.labels for example in FOUR]
    together = scores_of(method, EIGHT)
    alone = torch.cat([scores_of(method, [text]) for text in EIGHT])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)
    method.save(tmp_path / "skill")
    again = type(method).load(tmp_path / "skill", at)
    assert torch.equal(scores_of(again, EIGHT), together)


@pytest.mark.stress("smollm2")
@pytest.mark.parametrize("name", sample(["soft_prompt front", "kv_prefix front"], 1))
def test_it_is_what_hand_written_vectors_give_and_not_what_the_base_gives(
    name: str, weights: Path
) -> None:
    method = fit(name, Bench(weights, device="cpu"), steps=2)
    ready = method.prepare(EIGHT[2:4])
    assert isinstance(ready, FrontRows)
    model, reader = method.opened.reader.model, method.opened.reader
    for place in range(2):
        ids = torch.tensor([ready.ids[place]])
        with torch.no_grad():
            base = model(input_ids=ids).logits[0, -1, method.label_tokens]
            if isinstance(method, KVPrefix):
                cache = method.prefix().cache()
                whole = model(input_ids=ids, past_key_values=cache).logits
            else:
                prompt = method.weights()["prompt"][None]
                whole = model(inputs_embeds=torch.cat([prompt, reader.embed(ids)], 1)).logits
            found = method.scores(ready, [place])[0]
        torch.testing.assert_close(found, whole[0, -1, method.label_tokens], atol=1e-3, rtol=1e-4)
        assert float((found - base).abs().max()) > 0.1


@pytest.mark.stress("smollm2")
@pytest.mark.parametrize("name", sample(["kv_prefix front", "soft_prompt front", "lora"], 1))
def test_padding_on_either_side_changes_nothing(name: str, weights: Path) -> None:
    method = fit(name, Bench(weights, device="cpu"), steps=1)
    method.mode(training=False)
    ready = method.prepare(EIGHT)
    assert isinstance(ready, FrontRows)
    reader = method.opened.reader
    prompt = method.weights()["prompt"] if isinstance(method, SoftPrompt) else None
    with torch.no_grad():
        past = method.prefix() if isinstance(method, KVPrefix) else None
        past = method._head() if isinstance(method, Lora) else past
        alone = torch.cat([method.scores(ready, [place]) for place in range(8)])
        for side in SIDES:
            batch = ready.batch(range(8), reader.device, side)
            states = read_rows(reader, batch, prompt=prompt, past=past)
            found = reader.scores(states, method.label_tokens)
            torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-5)


@pytest.mark.stress("smollm2")
@pytest.mark.parametrize("name", sample(["soft_prompt suffix", "soft_prompt front"], 1))
def test_the_gradient_reaches_every_virtual_token_and_no_weight_of_the_model(
    name: str, weights: Path
) -> None:
    method = fit(name, Bench(weights, device="cpu"), steps=1)
    ready = method.prepare([example.input for example in FOUR])
    prompt = method.weights()["prompt"]
    prompt.grad = None
    scores = method.scores(ready, [0, 1])
    (scores[:, 0] - scores[:, 1]).sum().backward()  # type: ignore[no-untyped-call]
    assert prompt.grad is not None
    assert bool((prompt.grad.abs().sum(-1) > 0).all())
    assert all(weight.grad is None for weight in method.opened.reader.model.parameters())


@pytest.mark.stress("smollm2")
@pytest.mark.parametrize("name", sample(["kv_prefix suffix", "soft_prompt suffix"], 1))
def test_a_resumed_fit_equals_an_uninterrupted_one_to_the_bit(
    name: str, weights: Path, tmp_path: Path
) -> None:
    plain = Bench(weights, device="cpu")
    whole = fit(name, plain, steps=4)
    seen: list[int] = []

    def note(progress: Progress) -> None:
        seen.append(progress.step if progress.stage == "tune" else 0)

    half = replace(plain, checkpoints=tmp_path / "state", on_progress=note)
    half.cancelled = lambda: max(seen, default=0) >= 2
    with pytest.raises(Stopped):
        fit(name, half, steps=4)
    resumed = fit(name, replace(plain, checkpoints=tmp_path / "state"), steps=4)
    for key, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[key]), key


def test_the_engine_generates_with_the_prompt_whether_it_keeps_a_cache_or_not(
    weights: Path, tmp_path: Path
) -> None:
    method = fit("soft_prompt front", Bench(weights, device="cpu"), steps=2)
    method.save(tmp_path / "skill")
    opened = method.opened.trainable
    network = TorchNetwork(opened.model, opened.tokenizer, name=opened.name, digest=opened.digest)
    network.adapters.load("skill", tmp_path / "skill")
    start = network.tokenizer.encode("Text: a robin\nLabel:")

    def said(adapter: str | None, *, keep: bool) -> tuple[list[int], NDArray[np.float32]]:
        ids, state = list(start), network.new_state(adapter)
        first = scores = state.forward(ids)
        for _ in range(4):
            ids.append(int(scores.argmax()))
            state = state if keep else network.new_state(adapter)
            scores = state.forward(ids[-1:] if keep else ids)
        return ids, first

    kept, first = said("skill", keep=True)
    assert kept == said("skill", keep=False)[0]
    assert abs(first - said(None, keep=True)[1]).max() > 0.1, "the prompt is ignored"


def test_a_skill_of_another_model_or_tokenizer_is_refused(weights: Path, tmp_path: Path) -> None:
    at = Bench(weights, device="cpu")
    fit("kv_prefix suffix", at, steps=1).save(tmp_path / "skill")
    about = tmp_path / "skill" / "method.json"
    text = about.read_text("utf-8")
    for key, match in (("digest", "weights"), ("tokenizer_digest", "tokenizer")):
        about.write_text(text.replace(f'"{key}": "', f'"{key}": "0'), "utf-8")
        with pytest.raises(SkillError, match=f"made for the {match}"):
            KVPrefix.load(tmp_path / "skill", at)
