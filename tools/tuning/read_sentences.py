"""Tagged sentences from rows (JSONL, CSV, Parquet), whichever of their columns hold the tags.

A row has either tokens and a tag for each, or a text and the places of its entities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tools.tuning.cells import listed, text_of, tokens_of
from tools.tuning.columns import SPANS, TAGS, TEXT, TOKENS, first_of, pick
from tools.tuning.errors import DataError
from tools.tuning.read_conll import Sentence
from tools.tuning.read_spans import sentence_of_spans
from tools.tuning.rows import Row
from tools.tuning.tagging import split_tag
from tools.tuning.words import is_unspaced

Form = Literal["tags", "spans"]


@dataclass(frozen=True, slots=True)
class TaggedColumns:
    """Where the sentences stand, and in which form."""

    text: str
    label: str
    form: Form


def tagged_columns(
    found: Sequence[Row], path: Path, *, text: str | None, label: str | None
) -> TaggedColumns:
    """The columns of the tokens or texts and of their tags or entities.

    Raises:
        DataError: a named column is not there, or no column holds tags or entities.
    """
    known = list(dict.fromkeys(name for row in found for name in row.cells))
    if label is not None:
        pick(known, path, label, (), what="label")
    usual = [name for name in dict.fromkeys((*TAGS, *SPANS)) if first_of(known, [name])]
    candidates = [label] if label else [first_of(known, [name]) or "" for name in usual]
    for name in candidates:
        form = _form(found, name)
        if form is not None:
            names = TEXT if form == "spans" else TOKENS
            return TaggedColumns(pick(known, path, text, names, what="text"), name, form)
    raise DataError(
        "no column holds tags like 'B-PER' or entities like [0, 4, \"city\"]; name it with "
        f"--label-column, there are: {', '.join(map(repr, known[:12]))}",
        path=str(path),
        line=found[0].line,
    )


def tagged_sentences(
    found: Sequence[Row], columns: TaggedColumns, path: Path, *, by_character: bool | None
) -> list[Sentence]:
    """A sentence for each row; one without tokens where a row is empty.

    Args:
        by_character: cut texts so; found from all of them where left out.
    """
    if columns.form == "tags":
        return [_from_tags(row, columns, path) for row in found]
    texts = [_raw_text(row.cells.get(columns.text), path, row.line) for row in found]
    by_character = is_unspaced(texts) if by_character is None else by_character
    return [
        sentence_of_spans(
            text, listed(row.cells.get(columns.label)), path, row.line, by_character=by_character
        )
        for row, text in zip(found, texts, strict=True)
    ]


def _from_tags(row: Row, columns: TaggedColumns, path: Path) -> Sentence:
    tokens = tokens_of(row.cells.get(columns.text), path, row.line)
    tags = listed(row.cells.get(columns.label))
    if tags is None:
        tags = []
    if isinstance(tags, str):
        tags = tags.split()
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise DataError(
            "the tags are not a list of texts like 'B-PER'; write their names for numbers",
            path=str(path),
            line=row.line,
        )
    if len(tags) != len(tokens):
        raise DataError(
            f"{len(tokens)} tokens but {len(tags)} tags; each token needs one",
            path=str(path),
            line=row.line,
        )
    return Sentence(tokens, [tag.strip() for tag in tags], [row.line] * len(tokens))


def _raw_text(value: Any, path: Path, line: int) -> str:
    """The text with the spaces around it, since places are counted from its first character."""
    text_of(value, path, line)
    return value if isinstance(value, str) else ""


def _form(found: Sequence[Row], column: str) -> Form | None:
    """What the column holds, by its first cell that says so; None where it is neither."""
    seen_list = False
    for row in found:
        value = listed(row.cells.get(column))
        if isinstance(value, str):
            value = value.split()
        if not isinstance(value, list):
            continue
        seen_list = True
        if value:
            return _form_of(value[0])
    return "spans" if seen_list else None


def _form_of(item: Any) -> Form | None:
    if isinstance(item, list | dict):
        return "spans"
    if isinstance(item, int):
        return "tags"
    try:
        split_tag(item)
    except (DataError, TypeError):
        return None
    return "tags"
