"""Passes of a frozen language model through vectors or keys that are no text's: soft prompts.

In front:   [soft prompt or kept keys] [row ... label's place]
After it:   [kept keys of instruction and text] [soft prompt] [lead to the label]

Positions are always those of an uninterrupted text and padding is masked out, so that a row's
result does not depend on what it is batched with or on which side the padding stands.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tools.tuning.methods.key_values import KeyValues
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
    mask: Tensor,
    lead: Sequence[int],
    *,
    prompt: Tensor | None = None,
) -> Tensor:
    """[rows, width]: hidden states at the end of `lead`, read after texts that are kept.

    Args:
        before: what stands before every text, in order; one row each.
        texts: kept keys and values of the texts, padding before the shorter ones.
        mask: [rows, tokens] of the texts.
        lead: ids between the text (or the prompt) and the label; at least one.
        prompt: [tokens, width]: vectors between text and lead.
    """
    rows = len(mask)
    parts = [*(part.expand(rows) for part in before), texts]
    ids = torch.tensor([list(lead)], device=mask.device).expand(rows, -1)
    vectors = reader.embed(ids)
    if prompt is not None:
        vectors = torch.cat([prompt.to(vectors.dtype).expand(rows, -1, -1), vectors], 1)
    fixed = sum(part.tokens for part in before)
    new = vectors.shape[1]
    steps = torch.arange(new, device=mask.device)
    return reader.hidden(
        torch.full((rows,), new - 1, device=mask.device),
        inputs_embeds=vectors,
        past_key_values=joined(parts).cache(),
        attention_mask=torch.cat(
            [mask.new_ones((rows, fixed)), mask, mask.new_ones((rows, new))], 1
        ),
        position_ids=fixed + mask.sum(1, keepdim=True) + steps,
    )


def joined(parts: Sequence[KeyValues]) -> KeyValues:
    """Kept parts one after the other; all have as many rows."""
    if len(parts) == 1:
        return parts[0]
    return KeyValues(
        tuple(
            (torch.cat([k for k, _ in layer], 2), torch.cat([v for _, v in layer], 2))
            for layer in zip(*(part.layers for part in parts), strict=True)
        )
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
