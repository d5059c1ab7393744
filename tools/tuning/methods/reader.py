"""Reads a language model's scores at one place of each row, and only there.

The head of a small model is a fifth to two thirds of its work, and scores of a whole vocabulary at
every token are what fills the memory. So the network below the head is run, the hidden state at the
label's place is taken, and it meets the rows of the head that belong to label words. That this is
what the model itself would say is tried out once, when a model is opened.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from models.errors import ModelUnavailable

Change = Callable[[Tensor], Tensor]


class Reader:
    """One language model, read at chosen places."""

    def __init__(self, model: Any) -> None:
        """Raises:
        ModelUnavailable: its scores are not a linear head over hidden states.
        """
        self.model = model
        self._trunk = getattr(model, model.base_model_prefix, None)
        self._head = model.get_output_embeddings()
        if self._trunk is None or self._head is None:
            raise ModelUnavailable(f"{type(model).__name__} has no head that could be read in part")
        self._change = self._agreeing()

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    def embed(self, ids: Tensor) -> Tensor:
        """The vectors that the model itself would look up, scaled as it scales them."""
        vectors: Tensor = self.model.get_input_embeddings()(ids)
        return vectors

    def hidden(self, at: Tensor, **inputs: Any) -> Tensor:
        """[rows, width]: the hidden state at the place `at` of each row; `inputs` as the model's"""
        states = self._states(**inputs)
        return states[torch.arange(len(at), device=states.device), at]

    def hidden_all(self, **inputs: Any) -> Tensor:
        """[rows, tokens, width]."""
        return self._states(**inputs)

    def scores(self, hidden: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Scores in fp32 of these tokens (of all where left out), in the last dimension."""
        weight, bias = self._head.weight, getattr(self._head, "bias", None)
        if tokens is not None:
            weight = weight[tokens]
            bias = None if bias is None else bias[tokens]
        return self._change(linear(hidden.to(weight.dtype), weight, bias).float())

    def _states(self, **inputs: Any) -> Tensor:
        # Unless told, models keep a cache that nobody reads.
        inputs["use_cache"] = inputs.get("past_key_values") is not None
        states: Tensor = self._trunk(**inputs).last_hidden_state  # type: ignore[misc]  # checked
        return states

    def _agreeing(self) -> Change:
        """What the model does to its scores after the head, found by trying what models do."""
        config = self.model.config.get_text_config(decoder=True)
        ids = torch.arange(1, min(9, int(config.vocab_size)), device=self.device)[None]
        with torch.no_grad():
            wanted = self.model(input_ids=ids).logits[0, -1].float()
            hidden = self._states(input_ids=ids)[0, -1]
            tolerance = 1e-4 if self._head.weight.dtype == torch.float32 else 3e-2
            size = float(wanted.abs().max()) + 1e-6
            for change in _changes(config):
                self._change = change
                if float((self.scores(hidden) - wanted).abs().max()) <= tolerance * size:
                    return change
        raise ModelUnavailable(
            f"{type(self.model).__name__} changes its scores after the head in a way that is not "
            "known here; take another --base"
        )


def _changes(config: Any) -> Sequence[Change]:
    """Nothing, a soft cap (Gemma 2), a factor (Cohere), a divisor (Granite)."""
    cap = getattr(config, "final_logit_softcapping", None) or 1.0
    factor = getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None)
    divisor = getattr(config, "logits_scaling", None) or 1.0
    return (
        lambda scores: scores,
        lambda scores: torch.tanh(scores / cap) * cap,
        lambda scores: scores * (factor or 1.0),
        lambda scores: scores / divisor,
    )
