"""The text of a file as sections to cut into chunks: whatever kind of document it is.

    report = ingest(["docs"], memory, root=root, read=sections_of)

Positions are those that the other tools count in: pages as `document_text` shows them, lines of a
text file, rows of a table from 1 under its header.
"""

from collections.abc import Sequence

import polars as pl

from memory.chunks import NoText, Section, joined, lines
from memory.markdown import markdown_sections
from tools.base import DOCUMENT_SUFFIXES, TABLE_SUFFIXES
from tools.documents_text import document_pages
from tools.pages import clean, split_pages
from tools.table_files import parse_table
from tools.table_text import text_of
from tools.text_encoding import decode

MARKDOWN_SUFFIXES = (".md", ".markdown", ".mdown")


def sections_of(path: str, data: bytes) -> list[Section]:
    """The file's text; the ending of `path` says which kind it is, any other is plain text.

    Raises:
        NoText: there is none: an empty file, a picture, a scan.
        ToolFailed: the file is broken, encrypted or too large.
    """
    name = path.lower()
    if not data.strip():
        raise NoText("it is empty")
    if name.endswith(DOCUMENT_SUFFIXES):
        return _pages(document_pages(path, data))
    if name.endswith(TABLE_SUFFIXES):
        return _rows(parse_table(path, data))
    text = decode(data)
    if text is None or "\0" in text:
        raise NoText("it is no text")
    text = clean(text)
    return markdown_sections(text) if name.endswith(MARKDOWN_SUFFIXES) else [lines(text)]


def _pages(document: Sequence[str] | str) -> list[Section]:
    """All pages as one section, since sentences go on over a page's end."""
    if isinstance(document, str):
        return [joined(split_pages(clean(document)), "page", "")]
    pages = [clean(page) for page in document]
    if not any(page.strip() for page in pages):
        raise NoText("its pages have no text; a scan must be read by other software first")
    return [joined(pages, "page")]


def _rows(table: pl.DataFrame) -> list[Section]:
    """Each row as `column: value` lines, so that a row means something without its header."""
    names = table.columns
    columns = [text_of(table[name]).to_list() for name in names]
    rows = [
        "\n".join(
            f"{name}: {' '.join(clean(value).split())}"
            for name, value in zip(names, row, strict=True)
            if value is not None and value.strip()
        )
        for row in zip(*columns, strict=True)
    ]
    if not rows:
        raise NoText("the table has no rows")
    return [joined(rows, "row")]
