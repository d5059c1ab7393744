"""The settings there are, and what a value of each may be, whatever layer it came from."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from agent.safe_text import safe_text

T = TypeVar("T", bound=str)

Mode = Literal["auto", "ask", "deny", "read-only"]
"""From the loosest to the strictest. `ask` puts a question to the person at the terminal, `auto`
goes by the grants alone, `deny` refuses what would be asked, `read-only` also refuses writing."""
Memory = Literal["write", "read", "off"]
"""From the loosest to the strictest."""

BUDGET = tuple(f"budget.{part}" for part in ("steps", "seconds", "tokens", "tuning_seconds"))
CHOICES: dict[str, tuple[str, ...]] = {"mode": get_args(Mode), "memory": get_args(Memory)}
"""Each from the loosest to the strictest."""

WORDS = ("model", "embedder", "device", "dtype", "quant")
LISTS = ("tools", "plugins")
NAMES = (*WORDS, *CHOICES, *LISTS, *BUDGET)
"""Every setting with a fixed name; `models.NAME` are the person's own."""


def stricter(name: str, *values: T) -> T:
    """The strictest of several values of a setting in CHOICES."""
    return max(values, key=CHOICES[name].index)


def parsed(name: str, value: Any, base: Path) -> Any:
    """The value as the settings hold it; relative files start at `base`.

    Raises:
        ValueError: there is no such setting, or this is no value for it.
    """
    if name in BUDGET:
        return _positive(name, value)
    if name in CHOICES:
        if value not in CHOICES[name]:
            choices = ", ".join(CHOICES[name])
            raise ValueError(f"`{name}` is {_shown(value)}; it is one of {choices}")
        return value
    if name in LISTS:
        separator = os.pathsep if name == "plugins" else ","
        words = value.split(separator) if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(isinstance(w, str | Path) for w in words):
            raise ValueError(f"`{name}` is {_shown(value)}; it is a list of words")
        if name == "tools":
            return tuple(str(word).strip() for word in words)
        return tuple(_plugin(str(word), base) for word in words)
    if name in WORDS or name.startswith("models."):
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"`{name}` is {_shown(value)}; it is a word")
        return value.strip()
    if name == "home":
        raise ValueError("`home` is set with the environment variable TUNEWARD_HOME")
    known = [*NAMES, "models", "budget"]
    if name in ("budget", "models"):
        raise ValueError(f"`{name}` is {_shown(value)}; it holds `name: value` lines")
    raise ValueError(f"unknown setting `{safe_text(name, one_line=True)}`{nearest(name, known)}")


def _plugin(word: str, base: Path) -> str:
    """A file as an absolute path; any other word names an installed package's plug-in."""
    path = Path(word.strip()).expanduser()
    return str((base / path).resolve()) if path.suffix == ".py" else word.strip()


def _positive(name: str, value: Any) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"`{name}` is {_shown(value)}; it is a whole number from 1")
    return number


def _shown(value: object) -> str:
    return safe_text(repr(value), width=60, one_line=True)


def nearest(name: str, known: list[str]) -> str:
    """What was probably meant, as the end of a sentence."""
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(known))}"
