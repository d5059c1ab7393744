"""The text of a goal or settings file, and the mistakes found in it, each with its place."""

import os
import re
import stat
from pathlib import Path
from typing import IO, Protocol

from agent.errors import GoalError, GoalProblem

MAX_BYTES = 256 * 1024


class Place(Protocol):
    """A value of the file; see `agent/yaml_tree.py`."""

    line: int
    column: int
    broken: bool


class Problems:
    """Collects the mistakes of one text."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[GoalProblem] = []

    def add(self, where: "Place | tuple[int, int]", message: str) -> None:
        """Note a mistake; a value is marked so that its consequences stay quiet."""
        if not isinstance(where, tuple):
            where.broken = True
            where = where.line, where.column
        self.found.append(GoalProblem(where[0], where[1], message, self.file))

    def error(self) -> GoalError:
        return GoalError(self.found)

    def stop(self, where: tuple[int, int], message: str) -> GoalError:
        """Note a mistake after which nothing more can be read, and give the error to raise."""
        self.add(where, message)
        return self.error()


def read_file(path: Path, problems: Problems) -> str:
    """The text of a file.

    Raises:
        GoalError: it is not there, no regular file, too large, or not UTF-8.
    """
    try:
        # A pipe nobody writes to would wait for ever, so never wait on opening.
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise problems.stop((1, 1), "not a regular file; name a goal file")
            return read_stream(file, problems)
    except IsADirectoryError:
        raise problems.stop((1, 1), "this is a folder; name a goal file in it") from None
    except FileNotFoundError:
        raise problems.stop((1, 1), "there is no such file; check the name") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise problems.stop((1, 1), f"cannot be read: {reason}") from None


def read_stream(stream: IO[bytes] | IO[str], problems: Problems) -> str:
    """The text of an open file or of standard input; raises GoalError like `read_file`."""
    data = stream.read(MAX_BYTES + 1)
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    return decode(data, problems)


def decode(data: bytes, problems: Problems) -> str:
    """The bytes of a file as text.

    Raises:
        GoalError: too large, not UTF-8, or with characters that YAML does not allow.
    """
    if len(data) > MAX_BYTES:
        raise problems.stop(
            (1, 1),
            f"the file is over {MAX_BYTES // 1024} KiB; put long texts into files in the workspace",
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise problems.stop((1, 1), "the file is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace").lstrip("\ufeff")
        raise problems.stop(
            place(before, len(before)),
            f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8",
        ) from None
    return text


def place(text: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of a position in the text."""
    before = text[:index]
    start = max(before.rfind(mark) for mark in "\n\r\x85\u2028\u2029") + 1
    return before[:start].replace("\r\n", "\n").count("\n") + _other_breaks(
        before[:start]
    ) + 1, len(before) - start + 1


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _other_breaks(text: str) -> int:
    """Line breaks besides `\\n` that YAML counts."""
    return sum(text.count(mark) for mark in "\x85\u2028\u2029") + len(re.findall(r"\r(?!\n)", text))
