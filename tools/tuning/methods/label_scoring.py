"""How likely a language model finds each label word after a row: the stage infer of the methods
that leave the model as it is.

Where every word is one token, one pass over the rows is all, and only the words' own scores are
computed. Longer words are read on from what the pass has kept, each word's mean log-probability a
token counts, so that long names are not at a disadvantage. What all rows begin with is read once.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tools.tuning.calibration import Numbers
from tools.tuning.methods import key_values
from tools.tuning.methods.halving import in_pieces
from tools.tuning.methods.key_values import KeyValues
from tools.tuning.methods.padding import by_length, padded
from tools.tuning.methods.reader import Reader

BATCH_TOKENS = 2_048
"""Tokens of one pass, padding included."""
BATCH_ROWS = 64
CANDIDATE_TOKENS = 4_096
"""Tokens whose keys and values are copied for words that are read on from them at once."""


class LabelScorer:
    """Log-scores of a fixed list of words after rows that begin alike."""

    def __init__(
        self,
        reader: Reader,
        head: Sequence[int],
        words: Sequence[Sequence[int]],
        *,
        halvings: int = 0,
    ) -> None:
        """Args:
        head: ids that stand before every row; may be empty.
        words: the ids of each word, at least one each.
        halvings: how often batches begin halved, as in `Bench.batch_halvings`.
        """
        self._reader = reader
        self._halvings = halvings
        self._words = [list(word) for word in words]
        self._head: KeyValues | None = None
        self._before: list[int] = list(head)
        self._keeps = key_values.can_be_kept(reader.model)
        if head and self._keeps:
            self._head, self._before = key_values.read(reader.model, head), []
        self._firsts = torch.tensor([word[0] for word in self._words], device=reader.device)
        self._longer = [i for i, word in enumerate(self._words) if len(word) > 1]

    def scores(
        self, rows: Sequence[Sequence[int]], check: Callable[[], None] = lambda: None
    ) -> Numbers:
        """[rows, words]; a row's scores do not depend on the others.

        Args:
            rows: token ids, at least one a row (with the head).
            check: called before each pass; may raise.

        Raises:
            OutOfMemory: not even one row fits.
        """
        found = np.empty((len(rows), len(self._words)))
        whole = [[*self._before, *row] for row in rows]
        tokens, most = BATCH_TOKENS >> self._halvings, max(1, BATCH_ROWS >> self._halvings)
        for places in by_length([len(row) for row in whole], tokens=tokens, rows=most):
            check()
            with torch.no_grad():
                parts = in_pieces([whole[i] for i in places], self._batch)
            found[places] = torch.cat(parts).double().cpu().numpy()
        return found

    def _batch(self, rows: Sequence[Sequence[int]]) -> Tensor:
        if self._longer and not self._keeps:
            return self._read_anew(rows)
        batch = padded(rows, device=self._reader.device)
        if not self._longer:
            past = self._head.expand(len(rows)).cache() if self._head else None
            hidden = self._reader.hidden(batch.last, input_ids=batch.ids, past_key_values=past)
            return self._reader.scores(hidden, self._firsts)
        cache = self._head.expand(len(rows)).cache() if self._head else key_values.empty()
        hidden = self._reader.hidden(batch.last, input_ids=batch.ids, past_key_values=cache)
        firsts = self._reader.scores(hidden).log_softmax(-1)[:, self._firsts]
        return self._read_on(firsts, key_values.of_cache(cache), batch.mask)

    def _read_anew(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """The same for a model whose layers cannot be read on from: each word with its row."""
        device = self._reader.device
        found = torch.zeros((len(rows), len(self._words)), device=device)

        def read(pairs: Sequence[tuple[int, int]]) -> Tensor:
            whole = [[*rows[row], *self._words[word][:-1]] for row, word in pairs]
            said = self._reader.hidden_all(input_ids=padded(whole, device=device).ids)
            means = []
            for i, (row, word) in enumerate(pairs):
                ids = torch.tensor(self._words[word], device=device)
                steps = said[i, len(rows[row]) - 1 : len(whole[i])]
                logs = self._reader.scores(steps).log_softmax(-1)
                means.append(logs[torch.arange(len(ids), device=device), ids].mean())
            return torch.stack(means)

        for pairs in self._chunks(range(len(self._words)), len(rows), max(map(len, rows))):
            row, word = torch.tensor(pairs, device=device).T
            found[row, word] = torch.cat(in_pieces(pairs, read))
        return found

    def _read_on(self, firsts: Tensor, kept: KeyValues, mask: Tensor) -> Tensor:
        """The mean log-probability of each word's tokens, given those of the first ones."""
        device = mask.device
        padding = mask.shape[1] - mask.sum(1)
        kept = kept.shifted(padding)
        sums = firsts.clone()

        def read(pairs: Sequence[tuple[int, int]]) -> Tensor:
            rows = torch.tensor([row for row, _ in pairs], device=device)
            words = [self._words[word] for _, word in pairs]
            batch = padded([word[:-1] for word in words], device=device)
            before = torch.arange(kept.tokens, device=device) >= padding[rows, None]
            states = self._reader.hidden_all(
                input_ids=batch.ids,
                past_key_values=kept.select(rows).cache(),
                attention_mask=torch.cat([before.long(), batch.mask], 1),
                position_ids=(kept.tokens - padding[rows])[:, None] + batch.positions,
            )
            said = self._reader.scores(states).log_softmax(-1)
            rest = []
            for i, word in enumerate(words):
                ids = torch.tensor(word[1:], device=device)
                rest.append(said[i, torch.arange(len(ids), device=device), ids].sum())
            return torch.stack(rest)

        for pairs in self._chunks(self._longer, len(mask), kept.tokens):
            row, word = torch.tensor(pairs, device=device).T
            sums[row, word] += torch.cat(in_pieces(pairs, read))
        lengths = sums.new_tensor([len(word) for word in self._words])
        return sums / lengths

    def _chunks(
        self, words: Sequence[int], rows: int, tokens: int
    ) -> Iterator[list[tuple[int, int]]]:
        """(row, word) of these words, in pieces that the memory holds; equal lengths together."""
        by_words = sorted(words, key=lambda word: len(self._words[word]))
        pairs = [(row, word) for word in by_words for row in range(rows)]
        size = max(1, (CANDIDATE_TOKENS >> self._halvings) // max(tokens, 1))
        for start in range(0, len(pairs), size):
            yield pairs[start : start + size]
