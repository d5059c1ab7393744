"""Cuts a model's text, as it grows, into words, a tool's name and its arguments."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from models.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Piece:
    """A new piece of the reply."""

    kind: Literal["words", "name", "arguments"]
    text: str
    """For `name` the whole name; for the others what is new."""


class CallText:
    """Follows one reply. At most one call; what comes after its arguments is dropped."""

    def __init__(self, dialect: Dialect, *, calls: bool) -> None:
        self._dialect = dialect
        self._calls = calls
        """False where no call may come, so that text which looks like one stays text."""
        self._opener = dialect.opener
        self._rest = ""
        self._depth = 0
        self._in_string = self._escaped = False
        self._at: Literal["start", "words", "name", "arguments", "end"] = "start"
        self.words = ""
        """The text before the call, or all of it; no blank end before a call."""
        self.name: str | None = None
        self.arguments = ""
        """The arguments as they were written."""

    @property
    def complete(self) -> bool:
        """A call was read to the end of its arguments."""
        return self._at == "end"

    def add(self, text: str) -> list[Piece]:
        """What this new text adds; text that may yet become a call is held back."""
        self._rest += text
        return list(self._read(last=False))

    def finish(self) -> list[Piece]:
        """What was held back, once the reply is over."""
        return list(self._read(last=True))

    def _read(self, *, last: bool) -> Iterator[Piece]:
        if self._at == "start":
            self._read_start(last=last)
        if self._at == "words":
            yield from self._read_words(last=last)
        if self._at == "name":
            name, found, rest = self._rest.partition(self._dialect.middle)
            if found:
                self.name, self._rest, self._at = name, rest, "arguments"
                yield Piece("name", name)
        if self._at == "arguments":
            size = self._arguments_end()
            new, self._rest = self._rest[:size], self._rest[size:]
            self.arguments += new
            if new:
                yield Piece("arguments", new)

    def _read_start(self, *, last: bool) -> None:
        """Is there a thought that is one object with the call?"""
        around = self._dialect.thought if self._calls else None
        if around is not None and not last and around[0].startswith(self._rest):
            return
        self._at = "words"
        if around is not None and self._rest.startswith(around[0]):
            self._rest = self._rest.removeprefix(around[0])
            self._opener = around[1]

    def _read_words(self, *, last: bool) -> Iterator[Piece]:
        opener = self._opener
        if self._calls and opener in self._rest:
            before, _, self._rest = self._rest.partition(opener)
            self._at = "name"
            before = before.rstrip()
        else:
            keep = 0 if last or not self._calls else _held(self._rest, opener)
            before = self._rest[: len(self._rest) - keep]
            self._rest = self._rest[len(before) :]
        self.words += before
        if before:
            yield Piece("words", before)

    def _arguments_end(self) -> int:
        """How much of the rest belongs to the arguments' JSON object."""
        for i, char in enumerate(self._rest):
            if self._escaped:
                self._escaped = False
            elif self._in_string:
                self._escaped = char == "\\"
                self._in_string = char != '"'
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self._at = "end"
                    return i + 1
        return len(self._rest)


def _held(text: str, opener: str) -> int:
    """Characters at the end that may belong to a call: a beginning of the opener, blanks before."""
    size = next((n for n in range(len(opener) - 1, 0, -1) if text.endswith(opener[:n])), 0)
    before = text[: len(text) - size]
    return size + len(before) - len(before.rstrip())
