"""Passes of a frozen language model through vectors or keys that are no text's: soft prompts.

In front:   [soft prompt or kept keys] [row ... label's place]
After it:   [kept keys of instruction and text] [soft prompt] [lead to the label]

Positions are always those of an uninterrupted text and padding is masked out, so that a row's
result does not depend on what it is batched with or on which side the padding stands.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tools.tuning.methods.key_values import KeyValues, joined
from tools.tuning.methods.padding import Padded
from tools.tuning.methods.reader import Reader


def read_rows(
    reader: Reader,
    batch: Padded,
    *,
    prompt: Tensor | None = None,
    past: KeyValues | None = None,
) -> Tensor:
    """[rows, width]: hidden states at the last token of each row.

    Args:
        prompt: [tokens, width]: vectors that stand before every row.
        past: keys and values that stand before every row (and before the prompt); one row.
    """
    rows = len(batch.last)
    if past is None and prompt is None and batch.side == "right":
        return reader.hidden(batch.last, input_ids=batch.ids)
    cache = past.expand(rows).cache() if past is not None else None
    if prompt is None and batch.side == "right":
        return reader.hidden(batch.last, input_ids=batch.ids, past_key_values=cache)
    vectors, mask = _with_prompt(reader.embed(batch.ids), batch, prompt)
    seen = past.tokens if past is not None else 0
    if batch.side == "right":  # nothing sees what comes after it: no mask, positions by counting
        at = batch.last + (len(prompt) if prompt is not None else 0)
        return reader.hidden(at, inputs_embeds=vectors, past_key_values=cache)
    positions = (mask.cumsum(1) - 1).clamp(min=0) + seen
    whole = torch.cat([mask.new_ones((rows, seen)), mask], 1)
    at = torch.full_like(batch.last, vectors.shape[1] - 1)
    return reader.hidden(
        at,
        inputs_embeds=vectors,
        past_key_values=cache,
        attention_mask=whole,
        position_ids=positions,
    )


def read_after(
    reader: Reader,
    before: Sequence[KeyValues],
    texts: KeyValues,
    lengths: Tensor,
    lead: Sequence[int],
    *,
    prompt: Tensor | None = None,
) -> Tensor:
    """[rows, width]: hidden states at the end of `lead`, read after texts that are kept.

    Args:
        before: what stands before every text, in order; one row each.
        texts: kept keys and values of the texts, padding behind the shorter ones.
        lengths: [rows]: tokens of each text.
        lead: ids between the text (or the prompt) and the label; at least one.
        prompt: [tokens, width]: vectors between text and lead.
    """
    rows, device = len(lengths), lengths.device
    vectors = reader.embed(torch.tensor([list(lead)], device=device).expand(rows, -1))
    if prompt is not None:
        vectors = torch.cat([prompt.to(vectors.dtype).expand(rows, -1, -1), vectors], 1)
    new = vectors.shape[1]
    whole = joined([*(part.expand(rows) for part in before), texts])
    padding = texts.tokens - lengths
    seen = whole.tokens - padding
    places = torch.arange(whole.tokens + new, device=device)
    return reader.hidden(
        torch.full((rows,), new - 1, device=device),
        inputs_embeds=vectors,
        past_key_values=whole.shifted(padding).cache(),
        attention_mask=(places >= padding[:, None]).long(),
        position_ids=seen[:, None] + torch.arange(new, device=device),
    )


def _with_prompt(vectors: Tensor, batch: Padded, prompt: Tensor | None) -> tuple[Tensor, Tensor]:
    """[padding][prompt][row] or [prompt][row][padding], and the mask of it."""
    if prompt is None:
        return vectors, batch.mask
    rows, longest, width = vectors.shape
    soft = prompt.to(vectors.dtype)
    ones = batch.mask.new_ones((rows, len(soft)))
    if batch.side == "right":
        whole = torch.cat([soft.expand(rows, -1, -1), vectors], 1)
        return whole, torch.cat([ones, batch.mask], 1)
    lengths = batch.mask.sum(1).tolist()
    shifted = [
        torch.cat([vectors.new_zeros(longest - n, width), soft, vectors[row, longest - n :]])
        for row, n in enumerate(lengths)
    ]
    # The padding stays in front, so the mask only gets as many ones more at its end.
    return torch.stack(shifted), torch.cat([batch.mask, ones], 1)
