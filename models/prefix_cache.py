"""Remembers what the network has read, so that a prompt with a known beginning is not read again.

An entry is a state together with the token ids that it has read: prompts and, since sampled ids
are kept too, replies. The best entry for a new prompt is the one that shares the longest run of
tokens from the start. Entries of different adapters never mix. The least recently used ones go when
the bytes run out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.network import State

FORK_ABOVE = 128
"""A shorter tail is cut off and forgotten (a reply sampled again); a longer one is worth a copy."""


@dataclass(slots=True)
class Entry:
    """A state and what it has read through which adapter."""

    state: State
    ids: list[int]
    adapter_key: str


class PrefixCache:
    """Entries in order of use, at most so many bytes of them."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: list[Entry] = []

    @property
    def bytes(self) -> int:
        """Memory held at present."""
        return sum(entry.state.bytes for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, ids: Sequence[int], adapter_key: str) -> tuple[State | None, int]:
        """The state that has read the most of `ids` and nothing else, and how much is known at all.

        The second figure is larger than the state's length where no state could go back that far:
        a good place for a mark. The state belongs to the caller from now on: whatever happens to
        it, the cache stays right.
        """
        best: Entry | None = None
        best_length = known = 0
        for entry in reversed(self._entries):
            if entry.adapter_key != adapter_key:
                continue
            shared = common_prefix(entry.ids, ids)
            known = max(known, shared)
            length = _usable(entry.state, shared, len(ids))
            if length > best_length:
                best, best_length = entry, length
        if best is None:
            return None, known
        self._entries.remove(best)
        if len(best.ids) - best_length > FORK_ABOVE:
            self._entries.append(best)
            return best.state.fork(best_length), known
        if best.state.length > best_length:
            best.state.crop(best_length)
        return best.state, known

    def put(self, state: State, ids: Sequence[int], adapter_key: str) -> None:
        """Keeps a state that has read exactly `ids`, unless it alone is too large."""
        if not ids or state.bytes > self.max_bytes:
            return
        self._entries.append(Entry(state, list(ids), adapter_key))
        while self.bytes > self.max_bytes:
            self._entries.pop(0)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens the two share from the start."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def _usable(state: State, shared: int, wanted: int) -> int:
    """How much of the prompt this state can stand for; the scores after its end must be had."""
    length = state.reachable(shared)
    if length == wanted and not state.knows(length):
        return state.reachable(wanted - 1)
    return length
