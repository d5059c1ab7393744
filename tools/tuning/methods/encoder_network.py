"""An encoder with a head on top: one vector a text or a word, then one score a label or a tag.

Word shapes come in at the very bottom, as learned vectors added to those of the tokens, so that
every layer sees them. They begin at zero: the first answer is that of the encoder alone.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.pooling import pooled
from models.sentence_folder import Pooling
from tools.tuning.methods.encoder_inputs import Batch, Row
from tools.tuning.methods.word_shapes import SHAPES


class EncoderNetwork(nn.Module):
    """Encoder, word shapes and a linear head."""

    def __init__(
        self,
        encoder: Any,
        outputs: int,
        *,
        pooling: Sequence[Pooling] = ("mean",),
        shapes: bool = False,
        dropout: float = 0.1,
    ) -> None:
        """Args:
        encoder: a transformers model without a head; a PEFT model around one will do.
        outputs: scores of the head.
        shapes: whether the shapes of words are read.
        dropout: before the head.
        """
        super().__init__()
        width = int(encoder.config.hidden_size)
        self.encoder = encoder
        self.pooling = tuple(pooling)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width * max(1, len(self.pooling)), outputs)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.shapes = nn.Embedding(len(SHAPES), width) if shapes else None
        if self.shapes is not None:
            nn.init.zeros_(self.shapes.weight)
        self._types = _known_types(encoder)

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def states(self, batch: Batch) -> Tensor:
        """Rows x longest x width: the last hidden state of each token."""
        inputs: dict[str, Any] = {"attention_mask": batch.mask}
        if batch.types is not None and self._types > 1:
            inputs["token_type_ids"] = batch.types.clamp(max=self._types - 1)
        if self.shapes is None or batch.shapes is None:
            inputs["input_ids"] = batch.ids
        else:
            looked_up = self.encoder.get_input_embeddings()(batch.ids)
            inputs["inputs_embeds"] = looked_up + self.shapes(batch.shapes)
        states: Tensor = self.encoder(**inputs).last_hidden_state
        return states

    def vectors(self, batch: Batch) -> Tensor:
        """Rows x numbers: one vector a text, as the encoder pools."""
        return pooled(self.states(batch), batch.mask, self.pooling)

    def text_scores(self, batch: Batch) -> Tensor:
        """Rows x labels."""
        scores: Tensor = self.head(self.dropout(self.vectors(batch)))
        return scores

    def word_scores(self, batch: Batch, rows: Sequence[Row]) -> Tensor:
        """Words x tags, for all words of the rows one after the other, at their first tokens."""
        row = torch.tensor([i for i, one in enumerate(rows) for _ in one.places])
        place = torch.tensor([place for one in rows for place in one.places])
        states = self.states(batch)
        words = states[row.to(states.device), place.to(states.device)]
        scores: Tensor = self.head(self.dropout(words))
        return scores

    def top(self) -> dict[str, Tensor]:
        """Head and word shapes: what stands on and under the encoder, by name."""
        parts = {"head": self.head, "shapes": self.shapes}
        return {
            f"{part}.{name}": tensor
            for part, module in parts.items()
            if module is not None
            for name, tensor in module.state_dict().items()
        }

    def set_top(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises RuntimeError or KeyError where names or sizes are others."""
        wanted = self.top()
        if set(wanted) != set(tensors):
            raise KeyError(f"it holds {', '.join(sorted(tensors)) or 'nothing'}")
        for part, module in (("head", self.head), ("shapes", self.shapes)):
            if module is not None:
                names = [name.partition(".")[2] for name in wanted if name.startswith(f"{part}.")]
                module.load_state_dict({name: tensors[f"{part}.{name}"] for name in names})


def trainable_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """What is trained, by name. A pooler that transformers adds is never read, so it is not."""
    return {
        name: weight
        for name, weight in module.named_parameters()
        if weight.requires_grad and "pooler." not in name
    }


def _known_types(encoder: Any) -> int:
    """How many kinds of token the encoder tells apart."""
    takes = "token_type_ids" in inspect.signature(_inner(encoder).forward).parameters
    return int(getattr(encoder.config, "type_vocab_size", 0) or 0) if takes else 0


def _inner(encoder: Any) -> Any:
    """The transformers model within a PEFT model."""
    return encoder.get_base_model() if hasattr(encoder, "get_base_model") else encoder
