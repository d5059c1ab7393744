"""Finds a text in the lines of the workspace's files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.errors import ToolError
from tools.pages import Pages, clean, is_document
from tools.workspace import Workspace

MAX_SHOWN = 50
"""Lines shown; all are counted."""
MAX_FILE_BYTES = 16 << 20
"""Files larger than this are passed over when all files are searched."""
MAX_TOTAL_BYTES = 256 << 20
SLOW_SUFFIXES = (".pdf", ".docx")
"""Searched only where one is named."""
LINE_CHARACTERS = 240
_WORD = re.compile(r"\w+")


MAX_SIMILAR = 10
"""Lines shown that hold some of the words."""
SHORTEST_WORD = 3
"""Characters; shorter words say too little about a line."""


@dataclass
class Matches:
    """What a search found."""

    lines: int = 0
    files: int = 0
    shown: list[str] = field(default_factory=list)
    skipped: int = 0
    """Files that are too large or have no text."""


def search(workspace: Workspace, pages: Pages, text: str, path: str = "") -> Matches:
    """Look for `text`, in any case, line by line in one file or in all."""
    needle = text.casefold()
    found = Matches()
    for file, content in _contents(workspace, pages, path, found):
        if needle not in content.casefold():
            continue
        found.files += 1
        for number, line in enumerate(content.split("\n"), 1):
            if needle in line.casefold():
                found.lines += 1
                if len(found.shown) < MAX_SHOWN:
                    found.shown.append(_line(file, number, line, needle))
    return found


def similar(workspace: Workspace, pages: Pages, text: str) -> list[str]:
    """The lines of all files that hold most of the words of `text`; at least two, or the only."""
    words = {word for word in _WORD.findall(text.casefold()) if len(word) >= SHORTEST_WORD}
    best: list[str] = []
    most = min(2, len(words))
    for file, content in _contents(workspace, pages, "", Matches()):
        for number, line in enumerate(content.split("\n"), 1):
            held = [word for word in words if word in line.casefold()]
            if not held or len(held) < most:
                continue
            if len(held) > most:
                best, most = [], len(held)
            if len(best) < MAX_SIMILAR:
                best.append(_line(file, number, line, held[0]))
    return best


def _contents(
    workspace: Workspace, pages: Pages, path: str, found: Matches
) -> Iterator[tuple[str, str]]:
    """Each file's path and text: one file, or all that are plain text and not too large."""
    if path:
        yield path, pages.text(path)
        return
    left = MAX_TOTAL_BYTES
    for file, size in workspace.sizes().items():
        left -= size
        if size > MAX_FILE_BYTES or left < 0 or file.lower().endswith(SLOW_SUFFIXES):
            found.skipped += 1
            continue
        try:
            content = pages.text(file) if is_document(file) else clean(workspace.read_text(file))
        except ToolError:
            found.skipped += 1
        else:
            yield file, content


def _line(path: str, number: int, line: str, needle: str) -> str:
    return f"{path}:{number}: {_around(line, needle)}"


def _around(line: str, needle: str) -> str:
    """The line, or the part of a long one that holds the match."""
    line = line.strip()
    if len(line) <= LINE_CHARACTERS:
        return line
    start = max(0, line.casefold().find(needle) - LINE_CHARACTERS // 3)
    cut = line[start : start + LINE_CHARACTERS]
    return ("..." if start else "") + cut + "..."
