"""A labelled file of any length: which encoding it is in, its hash, and its lines one by one.

The whole file is surveyed before its first line is used, so a broken one is refused at the start
and not after an hour of work.

Refused, with the line: a line of more than `LINE_BYTES`, a NUL byte, a file of two encodings.
Taken as they come: a byte order mark, UTF-16, and files that are in cp1252, gb18030 or the like
throughout.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.text_encoding import encoding_of
from tools.tuning.errors import DataError

LINE_BYTES = 8 << 20
"""More in one line is no text for a model that reads some hundred words."""
SAMPLE_BYTES = 256 << 10
BINARY = (".parquet",)

_ACCIDENTS = 0.05
"""Share of lines of a Chinese legacy encoding that may happen to be valid UTF-8 as well."""
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found by going through the file once."""

    encoding: str
    """Of the text; empty where the file is none."""
    sha256: str
    """Of the file's bytes."""
    lines: int
    """Line ends, and the last line where it has none."""


def survey(path: Path) -> Survey:
    """Go through the whole file, whatever its size, in little memory; a Parquet file is hashed.

    Raises:
        DataError: it cannot be read, is no text, or is one of those refused (see the module).
    """
    reading = _Reading(path)
    try:
        with path.open("rb") as file:
            if path.suffix.lower() in BINARY:
                return Survey("", hashlib.file_digest(file, "sha256").hexdigest(), 0)
            reading.start(file.read(SAMPLE_BYTES))
            file.seek(0)
            while raw := file.readline(LINE_BYTES + 1):
                reading.take(raw)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
    return reading.end()


def lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1 and its line end, in the encoding that `survey` found.

    Raises:
        DataError: a line is too long or not in that encoding; the file was changed, say.
    """
    number = 0
    try:
        with path.open(encoding=encoding, newline="") as file:
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                if len(line) > LINE_BYTES:
                    raise _too_long(path, number)
                if "\0" in line:
                    raise _nul(path, number)
                yield number, line
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
    except UnicodeError as error:
        raise DataError(
            f"not in {encoding} like the lines before; save the file as UTF-8",
            path=str(path),
            line=number + 1,
        ) from error


class _Reading:
    """The state of a survey: what the lines so far say about the encoding."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hash = hashlib.sha256()
        self.lines = 0
        self.wide: str | None = None
        self.utf8 = 0
        self.other = 0
        self.first_utf8 = 0
        self.first_other = 0
        self.sample = bytearray()

    def start(self, head: bytes) -> None:
        """Look for what only the beginning of a file says: a mark, or UTF-16 without one."""
        if head.startswith(_MARKS) or b"\0" in head:
            self.wide = encoding_of(head)
        if self.wide == "utf-8-sig":
            self.wide = None

    def take(self, raw: bytes) -> None:
        self.lines += 1
        self.hash.update(raw)
        if len(raw) > LINE_BYTES:
            raise _too_long(self.path, self.lines)
        if self.wide is not None:
            return
        if b"\0" in raw:
            raise _nul(self.path, self.lines)
        if raw.isascii():
            return
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            self.other += 1
            self.first_other = self.first_other or self.lines
            if len(self.sample) < SAMPLE_BYTES:
                self.sample += raw
        else:
            self.utf8 += 1
            self.first_utf8 = self.first_utf8 or self.lines

    def end(self) -> Survey:
        return Survey(self._encoding(), self.hash.hexdigest(), self.lines)

    def _encoding(self) -> str:
        if self.wide is not None:
            return self.wide
        if not self.other:
            return "utf-8-sig"
        found = encoding_of(bytes(self.sample))
        allowed = 0.0 if found in (None, "cp1252") else _ACCIDENTS * self.other
        if found is not None and self.utf8 <= allowed:
            return found
        if self.utf8 >= self.other:
            line, rest = self.first_other, "UTF-8"
        else:
            line, rest = self.first_utf8 or self.first_other, found or "any known encoding"
        raise DataError(
            f"not in the encoding of the rest of the file ({rest}); save the whole file as UTF-8",
            path=str(self.path),
            line=line,
        )


def _too_long(path: Path, line: int) -> DataError:
    return DataError(
        f"a line of more than {LINE_BYTES >> 20} MB; a text of a data file is at most some pages "
        "long, so break it up or leave it out",
        path=str(path),
        line=line,
    )


def _nul(path: Path, line: int) -> DataError:
    return DataError("a NUL byte; this is no text file, or a broken one", path=str(path), line=line)
