"""Inputs of a goal file: typed values from `--set name=value`, put in where `{{ name }}` stands."""

import datetime
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agent.check_specs import Cell, Strict, refuse, workspace_path

InputType = Literal[
    "string", "number", "integer", "boolean", "date", "file", "new_file", "folder", "choice"
]

_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")

_TEMPLATE = re.compile(r"\{\{(?:\s*('\{\{'|\"\{\{\")\s*\}\}|(.*?)\}\})", re.DOTALL)
_NAME = re.compile(r"[^\W\d]\w*")


class Input(Strict):
    """One value that can be set from outside."""

    type: InputType = "string"
    """What the value must be. `file` and `folder` exist in the workspace, `new_file` need not."""
    default: Cell = None
    """Used without `--set`; an input without a default must be set."""
    choices: Annotated[list[Cell], Field(min_length=1)] | None = None
    """For `choice`: the values to choose from."""
    description: str = ""
    """What the value is for."""

    @model_validator(mode="after")
    def _choices_fit(self) -> "Input":
        if (self.type == "choice") != (self.choices is not None):
            raise refuse("`choices` and `type: choice` belong together")
        return self


def is_name(word: str) -> bool:
    """Whether an input can be called so."""
    return _NAME.fullmatch(word) is not None and len(word) <= 64


class InputError(ValueError):
    """The value does not fit the input's type; the message says what does."""


def fit(value: Cell, spec: Input, workspace: Path | None) -> Cell:
    """A value from the goal file, checked against the input's type.

    Raises:
        InputError: wrong type, not one of the choices, or a file that is not there.
    """
    match spec.type:
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "choice" if value in (spec.choices or []):
            return value
        case "string" | "date" | "file" | "new_file" | "folder":
            return _text(value, spec.type, workspace)
    raise InputError(f"{_shown(value)} is not {_wanted(spec)}")


def parse(text: str, spec: Input, workspace: Path | None) -> Cell:
    """A value from the command line, read as the input's type; raises InputError like `fit`."""
    value: Cell = text
    word = text.strip()
    if spec.type in ("number", "integer"):
        value = _number(word)
    elif spec.type == "boolean" and word.lower() in _TRUE | _FALSE:
        value = word.lower() in _TRUE
    elif spec.type == "choice":
        value = next((choice for choice in spec.choices or [] if spoken(choice) == word), text)
    return fit(value, spec, workspace)


def spoken(value: Cell) -> str:
    """A value as it reads inside a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Hole:
    """One `{{ ... }}` in a text."""

    start: int
    end: int
    name: str
    """The input's name; empty for a literal `{{`."""
    error: str = ""
    """What is wrong with it, where it is no input's name."""


def holes(text: str) -> list[Hole]:
    """Every `{{ name }}` of the text, wrong ones too."""
    found: list[Hole] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        match = _TEMPLATE.match(text, start)
        if match is None:
            found.append(Hole(start, len(text), "", "`{{` is never closed; add `}}`"))
            break
        inner = (match.group(2) or "").strip()
        error = ""
        if match.group(1) is None and not _NAME.fullmatch(inner):
            error = (
                f"`{{{{ {inner[:40]} }}}}` is not the name of an input;"
                " write `{{ '{{' }}` for two plain braces"
            )
        found.append(Hole(start, match.end(), inner, error))
        position = match.end()
    return found


def filled(text: str, values: dict[str, Cell]) -> Cell:
    """The text with its holes filled; a text that is just one hole keeps the value's type."""
    found = holes(text)
    if len(found) == 1 and found[0].name and text.strip() == text[found[0].start : found[0].end]:
        return values[found[0].name]
    pieces: list[str] = []
    position = 0
    for hole in found:
        pieces += text[position : hole.start], spoken(values[hole.name]) if hole.name else "{{"
        position = hole.end
    return "".join(pieces) + text[position:]


def _text(value: Cell, kind: str, workspace: Path | None) -> str:
    if not isinstance(value, str):
        raise InputError(f"{_shown(value)} is not text; put it in quotes")
    if kind == "string":
        return value
    if kind == "date":
        try:
            return datetime.date.fromisoformat(value).isoformat()
        except ValueError:
            raise InputError(f"{_shown(value)} is not a date; write it as 2026-11-24") from None
    try:
        path = workspace_path(value, folder=kind == "folder")
    except ValueError as error:
        raise InputError(str(error)) from None
    if workspace is not None and kind != "new_file":
        place = workspace / path
        there = place.is_dir() if kind == "folder" else place.is_file()
        if not there:
            raise InputError(f"the {kind} {_shown(value)} is not in the workspace {workspace}")
    return path


def _number(word: str) -> Cell:
    if _INTEGER.fullmatch(word):
        return int(word)
    try:
        number = float(word)
    except ValueError:
        return word
    return number if math.isfinite(number) and "_" not in word else word


def _wanted(spec: Input) -> str:
    if spec.type == "choice":
        return "one of " + ", ".join(spoken(choice) for choice in spec.choices or [])
    words = {"number": "a number", "integer": "a whole number", "boolean": "true or false"}
    return words[spec.type]


def _shown(value: Cell) -> str:
    text = spoken(value)
    return f"`{text if len(text) <= 60 else text[:60] + '...'}`"
