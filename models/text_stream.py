"""Turns token ids into text as they arrive: no half characters, and nothing past a stop string."""

from bisect import bisect_right
from collections.abc import Sequence

from models.network import Tokenizer

BROKEN = "\ufffd"


class TextStream:
    """The text of one reply while it is generated.

    Tokens may end in the middle of a character, and a tokenizer may join or space tokens by what
    stands before them. So the latest tokens are decoded together with the ones before, and a piece
    that ends in a broken character waits for the next token.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(s for s in stop if s)
        self.ids: list[int] = []
        self.text = ""
        """All complete characters so far; once stopped, what stands before the stop string."""
        self.stopped = False
        self._context = 0  # ids from here are decoded again, so that joints come out right
        self._read = 0  # ids up to here are in `text`
        self._sent = 0  # characters up to here were taken
        self._ends: list[int] = []  # how long `text` is with each of the read ids

    def add(self, token: int) -> None:
        """Appends one token; afterwards `stopped` says whether a stop string is complete."""
        self.ids.append(token)
        before = self._tokenizer.decode(self.ids[self._context : self._read])
        after = self._tokenizer.decode(self.ids[self._context :])
        if len(after) > len(before) and not after.endswith(BROKEN):
            self._extend(after[len(before) :])

    def take(self) -> str:
        """The new text that can be shown: not what may yet turn out to begin a stop string."""
        end = len(self.text) if self.stopped else len(self.text) - self._held()
        piece = self.text[self._sent : max(end, self._sent)]
        self._sent += len(piece)
        return piece

    def finish(self) -> str:
        """Ends the stream, broken characters as U+FFFD; returns the text that was not taken yet."""
        if not self.stopped and self._read < len(self.ids):
            before = self._tokenizer.decode(self.ids[self._context : self._read])
            self._extend(self._tokenizer.decode(self.ids[self._context :])[len(before) :])
        piece = self.text[self._sent :]
        self._sent = len(self.text)
        return piece

    def _extend(self, piece: str) -> None:
        start = len(self.text)
        self.text += piece
        self._ends += [len(self.text)] * (len(self.ids) - self._read)
        self._context, self._read = self._read, len(self.ids)
        longest = max(map(len, self._stop), default=0)
        found = [self.text.find(s, max(0, start - longest + 1)) for s in self._stop]
        first = min((i for i in found if i >= 0), default=-1)
        if first >= 0:
            self._cut(first)

    def _cut(self, length: int) -> None:
        """Stops at this length; a token that straddles it is spelled anew."""
        self.stopped = True
        self.text = self.text[:length]
        kept = bisect_right(self._ends, length)
        rest = self.text[self._ends[kept - 1] if kept else 0 :]
        self.ids = self.ids[:kept] + self._tokenizer.encode(rest, special=False)

    def _held(self) -> int:
        """Characters at the end that begin a stop string."""
        longest = max(map(len, self._stop), default=0) - 1
        for size in range(min(longest, len(self.text)), 0, -1):
            if any(s.startswith(self.text[-size:]) for s in self._stop):
                return size
        return 0
