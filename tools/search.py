"""Finds a text in the lines of the workspace's files."""

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
    if path:
        _search_one(found, needle, path, pages.text(path))
        return found
    left = MAX_TOTAL_BYTES
    for file, size in workspace.sizes().items():
        left -= size
        if size > MAX_FILE_BYTES or left < 0 or file.lower().endswith(SLOW_SUFFIXES):
            found.skipped += 1
            continue
        try:
            text = pages.text(file) if is_document(file) else clean(workspace.read_text(file))
        except ToolError:
            found.skipped += 1
        else:
            _search_one(found, needle, file, text)
    return found


def _search_one(found: Matches, needle: str, path: str, text: str) -> None:
    if needle not in text.casefold():
        return
    found.files += 1
    for number, line in enumerate(text.split("\n"), 1):
        if needle in line.casefold():
            found.lines += 1
            if len(found.shown) < MAX_SHOWN:
                found.shown.append(f"{path}:{number}: {_around(line, needle)}")


def _around(line: str, needle: str) -> str:
    """The line, or the part of a long one that holds the match."""
    line = line.strip()
    if len(line) <= LINE_CHARACTERS:
        return line
    start = max(0, line.casefold().find(needle) - LINE_CHARACTERS // 3)
    cut = line[start : start + LINE_CHARACTERS]
    return ("..." if start else "") + cut + "..."
