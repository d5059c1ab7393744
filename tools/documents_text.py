"""The readable text of PDF, DOCX and HTML files.

Covered: broken, encrypted, scanned and huge files, zip bombs, entity bombs, text that a page hides.
Not covered: layout, pictures, formulas; a PDF that makes the library slow (the tool's time limit).
"""

import io
import logging
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, overload

from tools.errors import ToolFailed
from tools.pathnames import show

if TYPE_CHECKING:
    from pypdf import PdfReader

T = TypeVar("T")

MAX_PDF_PAGES = 5_000
MAX_DOCX_ENTRIES = 5_000
MAX_DOCX_BYTES = 200 << 20
"""Unpacked; Word files of a thousand pages stay below a tenth of it, pictures aside."""
MAX_DOCX_RATIO = 200
"""Unpacked to packed of one entry above 10 MB; Word's own XML reaches about 30."""

# fmt: off
_BLOCKS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "caption", "dd", "div", "dl", "dt",
        "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
        "header", "hr", "li", "main", "nav", "ol", "option", "p", "pre", "section", "table",
        "title", "tr", "ul"
    }
)
# fmt: on
_UNSEEN = ("script", "style", "noscript", "template", "iframe", "object", "svg", "meta", "link")


def document_pages(path: str, data: bytes) -> Sequence[str] | str:
    """A PDF's own pages, each extracted when asked for; the whole text of DOCX and HTML.

    Raises:
        ToolFailed: the file is broken, encrypted, too large or has no text.
    """
    if not data:
        raise ToolFailed(f"{show(path)} is empty")
    kind = path.lower().rpartition(".")[2]
    if kind == "pdf":
        return PdfPages(path, data)
    text = docx_text(path, data) if kind == "docx" else html_text(path, data)
    if not text:
        raise ToolFailed(f"{show(path)} has no text")
    return text


class PdfPages(Sequence[str]):
    """The text of each page of a PDF file."""

    def __init__(self, path: str, data: bytes) -> None:
        self._path = path
        self._reader = self._guarded(lambda: _open_pdf(path, data))
        self._count = self._guarded(lambda: len(self._reader.pages))
        self._texts: dict[int, str] = {}
        if self._count > MAX_PDF_PAGES:
            raise ToolFailed(
                f"{show(path)} has {self._count:,} pages; at most {MAX_PDF_PAGES:,} can be read"
            )
        if self._count == 0:
            raise ToolFailed(f"{show(path)} has no pages")

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        number = index % self._count
        if number not in self._texts:
            self._texts[number] = self._guarded(
                lambda: tidy(self._reader.pages[number].extract_text())
            )
        return self._texts[number]

    def _guarded(self, work: Callable[[], T]) -> T:
        # The library says of itself that broken files can raise anything.
        try:
            return work()
        except ToolFailed:
            raise
        except Exception as error:
            raise ToolFailed(
                f"{show(self._path)} is no readable PDF file ({type(error).__name__}: {error})"
            ) from error


def _open_pdf(path: str, data: bytes) -> "PdfReader":
    from pypdf import PasswordType, PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it reports each oddity of a file
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        raise ToolFailed(f"{show(path)} is encrypted and needs a password; give an open copy")
    return reader


def docx_text(path: str, data: bytes) -> str:
    """Paragraphs and tables of a Word file in their order, one line each; cells are parted by |."""
    _check_zip(path, data)
    import docx
    from docx.table import Table

    try:
        document = docx.Document(io.BytesIO(data))
        lines: list[str] = []
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                lines += _table_lines(block._tbl)
            else:
                lines.append(_paragraph(block._p))
    except Exception as error:
        raise ToolFailed(
            f"{show(path)} is no readable Word file ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    return tidy("\n".join(lines))


def _check_zip(path: str, data: bytes) -> None:
    """Refuse what would unpack to far more than a document."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ToolFailed(
            f"{show(path)} is encrypted or an old Word file; save it as an open .docx file"
        )
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise ToolFailed(f"{show(path)} is no readable Word file ({error})") from error
    total = sum(entry.file_size for entry in entries)
    packed_tight = any(
        e.file_size > 10 << 20 and e.file_size > MAX_DOCX_RATIO * max(e.compress_size, 1)
        for e in entries
    )
    if len(entries) > MAX_DOCX_ENTRIES or total > MAX_DOCX_BYTES or packed_tight:
        raise ToolFailed(
            f"{show(path)} would unpack to {total:,} bytes in {len(entries):,} parts; "
            "it is refused as a zip bomb"
        )


def _paragraph(paragraph: object) -> str:
    """All text of the paragraph, also of links and insertions, but not what was struck."""
    pieces = []
    for node in paragraph.xpath(".//w:t | .//w:tab[not(ancestor::w:tabs)] | .//w:br | .//w:cr"):  # type: ignore[attr-defined]  # lxml element of python-docx
        name = node.tag.rpartition("}")[2]
        pieces.append((node.text or "") if name == "t" else "\t" if name == "tab" else "\n")
    return "".join(pieces)


def _table_lines(table: object) -> Iterator[str]:
    for row in table.xpath("./w:tr"):  # type: ignore[attr-defined]  # lxml element of python-docx
        cells = (
            " ".join(_paragraph(p) for p in cell.xpath(".//w:p")) for cell in row.xpath("./w:tc")
        )
        yield " | ".join(" ".join(cell.split()) for cell in cells)


def html_text(path: str, data: bytes) -> str:
    """What a reader of the page sees, a line per block; table cells are parted by |."""
    from bs4 import BeautifulSoup
    from bs4.element import NavigableString, Tag
    from bs4.exceptions import ParserRejectedMarkup

    try:
        soup = BeautifulSoup(data, "lxml")
    except (ParserRejectedMarkup, ValueError, RecursionError) as error:
        raise ToolFailed(f"{show(path)} is no readable HTML file ({error})") from error
    pieces: list[str] = []
    # Own stack: a page may nest tags deeper than Python nests calls, and the library's own ways of
    # changing such a tree take quadratic time.
    ahead: list[tuple[object, bool]] = [(soup, False)]
    while ahead:
        node, is_kept = ahead.pop()
        if isinstance(node, Tag):
            if node.name in _UNSEEN or _is_hidden(node.attrs):
                continue
            pieces.append(_BREAKS.get(node.name, ""))
            if node.name in _BLOCKS:
                ahead.append(("\n", True))
            is_kept = is_kept or node.name in _KEPT
            ahead += [(child, is_kept) for child in reversed(node.contents)]
        elif type(node) is NavigableString or type(node) is str:  # subclasses are comments etc.
            pieces.append(node if is_kept else re.sub(r"\s+", " ", node))
    return re.sub(r"\n{2,}", "\n", tidy("".join(pieces)))


_BREAKS = dict.fromkeys(_BLOCKS, "\n") | {"br": "\n", "li": "\n- ", "td": " | ", "th": " | "}
_KEPT = ("pre", "textarea")
"""Tags whose spaces and lines are shown as they are."""


def _is_hidden(attributes: Mapping[str, object]) -> bool:
    style = str(attributes.get("style", "")).replace(" ", "").lower()
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or "display:none" in style
        or "visibility:hidden" in style
    )


def tidy(text: str) -> str:
    """Without spaces at line ends and without more than one empty line in a row."""
    lines = (line.strip(" \t\xa0").removeprefix("| ") for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
