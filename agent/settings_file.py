"""Reads a settings file: one YAML mapping, every value with its place, every mistake named."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import GoalError, SettingsError
from agent.source_text import MAX_BYTES, Problems, decode
from agent.yaml_tree import Node, parse_yaml
from memory import durable


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and where it stands: `settings.yaml:3:8`."""

    value: Any
    place: str


def read_settings_file(path: Path) -> dict[str, Placed]:
    """Every setting of the file by its dotted name (`budget.steps`); none where there is no file.

    Raises:
        SettingsError: the file is unreadable, too large or no plain YAML mapping.
    """
    try:
        # A pipe or device would be waited for without end.
        if path.exists() and not path.is_file():
            raise SettingsError(f"{path}: is no plain file; settings are one")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    problems = Problems(str(path))
    try:
        text = decode(data, problems)
        if is_blank(text):
            return {}
        root = parse_yaml(text, problems)
    except GoalError as error:
        raise SettingsError(str(error)) from None
    if root.kind != "map" and not problems.found:
        problems.add(root, "expected lines of `name: value`")
    if problems.found:
        raise SettingsError(str(problems.error()))
    found: dict[str, Placed] = {}
    for name, (key, value) in root.entries.items():
        # `budget` and `models` hold names of their own.
        if value.kind == "map":
            inner = {f"{name}.{word}": pair for word, pair in value.entries.items()}
            found.update({dotted: _placed(path, node) for dotted, (_, node) in inner.items()})
            if not inner:
                found[name] = _placed(path, key)
        else:
            found[name] = _placed(path, value)
    return found


def is_blank(text: str) -> bool:
    """Nothing but comments and empty lines."""
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())


def _placed(path: Path, node: Node) -> Placed:
    return Placed(_plain(node), f"{path}:{node.line}:{node.column}")


def _plain(node: Node) -> Any:
    if node.kind == "list":
        return [_plain(item) for item in node.items]
    if node.kind == "map":
        return {name: _plain(value) for name, (_, value) in node.entries.items()}
    return node.value


def write_setting(path: Path, name: str, value: str) -> None:
    """Set one word in a settings file and leave every other line, comments too, as it is.

    Raises:
        SettingsError: the file that is there cannot be read; it is not touched.
    """
    read_settings_file(path)
    text = path.read_text("utf-8-sig") if path.exists() else ""
    word = json.dumps(value, ensure_ascii=False)
    node = _find(path, text, name)
    if node is None:
        new = f"{text.rstrip()}\n{name}: {word}\n".lstrip("\n")
    else:
        new = text[: node.start] + word + text[node.end :]
    durable.replace(path, new.encode("utf-8"))


def _find(path: Path, text: str, name: str) -> Node | None:
    if is_blank(text):
        return None
    return parse_yaml(text, Problems(str(path))).get(name)
