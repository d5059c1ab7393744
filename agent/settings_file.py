"""Reads a settings file: one YAML mapping, every key and value with its place, every mistake named.

Aliases, tags, duplicate keys and files over 256 KiB are refused: nobody needs them here, and they
are how a small file becomes a large surprise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent.errors import SettingsError
from agent.safe_text import safe_text

LIMIT = 256 * 1024
"""Bytes; a settings file is a page, not a database."""


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
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > LIMIT:
        raise SettingsError(
            f"{path}: over {LIMIT // 1024} KiB; a settings file holds settings only"
        )
    try:
        loader = yaml.SafeLoader(data.decode("utf-8-sig"))
        node = loader.get_single_node()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else f"{path}"
        raise SettingsError(f"{where}: {safe_text(str(error.problem), one_line=True)}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: {safe_text(str(error), one_line=True)}") from None
    if node is None:
        return {}
    return dict(_walk(path, loader, node, "", set()))


def _walk(
    path: Path, loader: yaml.SafeLoader, node: yaml.Node, prefix: str, seen: set[int]
) -> Mapping[str, Placed]:
    if not isinstance(node, yaml.MappingNode):
        raise SettingsError(f"{_place(path, node)}: expected `name: value` lines")
    found: dict[str, Placed] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise SettingsError(f"{_place(path, key_node)}: a setting's name is one word")
        name = prefix + key_node.value
        place = _place(path, key_node)
        if name in found or any(other.startswith(f"{name}.") for other in found):
            raise SettingsError(f"{place}: `{safe_text(name, one_line=True)}` is set twice")
        if id(value_node) in seen:
            raise SettingsError(f"{_place(path, value_node)}: aliases (`*name`) are not allowed")
        seen.add(id(value_node))
        # One level only: `models` and `budget` hold names of their own.
        if isinstance(value_node, yaml.MappingNode) and not prefix:
            found.update(_walk(path, loader, value_node, f"{name}.", seen))
        else:
            found[name] = Placed(_plain(path, loader, value_node), _place(path, value_node))
    return found


def _plain(path: Path, loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        detail = getattr(error, "problem", None) or str(error)
        raise SettingsError(
            f"{_place(path, node)}: {safe_text(str(detail), one_line=True)}"
        ) from None


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
