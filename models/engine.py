"""Generates and scores replies on one network, on top of what was read before.

Covered: grammars, prefix cache, fast-forward, streaming, stop strings, cancellation within one
token, seeds, usage. Not covered: batching. The requests of one call are worked on one after the
other, and calls from several threads wait for each other.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import ContextTooLong
from models.generation import Generation
from models.grammar import Grammars, Matcher
from models.network import Network
from models.prefix_cache import PrefixCache, common_prefix
from models.reading import Reading
from models.request import Cancel, OnText, Reply, Request
from models.sampling import log_probability


class Engine:
    """One network with its prefix cache and compiled grammars; may be used from several threads."""

    def __init__(self, network: Network, *, cache_bytes: int = 1 << 30) -> None:
        self.network = network
        self.cache = PrefixCache(cache_bytes)
        self._grammars: Grammars | None = None
        self._lock = threading.RLock()

    def generate(
        self,
        requests: Sequence[Request],
        *,
        on_text: OnText | None = None,
        cancel: Cancel | None = None,
    ) -> list[Reply]:
        """Continues each prompt; a cancelled reply holds what there is and says so in `finish`."""
        with self._lock:
            return [
                self._generate(request, _shower(index, on_text), cancel or _never)
                for index, request in enumerate(requests)
            ]

    def score(
        self,
        prefix_ids: Sequence[int],
        candidates: Sequence[Sequence[int]],
        *,
        adapter: str | None = None,
        cancel: Cancel | None = None,
    ) -> list[float]:
        """How likely each candidate is after the prefix: the sum of its tokens' log probabilities.

        The prefix is read once, and so is each beginning that candidates share. Raises `Cancelled`.
        """
        longest = max((len(c) for c in candidates), default=0)
        self._check_length(prefix_ids, room=max(1, longest))
        with self._lock:
            self.network.begin(Request(tuple(prefix_ids), adapter=adapter, note=candidates))
            reading = Reading(self.network, self.cache, adapter=adapter, cancel=cancel or _never)
            with reading:
                return _score(reading, prefix_ids, candidates)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Loads or replaces a LoRA adapter or soft prompt, between two replies."""
        with self._lock:
            self.network.adapters.load(name, folder)

    def _generate(self, request: Request, show: Callable[[str], None], cancel: Cancel) -> Reply:
        self._check_length(request.prompt_ids, room=1)
        matcher = self._matcher(request.grammar)
        self.network.begin(request)
        cache = self.cache if request.use_cache else None
        with Reading(self.network, cache, adapter=request.adapter, cancel=cancel) as reading:
            generation = Generation(
                self.network, request, reading, matcher, show=show, cancel=cancel
            )
            return generation.run()

    def _matcher(self, grammar: str | None) -> Matcher | None:
        if grammar is None:
            return None
        if self._grammars is None:
            network = self.network
            self._grammars = Grammars(network.tokenizer.llguidance, network.vocab_size)
        return self._grammars.matcher(grammar)

    def _check_length(self, prompt_ids: Sequence[int], *, room: int) -> None:
        if not prompt_ids:
            raise ValueError("the prompt is empty; it needs at least one token")
        if len(prompt_ids) + room > self.network.window:
            raise ContextTooLong(len(prompt_ids), self.network.window)


def _score(
    reading: Reading, prefix_ids: Sequence[int], candidates: Sequence[Sequence[int]]
) -> list[float]:
    base = len(prefix_ids)
    start = reading.start(prefix_ids)
    rows = [reading.read(prefix_ids[start:])]  # scores after the prefix and each further token
    read: list[int] = []  # what has been read after the prefix
    scores = [0.0] * len(candidates)
    for i in sorted(range(len(candidates)), key=lambda i: list(candidates[i])):
        ids = list(candidates[i])
        back = reading.state.reachable(base + common_prefix(read, ids[:-1])) - base
        reading.rewind(base + back)
        read = ids[:-1]
        del rows[back + 1 :]
        if read[back:]:
            rows += list(reading.read_each(read[back:]))
        scores[i] = sum(log_probability(row, token) for row, token in zip(rows, ids, strict=False))
    reading.rewind(base)
    return scores


def _shower(index: int, on_text: OnText | None) -> Callable[[str], None]:
    def show(piece: str) -> None:
        if on_text is not None and piece:
            on_text(index, piece)

    return show


def _never() -> bool:
    return False
