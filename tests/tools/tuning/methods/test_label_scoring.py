"""Scores of label words: as the whole model gives them, whatever is shared, kept or batched."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import OutOfMemory
from tests.models.tiny import RECURRENT, load, publish
from tools.tuning.methods.label_scoring import LabelScorer
from tools.tuning.methods.reader import Reader

HEAD = [7, 8, 9, 10]
ROWS = [[20, 21, 22], [30], [40, 41, 42, 43, 44, 45, 46, 47, *range(70, 80)], [50, 51]]
"""The longest one is longer than the window of the sliding kinds."""
ONE_TOKEN = [[60], [61], [62]]
LONGER = [[60], [60, 63], [61, 64, 65], [62]]
KINDS = ["llama", "gpt2", "gemma3_text", "mistral", "qwen3"]


def by_hand(model: torch.nn.Module, row: Sequence[int], word: Sequence[int]) -> float:
    """The mean log-probability of the word's tokens by one plain pass over everything."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*HEAD, *row, *word]])).logits[0]
    logs = logits.float().log_softmax(-1)
    start = len(HEAD) + len(row)
    return float(np.mean([logs[start - 1 + i, token] for i, token in enumerate(word)]))


@pytest.mark.parametrize("kind", [*KINDS, *RECURRENT])
def test_longer_words_score_as_in_a_plain_pass(kind: str, tmp_path: Path) -> None:
    model = load(publish(tmp_path, kind)).model
    found = LabelScorer(Reader(model), HEAD, LONGER).scores(ROWS)
    wanted = [[by_hand(model, row, word) for word in LONGER] for row in ROWS]
    assert found == pytest.approx(np.array(wanted), abs=2e-4)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "lfm2"])
def test_words_of_one_token_differ_as_in_a_plain_pass(kind: str, tmp_path: Path) -> None:
    model = load(publish(tmp_path, kind)).model
    found = LabelScorer(Reader(model), HEAD, ONE_TOKEN).scores(ROWS)
    wanted = np.array([[by_hand(model, row, word) for word in ONE_TOKEN] for row in ROWS])
    assert found - found[:, :1] == pytest.approx(wanted - wanted[:, :1], abs=2e-4)


@pytest.mark.parametrize("words", [ONE_TOKEN, LONGER], ids=["one token", "longer"])
def test_a_row_scores_the_same_alone_and_among_others(
    words: list[list[int]], tmp_path: Path
) -> None:
    scorer = LabelScorer(Reader(load(publish(tmp_path, "llama")).model), HEAD, words)
    together = scorer.scores(ROWS * 2)
    alone = np.concatenate([scorer.scores([row]) for row in ROWS * 2])
    assert together == pytest.approx(alone, abs=1e-4)


class Full(Reader):
    """A model that has memory for so many rows at once."""

    most = 1

    def hidden(self, at: torch.Tensor, **inputs: Any) -> torch.Tensor:
        return self._checked(super().hidden(at, **inputs))

    def hidden_all(self, **inputs: Any) -> torch.Tensor:
        return self._checked(super().hidden_all(**inputs))

    def _checked(self, states: torch.Tensor) -> torch.Tensor:
        if len(states) > self.most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")
        return states


@pytest.mark.parametrize("words", [ONE_TOKEN, LONGER], ids=["one token", "longer"])
@pytest.mark.parametrize("kind", ["llama", "lfm2"])
def test_rows_that_do_not_fit_are_read_in_halves(
    words: list[list[int]], kind: str, tmp_path: Path
) -> None:
    model = load(publish(tmp_path, kind)).model
    wanted = LabelScorer(Reader(model), HEAD, words).scores(ROWS * 2)
    found = LabelScorer(Full(model), HEAD, words).scores(ROWS * 2)
    assert found == pytest.approx(wanted, abs=1e-4)


def test_a_row_that_does_not_fit_alone_is_out_of_memory(tmp_path: Path) -> None:
    scorer = LabelScorer(Full(load(publish(tmp_path, "llama")).model), [], ONE_TOKEN)
    scorer._reader.most = 0  # type: ignore[attr-defined]  # a `Full` one
    with pytest.raises(OutOfMemory):
        scorer.scores(ROWS)


@pytest.mark.parametrize(
    ("name", "value"), [("final_logit_softcapping", 2.0), ("logits_scaling", 3.0)]
)
def test_what_a_model_does_to_its_scores_is_done_here_too(
    name: str, value: float, tmp_path: Path
) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    kind = "gemma2" if name == "final_logit_softcapping" else "granite"
    sizes = {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **sizes, **heads, **{name: value})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data.mul_(6)
    with torch.no_grad():
        wanted = model(input_ids=torch.tensor([[5, 6, 7]])).logits[0, -1, [9, 10]]
        reader = Reader(model)
        hidden = reader.hidden(torch.tensor([2]), input_ids=torch.tensor([[5, 6, 7]]))
        found = reader.scores(hidden, torch.tensor([9, 10]))[0]
    assert found.tolist() == pytest.approx(wanted.tolist(), abs=1e-4)
