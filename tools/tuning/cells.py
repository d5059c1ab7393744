"""What a cell must be: a text, or a list of tokens; anything else is refused with its line."""

import json
from pathlib import Path
from typing import Any

from tools.tuning.errors import DataError


def text_of(value: Any, path: Path, line: int) -> str:
    """The cell as text, without spaces around it; an empty one where nothing stands there.

    Raises:
        DataError: it is a list or an object, or holds half a surrogate pair.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return _sound(value, path, line).strip()
    if isinstance(value, int | float):
        return str(value)
    raise DataError(
        f"the text is a {type(value).__name__}; name the right column with --text-column",
        path=str(path),
        line=line,
    )


def tokens_of(value: Any, path: Path, line: int) -> list[str]:
    """The cell as tokens: a list, a list written as JSON, or words with spaces between.

    Raises:
        DataError: something else, or a token without any character.
    """
    value = listed(value)
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list) or not all(isinstance(v, str | int | float) for v in value):
        raise DataError("the tokens are not a list of words", path=str(path), line=line)
    tokens = [_sound(str(v), path, line).strip(" \t\r\n") for v in value]
    if "" in tokens:
        raise DataError(
            f"token {tokens.index('') + 1} is empty; leave it out, with its tag",
            path=str(path),
            line=line,
        )
    return tokens


def listed(value: Any) -> Any:
    """A list that a text column holds as JSON; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def characters_of(value: Any) -> int:
    """About how much memory a cell, or a whole row of them, takes: its characters and its parts."""
    if isinstance(value, str | bytes):
        return len(value) + 1
    if isinstance(value, dict):
        return sum(characters_of(key) + characters_of(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return sum(map(characters_of, value)) + 1
    return 1


def _sound(text: str, path: Path, line: int) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                "half of a surrogate pair, which is no character; mend the program that wrote it",
                path=str(path),
                line=line,
            ) from error
    return text
