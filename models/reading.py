"""One request's way through the network: takes up what is known, reads on, gives the state back.

A state that failed in the middle of a pass may hold half of it, so it does not go back into the
cache. Whatever else goes wrong (a cancel, an interrupt, a bug of a listener) leaves it whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from models.errors import Cancelled, OutOfMemory
from models.network import Logits, Network, State
from models.prefix_cache import PrefixCache
from models.request import Cancel


class Reading:
    """A state, the ids that it has read, and the cache that both came from and go to."""

    def __init__(
        self,
        network: Network,
        cache: PrefixCache | None,
        *,
        adapter: str | None,
        cancel: Cancel,
    ) -> None:
        self.passes = 0
        """Passes of the network so far."""
        self._network = network
        self._cache = cache
        self._adapter = adapter
        self._adapter_key = network.adapters.key(adapter)
        self._cancel = cancel
        self._marks: set[int] = set()
        self._whole = True
        self.state: State = network.new_state(adapter)
        self.ids: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._cache is not None and self._whole:
            self._cache.put(self.state, self.ids, self._adapter_key)

    def start(self, prompt_ids: Sequence[int]) -> int:
        """Takes up the longest known beginning of the prompt; returns how many tokens that is."""
        known = 0
        if self._cache is not None:
            state, known = self._cache.take(prompt_ids, self._adapter_key)
            self.state = state if state is not None else self.state
        self.ids = list(prompt_ids[: self.state.length])
        if self.state.needs_marks:
            self._marks = {known, len(prompt_ids)}
            if self.state.length in self._marks:
                self.state.mark()
        return self.state.length

    def read(self, ids: Sequence[int]) -> Logits:
        """Reads these tokens, in pieces; the scores after the last one."""
        todo = list(ids)
        while todo:
            self._check_cancel()
            piece = todo[: self._piece()]
            self._forward(piece)
            todo = todo[len(piece) :]
            if self.state.length in self._marks:
                self.state.mark()
        logits = self.state.logits
        assert logits is not None, "nothing was read and no scores were kept"
        return logits

    def read_each(self, ids: Sequence[int]) -> Logits:
        """Reads these tokens in one pass; the scores after each of them, one row each."""
        self._check_cancel()
        with self._one_pass(ids):
            return self.state.forward_each(ids)

    def rewind(self, length: int) -> None:
        """Goes back to this length, which must be reachable."""
        if length < self.state.length:
            self._whole = False
            self.state.crop(length)
            del self.ids[length:]
            self._whole = True

    def _check_cancel(self) -> None:
        if self._cancel():
            raise Cancelled("cancelled while reading")

    def _piece(self) -> int:
        """How many tokens to read next: a chunk, or less where a mark comes before."""
        length = self.state.length
        return min([self._network.chunk, *(mark - length for mark in self._marks if mark > length)])

    @contextmanager
    def _one_pass(self, ids: Sequence[int]) -> Iterator[None]:
        self.passes += 1
        self._whole = False
        yield
        self.ids += ids
        self._whole = True

    def _forward(self, piece: list[int]) -> None:
        try:
            with self._one_pass(piece):
                self.state.forward(piece)
        except OutOfMemory:
            # What the cache holds is the first thing to do without; then all is read again.
            if not self._cache:
                raise
            self._cache.clear()
            todo, self.ids = self.ids + piece, []
            self.state = self._network.new_state(self._adapter)
            self._network.free_memory()
            self._whole = True
            for start in range(0, len(todo), self._network.chunk):
                again = todo[start : start + self._network.chunk]
                self._check_cancel()
                with self._one_pass(again):
                    self.state.forward(again)
