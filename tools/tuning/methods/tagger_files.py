"""A tuned tagger as plain transformers loads it: `AutoModelForTokenClassification`.

Word shapes become further kinds of token where the encoder has token types (BERT and its kin): kind
`types + n` is kind 0 with shape n of `word_shapes.SHAPES` added. Whoever passes these
as `token_type_ids` gets the very scores of the tagger here; whoever passes none gets a tagger that
does not see how words are written.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.trainable import Trainable


def save_tagger(
    folder: Path, base: Trainable, head: nn.Linear, shapes: Tensor | None, tags: Sequence[str]
) -> bool:
    """Write config and weights; False where transformers has no such tagger with a linear head.

    Args:
        head: width x tags.
        shapes: one vector for each shape of a word; None where the tagger sees none.
        tags: in the order of the head's scores.
    """
    from transformers import AutoModelForTokenClassification

    config = copy.deepcopy(base.model.config)
    config.id2label = dict(enumerate(tags))
    config.label2id = {tag: number for number, tag in enumerate(tags)}
    any_model: Any = AutoModelForTokenClassification  # `from_config` is not annotated
    try:
        with torch.random.fork_rng(devices=[]):
            tagger = any_model.from_config(config)
    except ValueError:  # no tagger of this kind of encoder
        return False
    classifier = getattr(tagger, "classifier", None)
    body = getattr(tagger, tagger.base_model_prefix, None)
    if not isinstance(classifier, nn.Linear) or body is None:
        return False
    weights = {name: weight.cpu() for name, weight in base.model.state_dict().items()}
    if body.load_state_dict(weights, strict=False).missing_keys:
        return False
    classifier.load_state_dict({name: weight.cpu() for name, weight in head.state_dict().items()})
    if shapes is not None:
        _add_shapes(tagger, body, shapes.detach().cpu())
    tagger.save_pretrained(folder)
    return True


def _add_shapes(tagger: Any, body: Any, shapes: Tensor) -> None:
    """Further token types for the shapes, where there are types at all."""
    types = getattr(getattr(body, "embeddings", None), "token_type_embeddings", None)
    if not isinstance(types, nn.Embedding):
        return
    known = types.weight.detach()
    rows = torch.cat([known, known[:1] + shapes])
    wider = nn.Embedding(len(rows), rows.shape[1])
    wider.weight = nn.Parameter(rows)
    body.embeddings.token_type_embeddings = wider
    tagger.config.type_vocab_size = len(rows)
