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
from tools.tuning.methods.device_state import memory_errors
from tools.tuning.methods.key_values import KeyValues
from tools.tuning.methods.padding import by_length, padded
from tools.tuning.methods.reader import Reader

BATCH_TOKENS = 2_048
"""Tokens of one pass, padding included."""
CANDIDATE_TOKENS = 4_096
"""Tokens whose keys and values are copied for words that are read on from them at once."""


class LabelScorer:
    """Log-scores of a fixed list of words after rows that begin alike."""

    def __init__(self, reader: Reader, head: Sequence[int], words: Sequence[Sequence[int]]) -> None:
        """Args:
        head: ids that stand before every row; may be empty.
        words: the ids of each word, at least one each.
        """
        self._reader = reader
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
        for places in by_length([len(row) for row in whole], tokens=BATCH_TOKENS):
            check()
            with torch.no_grad(), memory_errors():
                batch = self._batch([whole[i] for i in places])
            found[places] = batch.double().cpu().numpy()
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
        found = torch.zeros((len(rows), len(self._words)), device=self._reader.device)
        for pairs in self._chunks(range(len(self._words)), len(rows), max(map(len, rows))):
            whole = [[*rows[row], *self._words[word][:-1]] for row, word in pairs]
            said = self._reader.hidden_all(input_ids=padded(whole, device=self._reader.device).ids)
            for i, (row, word) in enumerate(pairs):
                ids = torch.tensor(self._words[word], device=said.device)
                steps = said[i, len(rows[row]) - 1 : len(whole[i])]
                logs = self._reader.scores(steps).log_softmax(-1)
                found[row, word] = logs[torch.arange(len(ids), device=said.device), ids].mean()
        return found

    def _read_on(self, firsts: Tensor, kept: KeyValues, mask: Tensor) -> Tensor:
        """The mean log-probability of each word's tokens, given those of the first ones."""
        device = mask.device
        padding = mask.shape[1] - mask.sum(1)
        kept = kept.shifted(padding)
        sums = firsts.clone()
        for pairs in self._chunks(self._longer, len(mask), kept.tokens):
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
            for i, (row, word) in enumerate(pairs):
                rest = torch.tensor(words[i][1:], device=device)
                steps = torch.arange(len(rest), device=device)
                sums[row, word] += said[i, steps, rest].sum()
        lengths = sums.new_tensor([len(word) for word in self._words])
        return sums / lengths

    def _chunks(
        self, words: Sequence[int], rows: int, tokens: int
    ) -> Iterator[list[tuple[int, int]]]:
        """(row, word) of these words, in pieces that the memory holds; equal lengths together."""
        by_words = sorted(words, key=lambda word: len(self._words[word]))
        pairs = [(row, word) for word in by_words for row in range(rows)]
        size = max(1, CANDIDATE_TOKENS // max(tokens, 1))
        for start in range(0, len(pairs), size):
            yield pairs[start : start + size]
