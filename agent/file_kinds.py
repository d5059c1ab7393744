"""Whether a file is what its name says: a PDF that opens, a table that parses, text that is text.

Covered by its ending: csv tsv jsonl parquet json yaml toml xml svg html pdf docx xlsx pptx zip gz
png jpg gif webp sqlite py and text. Any other name only must not be empty. Not covered: whether the
content makes sense.
"""

import io
import warnings
from collections.abc import Callable

from agent.json_values import JsonError, parse_json
from tools.table_files import TableError, parse_table
from tools.text_encoding import decode

MAX_UNPACKED = 64 << 20
"""A gzip file is unpacked no further than this."""


class Miss(ValueError):
    """A check does not hold; the text says what was found, never what was expected."""


def check_kind(path: str, data: bytes) -> None:
    """Raise Miss unless the content is not empty and parses as what its name says."""
    if not data.strip():
        raise Miss(f"{path} is empty")
    ending = path.rpartition("/")[2].lower().rpartition(".")[2] if "." in path else ""
    check = _KINDS.get(ending)
    if check is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check(path, data)
        except Miss:
            raise
        except (RecursionError, MemoryError):
            raise Miss(f"{path} is too deep or too large to read as {ending}") from None
        except Exception as error:  # parsers of broken files raise whatever comes to their mind
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise Miss(f"{path} does not parse as {ending}: {reason}") from None


def text_of(path: str, data: bytes) -> str:
    """The text of a file, with `\\n` as its line ends; raises Miss if it is empty or no text."""
    text = decode(data)
    if text is None or "\0" in text:
        raise Miss(f"{path} is not a text file")
    if not text.strip():
        raise Miss(f"{path} is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _text(path: str, data: bytes) -> None:
    text_of(path, data)


def _table(path: str, data: bytes) -> None:
    try:
        frame = parse_table(path, data)
    except TableError as error:
        raise Miss(f"{path} is no table ({error})") from None
    if not frame.columns:
        raise Miss(f"{path} has no columns")


def _json(path: str, data: bytes) -> None:
    parse_json(text_of(path, data))


def _ndjson(path: str, data: bytes) -> None:
    for number, line in enumerate(text_of(path, data).splitlines(), start=1):
        if line.strip():
            try:
                parse_json(line)
            except JsonError as error:
                raise Miss(f"{path} has no JSON in line {number}: {error}") from None


def _yaml(path: str, data: bytes) -> None:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for _ in yaml.parse(text_of(path, data), Loader=loader):
        pass  # events only: nothing is built, so aliases cannot explode


def _toml(path: str, data: bytes) -> None:
    import tomllib

    tomllib.loads(text_of(path, data))


def _xml(path: str, data: bytes) -> None:
    from lxml import etree  # type: ignore[import-untyped]  # ships no types

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    etree.fromstring(data, parser)


def _html(path: str, data: bytes) -> None:
    from bs4 import BeautifulSoup

    if BeautifulSoup(text_of(path, data), "lxml").find() is None or "<" not in text_of(path, data):
        raise Miss(f"{path} has no HTML element")


def _pdf(path: str, data: bytes) -> None:
    from pypdf import PdfReader

    if not data.lstrip()[:5] == b"%PDF-":
        raise Miss(f"{path} does not start like a PDF")
    if len(PdfReader(io.BytesIO(data)).pages) == 0:
        raise Miss(f"{path} has no pages")


def _docx(path: str, data: bytes) -> None:
    from docx import Document

    _office("word/document.xml")(path, data)
    Document(io.BytesIO(data))


def _office(part: str) -> Callable[[str, bytes], None]:
    def check(path: str, data: bytes) -> None:
        if part not in _zip_names(data):
            raise Miss(f"{path} has no part {part}")

    return check


def _zip(path: str, data: bytes) -> None:
    _zip_names(data)


def _zip_names(data: bytes) -> list[str]:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.namelist()


def _gzip(path: str, data: bytes) -> None:
    import gzip

    left = MAX_UNPACKED
    with gzip.open(io.BytesIO(data)) as file:
        while left > 0 and (piece := file.read(1 << 20)):
            left -= len(piece)


def _python(path: str, data: bytes) -> None:
    import ast

    ast.parse(data)


def _magic(*starts: bytes) -> Callable[[str, bytes], None]:
    def check(path: str, data: bytes) -> None:
        if not data.startswith(starts):
            raise Miss(f"{path} does not start like such a file")

    return check


def _webp(path: str, data: bytes) -> None:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise Miss(f"{path} does not start like such a file")


_KINDS: dict[str, Callable[[str, bytes], None]] = {
    **dict.fromkeys(("csv", "tsv", "jsonl", "parquet"), _table),
    **dict.fromkeys(("txt", "md", "rst", "log", "ini", "cfg", "tex", "srt", "sql", "css"), _text),
    "json": _json,
    "geojson": _json,
    "ndjson": _ndjson,
    "yaml": _yaml,
    "yml": _yaml,
    "toml": _toml,
    "xml": _xml,
    "svg": _xml,
    "html": _html,
    "htm": _html,
    "pdf": _pdf,
    "docx": _docx,
    "xlsx": _office("xl/workbook.xml"),
    "pptx": _office("ppt/presentation.xml"),
    "zip": _zip,
    "gz": _gzip,
    "py": _python,
    "png": _magic(b"\x89PNG\r\n\x1a\n"),
    "jpg": _magic(b"\xff\xd8\xff"),
    "jpeg": _magic(b"\xff\xd8\xff"),
    "gif": _magic(b"GIF87a", b"GIF89a"),
    "webp": _webp,
    "sqlite": _magic(b"SQLite format 3\0"),
}

KNOWN_ENDINGS = frozenset(_KINDS)
"""Endings, without the dot, whose files are parsed."""
