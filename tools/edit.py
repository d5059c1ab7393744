"""Replaces one exact piece of a file's text and leaves every other byte alone."""

import difflib

from tools.errors import ToolFailed, ToolRetry
from tools.pathnames import show
from tools.text_encoding import encoding_of


def replace_once(data: bytes, old: str, new: str, path: str) -> bytes:
    """`data` with the one occurrence of `old` replaced by `new`, in the file's own encoding.

    A file with Windows line ends takes `old` and `new` with plain ones.

    Raises:
        ToolRetry: `old` does not occur, or more than once.
        ToolFailed: the file is no text, or its encoding cannot hold `new`.
    """
    if not old:
        raise ToolRetry("`old` is empty; give the text to replace")
    encoding = encoding_of(data)
    if encoding is None:
        raise ToolFailed(f"{show(path)} is not a text file")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise ToolFailed(
            f"{show(path)} cannot be changed: its encoding ({encoding}) is uncertain"
        ) from None
    if old not in text and "\r\n" in text:
        old, new = _windows(old), _windows(new)
    count = text.count(old)
    if count != 1:
        raise ToolRetry(_refusal(text, old, count, path))
    try:
        return text.replace(old, new).encode(encoding)
    except UnicodeEncodeError as error:
        bad = ord(error.object[error.start])
        raise ToolFailed(f"{show(path)} is in {encoding}, which cannot hold U+{bad:04X}") from None


def _windows(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _refusal(text: str, old: str, count: int, path: str) -> str:
    if count > 1:
        return f"`old` occurs {count} times in {show(path)}; give more of the text around it"
    lines = [line for line in text.splitlines() if line.strip()][:5_000]
    close = difflib.get_close_matches(old.splitlines()[0] if old.splitlines() else old, lines, n=1)
    hint = f"; the closest line is {close[0][:200]!r}" if close else "; read the file first"
    return f"`old` does not occur in {show(path)}{hint}"
