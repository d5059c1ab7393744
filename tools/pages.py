"""The text of a workspace's files, page by page, and how many pages a file has."""

import re
import weakref
from collections.abc import Sequence

from tools.base import DOCUMENT_SUFFIXES
from tools.documents_text import document_pages
from tools.errors import ToolError, ToolRetry
from tools.pathnames import show
from tools.workspace import Workspace

PAGE_CHARACTERS = 3_000
"""About 750 tokens of English: what a small window takes in at once."""
KEPT_FILES = 8
"""So many files' pages are kept in memory; of the others only the number of pages."""

# Controls but tab and newline, and tags: invisible, and no part of a text that a person reads.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\U000e0000-\U000e007f]")

_Stamp = tuple[int, int, int]


class Pages:
    """Reads files as pages of text and keeps what it read until the file changes."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._read: dict[str, tuple[_Stamp, Sequence[str]]] = {}
        self._counts: dict[str, tuple[_Stamp, int]] = {}

    def count(self, path: str) -> int:
        """How many pages the file has; 1 for one that is missing or has no text."""
        try:
            stamp = self._workspace.stamp(path)
            if stamp[1] <= PAGE_CHARACTERS and not is_document(path):
                return 1
            kept = self._counts.get(path)
            if kept is None or kept[0] != stamp:
                kept = self._counts[path] = stamp, len(self._pages(path))
        except ToolError:
            return 1
        return kept[1]

    def page(self, path: str, number: int) -> str:
        """The text of page `number`, from 1.

        Raises:
            ToolRetry: there is no such page or file.
            ToolFailed: the file has no text that can be read.
        """
        pages = self._pages(path)
        if not 1 <= number <= len(pages):
            pages_are = "1 page" if len(pages) == 1 else f"pages 1 to {len(pages)}"
            raise ToolRetry(f"{show(path)} has {pages_are}, not page {number}")
        return pages[number - 1]

    def text(self, path: str) -> str:
        """The whole text of the file."""
        pages = self._pages(path)
        return "\n\n".join(pages) if path.lower().endswith(".pdf") else "".join(pages)

    def _pages(self, path: str) -> Sequence[str]:
        stamp = self._workspace.stamp(path)
        kept = self._read.pop(path, None)
        if kept is None or kept[0] != stamp:
            kept = stamp, self._load(path)
        self._read[path] = kept  # the last used stands last
        while len(self._read) > KEPT_FILES:
            del self._read[next(iter(self._read))]
        return kept[1]

    def _load(self, path: str) -> Sequence[str]:
        if not is_document(path):
            return split_pages(clean(self._workspace.read_text(path)))
        pages = document_pages(path, self._workspace.read_bytes(path))
        return split_pages(clean(pages)) if isinstance(pages, str) else pages


_OF: "weakref.WeakKeyDictionary[Workspace, Pages]" = weakref.WeakKeyDictionary()


def pages_of(workspace: Workspace) -> Pages:
    """The workspace's pages, shared by all tools that read, so that no file is parsed twice."""
    if workspace not in _OF:
        _OF[workspace] = Pages(workspace)
    return _OF[workspace]


def split_pages(text: str) -> list[str]:
    """Cut at a line's end, else at a space, else anywhere; at least one, and joined the text."""
    pages = []
    start = 0
    while len(text) - start > PAGE_CHARACTERS:
        end = start + PAGE_CHARACTERS
        middle = start + PAGE_CHARACTERS // 2
        cut = text.rfind("\n", middle, end)
        if cut < 0:
            cut = text.rfind(" ", middle, end)
        end = cut + 1 if cut >= 0 else end
        pages.append(text[start:end])
        start = end
    return [*pages, text[start:]]


def clean(text: str) -> str:
    """With plain line ends and without invisible controls."""
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def is_document(path: str) -> bool:
    """Whether the file is read by a document library instead of as plain text."""
    return path.lower().endswith(DOCUMENT_SUFFIXES)
