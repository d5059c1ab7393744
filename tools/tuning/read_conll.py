"""CoNLL files: a token and its tag on each line, a blank line after each sentence.

The token stands in the first column and the tag in the last; whatever lies between is left out.
Columns are cut at tabs, in a file without any at spaces. `-DOCSTART-` lines and, before a
sentence, comments (`# sent_id = 4`) are skipped.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.tuning.errors import DataError
from tools.tuning.tagging import split_tag

SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".txt", ".tsv")
_SPACES = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"#\s?(?:.*(?: = |::)|\S+$)")


@dataclass(slots=True)
class Sentence:
    """The tokens of a sentence with their tags as the file has them."""

    tokens: list[str]
    tags: list[str]
    """One a token; empty where the sentence came from a file without tags."""
    lines: list[int]
    """The line of each token, from 1; of an empty sentence the line of its row."""
    dropped: int = 0
    """Entities left out because they share a word with a longer one."""


def sentences(
    path: Path, numbered: Iterable[tuple[int, str]], *, tagged: bool = True
) -> Iterator[Sentence]:
    """The sentences of a file, in order.

    Args:
        tagged: False for a file to be tagged; whatever follows a token is left out.

    Raises:
        DataError: a token without a tag, a line of another width than the first, a broken tag.
    """
    current = Sentence([], [], [])
    width = 0
    for number, raw in numbered:
        line = raw.strip("\r\n")
        if not line.strip(" \t\ufeff"):
            if current.tokens:
                yield current
            current = Sentence([], [], [])
            continue
        columns = line.split("\t") if "\t" in line else _SPACES.split(line.strip(" "))
        if columns[0] == "-DOCSTART-" or (not current.tokens and _is_comment(line, columns)):
            continue
        if tagged:
            width = width or len(columns)
            _check(path, number, columns, width)
            current.tags.append(columns[-1].strip(" "))
        current.tokens.append(columns[0].strip(" "))
        current.lines.append(number)
    if current.tokens:
        yield current


def looks_like_conll(numbered: Iterable[tuple[int, str]]) -> bool:
    """The first line that says anything is a token and a tag."""
    for _, raw in numbered:
        line = raw.strip()
        columns = line.split("\t") if "\t" in line else _SPACES.split(line)
        if not line or columns[0] == "-DOCSTART-" or _is_comment(line, columns):
            continue
        return len(columns) > 1 and _is_tag(columns[-1])
    return False


def _check(path: Path, line: int, columns: list[str], width: int) -> None:
    if len(columns) == 1:
        raise DataError(
            f"{columns[0][:40]!r} has no tag; each line is a token and its tag, with a tab or a "
            "space between",
            path=str(path),
            line=line,
        )
    if len(columns) != width:
        raise DataError(
            f"{len(columns)} columns, but the lines before have {width}", path=str(path), line=line
        )
    if not columns[0].strip(" "):
        raise DataError("a tag without a token", path=str(path), line=line)
    try:
        split_tag(columns[-1].strip(" "))
    except DataError as error:
        raise DataError(str(error), path=str(path), line=line) from error


def _is_comment(line: str, columns: list[str]) -> bool:
    return line.startswith("#") and not _is_tag(columns[-1]) and _COMMENT.match(line) is not None


def _is_tag(text: str) -> bool:
    try:
        split_tag(text.strip(" "))
    except DataError:
        return False
    return True
