"""Label cells: one label, several in a list, or several as `a|b` or `a;b`.

Labels are compared as Unicode means them (NFC) and without the spaces around them. Whether a
column has several labels in a cell is decided by the whole column, see `separator_of`.
"""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from tools.tuning.errors import DataError

SEPARATORS = ("|", ";")
LABEL_CHARACTERS = 200
"""A longer label is a text in the wrong column."""


def separator_of(cells: Iterable[Any]) -> str | None:
    """What stands between labels in one cell; None where each cell is one label.

    A cell is cut only where that makes labels fewer: `a`, `b`, `a|b` are two labels, but `x;y`
    and `z` are two as they stand.
    """
    texts = {cell for cell in cells if isinstance(cell, str) and cell.strip()}
    for separator in SEPARATORS:
        parts = {part.strip() for text in texts for part in text.split(separator)} - {""}
        if len(parts) < len(texts) and any(separator in text for text in texts):
            return separator
    return None


def labels_of(
    cell: Any, separator: str | None, path: Path, line: int, *, whole: Collection[str] = ()
) -> tuple[str, ...]:
    """The labels in one cell, sorted, each once; none in an empty one.

    Args:
        whole: labels that are never cut.

    Raises:
        DataError: the cell holds something else.
    """
    if isinstance(cell, str) and separator is not None and _plain(cell) not in whole:
        cell = cell.split(separator)
    parts: Sequence[Any] = cell if isinstance(cell, list | tuple) else [cell]
    found = {_label(part, path, line) for part in parts}
    return tuple(sorted(found - {""}))


def _label(value: Any, path: Path, line: int) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int | float):
        raise DataError(
            f"the label is a {type(value).__name__}, not text; is it the right column?",
            path=str(path),
            line=line,
        )
    label = _plain(str(value))
    if len(label) > LABEL_CHARACTERS:
        raise DataError(
            f"a label of {len(label)} characters; name the right column with --label-column",
            path=str(path),
            line=line,
        )
    return label


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()
