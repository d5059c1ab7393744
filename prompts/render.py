"""Fills a prompt file with values: `render("tool_result", name="read_file", result=text)`.

The first line of a file names its values, the rest is the prompt:

    {{# values: name, result #}}
    Result of {{ name }}:
    {{ result }}

A value that is missing, extra, undeclared or unused raises. Values are put in as they are: braces
inside a value are never looked at again.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from prompts.errors import PromptError

FOLDER = Path(__file__).parent
_NAME = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")
_HEADER = re.compile(r"\{\{# values:([a-z0-9_, ]*)#\}\}\n?")
_HOLE = re.compile(r"\{\{ ([a-z0-9_]+) \}\}")


@dataclass(frozen=True)
class Prompt:
    """One prompt file, read and checked."""

    name: str
    values: frozenset[str]
    """The names on its first line; each occurs in the text."""
    text: str


def render(name: str, /, **values: object) -> str:
    """The prompt `name` with its values filled in, without the file's final newline.

    Raises:
        PromptError: there is no such prompt, or a value is missing or extra.
    """
    prompt = load(name)
    if missing := prompt.values - values.keys():
        raise PromptError(f"prompt {name!r} misses {_listed(missing)}")
    if extra := values.keys() - prompt.values:
        raise PromptError(f"prompt {name!r} knows no {_listed(extra)}")
    return _HOLE.sub(lambda hole: str(values[hole[1]]), prompt.text)


@cache
def load(name: str) -> Prompt:
    """Read and check one prompt file.

    Raises:
        PromptError: the name is odd, the file is missing, or its first line and text disagree.
    """
    if not _NAME.fullmatch(name):
        raise PromptError(f"{name!r} is no name of a prompt")
    path = FOLDER / f"{name}.md"
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PromptError(f"there is no prompt {name!r} ({path.name} is missing)") from None
    return parse(name, content)


def parse(name: str, content: str) -> Prompt:
    """Split a prompt file's content into its declared values and its text."""
    header = _HEADER.match(content)
    if header is None:
        raise PromptError(f"prompt {name!r} must begin with a line like {{{{# values: a, b #}}}}")
    declared = [value.strip() for value in header[1].split(",") if value.strip()]
    text = content[header.end() :].removesuffix("\n")
    used = set(_HOLE.findall(text))
    if undeclared := used - set(declared):
        raise PromptError(f"prompt {name!r} uses undeclared {_listed(undeclared)}")
    if unused := set(declared) - used:
        raise PromptError(f"prompt {name!r} names {_listed(unused)} but never uses it")
    return Prompt(name, frozenset(declared), text)


def names() -> list[str]:
    """Every prompt that there is, sorted."""
    return sorted(
        path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.md")
    )


def _listed(names: set[str] | frozenset[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
