"""Rows with a text and the places of its entities, made sentences of words and tags.

    {"text": "Do you have room for 11 of us?", "entities": [[21, 23, "people"]]}
    {"text": "...", "entities": [{"start": 21, "end": 23, "label": "people"}]}

Places count characters from 0; `end` is the first one after the entity. An object may say `type`
or `tag` for `label`, and its own `text`, which must then stand at that place.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.tuning.errors import DataError
from tools.tuning.read_conll import Sentence
from tools.tuning.words import Span, flat_spans, spans_to_tags, words

_TYPE_KEYS = ("label", "type", "tag", "slot", "entity")
_TEXT_KEYS = ("text", "value", "surface", "word")


def sentence_of_spans(
    text: str, cell: Any, path: Path, line: int, *, by_character: bool
) -> Sentence:
    """The words of a text and their BIO tags; of entities that share a word the longest stays.

    Raises:
        DataError: a place lies outside the text or holds no word.
    """
    spans = [_span(item, text, path, line) for item in _items(cell, path, line)]
    cut = words(text, by_character)
    try:
        kept = flat_spans(cut, spans)
    except DataError as error:
        raise DataError(str(error), path=str(path), line=line) from error
    tags = list(spans_to_tags(cut, kept))
    return Sentence([word.text for word in cut], tags, [line] * len(cut), len(spans) - len(kept))


def _items(cell: Any, path: Path, line: int) -> list[Any]:
    if cell is None:
        return []
    if isinstance(cell, list):
        return cell
    raise DataError(
        f'the entities are a {type(cell).__name__}, not a list like [[0, 4, "city"]]',
        path=str(path),
        line=line,
    )


def _span(item: Any, text: str, path: Path, line: int) -> Span:
    said: Any = None
    if isinstance(item, Mapping):
        type_ = next((item[key] for key in _TYPE_KEYS if key in item), None)
        start, end = item.get("start"), item.get("end")
        said = next((item[key] for key in _TEXT_KEYS if key in item), None)
    elif isinstance(item, list | tuple) and len(item) == 3:
        start, end, type_ = item
    else:
        start = end = type_ = None
    if (
        not isinstance(start, int)
        or not isinstance(end, int)
        or not isinstance(type_, str)
        or not type_.strip()
    ):
        raise DataError(
            f'{str(item)[:60]!r} is no entity; write {{"start": 0, "end": 4, "label": '
            '"city"} or [0, 4, "city"]',
            path=str(path),
            line=line,
        )
    if not 0 <= start < end <= len(text):
        raise DataError(
            f"{type_} from {start} to {end} does not lie in a text of {len(text)} characters",
            path=str(path),
            line=line,
        )
    if isinstance(said, str) and said.strip() != text[start:end].strip():
        raise DataError(
            f"{type_} from {start} to {end} is {text[start:end][:40]!r} in the text, not "
            f"{said[:40]!r}; places count characters from 0",
            path=str(path),
            line=line,
        )
    return Span(type_.strip(), start, end)
