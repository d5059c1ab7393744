"""Cuts a document's text into overlapping chunks, each of which knows where it stands.

A chunk is about 150 tokens: short enough that a small encoder reads all of it and that five fit an
answer. It ends at a paragraph's end if it can, else at a line's, a sentence's or a word's.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

CHUNK_SIZE = 600
"""Characters; one of Chinese and its like counts as four, since it is a token by itself."""
OVERLAP = 100
"""Characters of a chunk's end that the next one may begin with."""
MAX_HEADING = 160
"""Characters of the headings that are put before a chunk."""
CUTTER = 1
"""Raise it when the same text would be cut otherwise: everything is then cut anew."""

Unit = Literal["page", "line", "row"]

_SEPARATORS = ["\n\n", "\n", ". ", "? ", "! ", "。", "！", "？", "; ", ", ", " ", ""]
_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_WORD = re.compile(r"\w")


class NoText(Exception):
    """A file of a kind that holds no text, or one that holds none; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document that is cut by itself: all its pages, a part under a heading."""

    text: str
    unit: Unit
    """What its places are called."""
    starts: Sequence[int]
    """Where in `text` each page, line or row begins, ascending; the first is 0."""
    first: int = 1
    """The number of the first page, line or row."""
    heading: str = ""
    """The headings above it; put before each chunk, so that it says what it is about."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage and where it stands: `page 3`, `lines 10-42`, `rows 5-8`."""

    text: str
    position: str


def lines(text: str, *, first: int = 1, heading: str = "") -> Section:
    """A section of plain text whose places are its lines."""
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    return Section(text, "line", starts, first, heading)


def joined(parts: Sequence[str], unit: Unit, between: str = "\n\n", *, first: int = 1) -> Section:
    """A section of pages or rows, with `between` from one to the next."""
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + len(part) + len(between))
    return Section(between.join(parts), unit, starts, first)


def cut(section: Section) -> list[Chunk]:
    """The section's chunks in order; those without a letter or digit are left out."""
    heading = section.heading[:MAX_HEADING]
    chunks = []
    for found in _splitter().create_documents([section.text]):
        text, start = found.page_content, found.metadata["start_index"]
        if not _WORD.search(text):
            continue
        position = _position(section, start, start + len(text) - 1)
        chunks.append(Chunk(f"{heading}\n{text}" if heading else text, position))
    return chunks


def _position(section: Section, start: int, end: int) -> str:
    places = (bisect_right(section.starts, at) - 1 + section.first for at in (start, end))
    begins, ends = places
    return f"{section.unit} {begins}" if begins == ends else f"{section.unit}s {begins}-{ends}"


@cache
def _splitter() -> "RecursiveCharacterTextSplitter":
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter(
        separators=_SEPARATORS,
        chunk_size=CHUNK_SIZE,
        chunk_overlap=OVERLAP,
        length_function=_length,
        keep_separator="end",
        add_start_index=True,
    )


def _length(text: str) -> int:
    """Never less than the number of characters: the splitter's own start index relies on that."""
    return len(text) if text.isascii() else len(text) + 3 * len(_WIDE.findall(text))
