"""Turns a tool's argument schema into one that offers only values that exist right now.

Arguments carry their kind under `x-ground` (see `tools/base.py`). An argument whose values are
few becomes an enum; one that depends on another (the column of a table) becomes one alternative
per value of the other. Above `ENUM_LIMIT` values it stays a bounded string and the tool checks.
A call that was already made in this state of the workspace is taken out where every argument is
an enum.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from tools.base import GROUND_KEY
from tools.comparison import FITTING, FITTING_ORDERS, CellKind

Schema = dict[str, Any]

ENUM_LIMIT = 1_000
"""llguidance compiles enums of this size in milliseconds; one of 100,000 fails."""
ALTERNATIVE_LIMIT = 200
"""Alternatives per tool: tables, or table and column where values depend on the column."""
VALUE_LIMIT = 25
"""A column with more distinct values leaves the value free."""
TEXT_LIMIT = 2_000
"""Longest string that the model may compose, in characters, where the schema names no length."""
NAME_LIMIT = 100
"""Longest name of a new file, in characters; a small model does not know where to stop."""
NAME_PART = 40
"""Longest part of it between slashes."""

# Relative, each part starting with a letter, digit or underscore: no hidden file, no `..`, no `-x`.
# Letters are listed as ranges, which llguidance, Python and the servers' compilers read alike;
# names in other scripts can still be written where the goal mentions them.
_LETTERS = "a-zA-Z0-9_À-ÖØ-öø-ʯͰ-῿ぁ-ヿ㐀-鿿가-힣"
_PART = rf"[{_LETTERS}][{_LETTERS}.-]{{0,{NAME_PART - 1}}}"
# A file's own name ends after two endings at most, or a small model writes `.json.json.json`.
_STEM = rf"[{_LETTERS}][{_LETTERS}-]{{0,{NAME_PART - 1}}}"
_ENDING = r"(\.[a-zA-Z0-9]{1,10})"


_SPECIAL, _ESCAPED = re.compile(r"[.+*?()\[\]{}|^$\\]"), r"\\\g<0>"
FOLDER_LIMIT = 20
"""Folders that begin a new name; with more of them it may begin anyhow."""
VALUE_LENGTH = 40
"""Longest number or date to compare with, in characters."""
_VALUES = {
    "number": r"^-?[0-9]{1,15}(\.[0-9]{1,9})?$",
    "date": r"^[0-9]{4}(-[0-9]{1,2}){0,2}(T[0-9]{2}:[0-9]{2})?$",
}


class World(Protocol):
    """What exists at the moment of a call."""

    def files(self, suffixes: Sequence[str] = ()) -> list[str]: ...
    def folders(self) -> list[str]: ...
    def new_files(self) -> list[str]:
        """Names to write that the goal mentions or that this run wrote."""

    def columns(self, path: str) -> list[str]: ...
    def values(self, path: str, column: str) -> list[str] | None:
        """Distinct values, or None where they are more than `VALUE_LIMIT`."""

    def kind(self, path: str, column: str) -> CellKind:
        """What the column's cells are: `mixed` where that is not known."""

    def pages(self, path: str) -> int: ...
    def skills(self, task: str = "") -> list[str]:
        """Registered skills; with `task` only those for that kind of task."""

    def labels(self, skill: str) -> list[str]:
        """Classes or entity types of a skill."""

    def handles(self) -> list[str]: ...


class Remembered:
    """A world that is asked each question once; good for the moment of one call."""

    def __init__(self, world: World) -> None:
        for name in _QUESTIONS:
            setattr(self, name, cache(getattr(world, name)))
        self._all_files = cache(world.files)
        self.files = cache(self._files_ending)

    def _files_ending(self, suffixes: Sequence[str] = ()) -> list[str]:
        """Each kind of file comes out of one listing, since a listing walks all folders."""
        endings = tuple(suffix.lower() for suffix in suffixes)
        files = self._all_files()
        return [path for path in files if path.lower().endswith(endings)] if endings else files

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


_QUESTIONS = (
    *("folders", "new_files", "columns", "values", "kind", "pages"),
    *("skills", "labels", "handles"),
)


def ground(schema: Schema, world: World, done: Iterable[Mapping[str, Any]] = ()) -> Schema | None:
    """The schema with what exists now; None where no call of the tool is possible.

    Args:
        schema: JSON schema of the tool's arguments, an object.
        world: what exists.
        done: arguments of calls already made in this state, to be taken out.
    """
    plain = {**schema, "additionalProperties": False}
    properties: dict[str, Schema] = plain.get("properties", {})
    alternatives: list[Schema] = [plain]
    for name in list(properties):
        facts = _facts(properties[name])
        if facts is None:
            continue
        alternatives = _narrow(alternatives, name, facts, world)
        if not alternatives:
            return None
    for arguments in done:
        alternatives = [rest for a in alternatives for rest in _without(a, arguments)]
    if not alternatives:
        return None
    if len(alternatives) == 1:
        return alternatives[0]
    shared = {"$defs": plain["$defs"]} if "$defs" in plain else {}
    return {**shared, "anyOf": alternatives}


def _facts(schema: Schema) -> dict[str, Any] | None:
    """The grounding of an argument, also where it sits inside `X | None` or `list[X]`."""
    if GROUND_KEY in schema:
        return dict(schema[GROUND_KEY])
    for option in (*schema.get("anyOf", ()), schema.get("items", {})):
        if GROUND_KEY in option:
            return dict(option[GROUND_KEY])
    return None


def _narrow(
    alternatives: list[Schema], name: str, facts: dict[str, Any], world: World
) -> list[Schema]:
    """Each alternative with argument `name` limited; alternatives without a value are dropped."""
    of = facts.get("of")
    if of is None:
        values = _values(facts, world)
        return [a for a in (_with_values(a, name, values, facts) for a in alternatives) if a]
    narrowed: list[Schema] = []
    for alternative in alternatives:
        narrowed += _split(alternative, name, of, facts, world)
    return narrowed


def _values(facts: dict[str, Any], world: World) -> list[str]:
    kind = facts["kind"]
    if kind == "file":
        return world.files(tuple(facts.get("suffixes", ())))
    if kind == "folder":
        return world.folders()
    if kind == "new_file":
        return world.new_files()
    if kind == "skill":
        return world.skills(facts["task"]) if "task" in facts else world.skills()
    if kind == "handle":
        return world.handles()
    raise ValueError(f"unknown kind of argument: {kind}")


def _with_values(
    alternative: Schema, name: str, values: list[str], facts: dict[str, Any]
) -> Schema | None:
    prop = alternative["properties"][name]
    if facts["kind"] == "new_file":
        return _replaced(alternative, name, _new_file(prop, values, facts))
    if not values:
        return _dropped(alternative, name)
    limited = {"enum": values} if len(values) <= ENUM_LIMIT else _bounded(TEXT_LIMIT)
    return _replaced(alternative, name, _described(prop, limited))


def _new_file(prop: Schema, names: list[str], facts: dict[str, Any]) -> Schema:
    suffixes = tuple(facts.get("suffixes", ()))
    endings = "|".join(s.replace(".", r"\.") for s in suffixes)
    last = rf"{_ENDING}?({endings})" if endings else rf"{_ENDING}{{0,2}}"
    begins = _folders(names) if endings else ""  # texts may go to any file that is there
    pattern = rf"^{begins}({_PART}/){{0,4}}{_STEM}{last}$"
    legal = {"type": "string", "pattern": pattern, "maxLength": NAME_LIMIT}
    named = [n for n in names if n.lower().endswith(suffixes or "")][:ENUM_LIMIT]
    return _described(prop, {"anyOf": [{"enum": named}, legal]} if named else legal)


def _folders(names: list[str]) -> str:
    """The beginning of a new table's name: a folder of the known names, where all have one.

    A small model else writes `sums.csv` where the goal asks for `out/sums.csv`.
    """
    folders = dict.fromkeys(name.rpartition("/")[0] for name in names)
    if not folders or not all(folders) or len(folders) > FOLDER_LIMIT:
        return ""
    return f"({'|'.join(_SPECIAL.sub(_ESCAPED, folder) for folder in folders)})/"


def _split(
    alternative: Schema, name: str, of: str, facts: dict[str, Any], world: World
) -> list[Schema]:
    """One alternative per group of values of `of` that leave `name` the same choice."""
    kind = facts["kind"]
    prop = alternative["properties"][name]
    keys = alternative["properties"].get(of, {}).get("enum")
    if keys is None or len(keys) > ALTERNATIVE_LIMIT:
        return [_replaced(alternative, name, _free(prop, kind))]
    parts: list[Schema] = []
    table = _single(alternative)
    if "beside" in facts:
        kinds = {world.kind(table, key) for key in keys} if table is not None else {"mixed"}
        free = _described(prop, _of_kind(kinds.pop() if len(kinds) == 1 else "mixed"))
        alternative, parts = _apart(alternative, name, free, facts["beside"], facts["when"])
    groups: dict[tuple[Any, ...] | None, list[str]] = {}
    for key in keys:
        choice = _choice(kind, key, table, world)
        groups.setdefault(None if choice is None else tuple(choice), []).append(key)
    for found, members in groups.items():
        choice = None if found is None else list(found)
        part = _replaced(alternative, of, {**alternative["properties"][of], "enum": members})
        if choice is None:
            parts.append(_replaced(part, name, _free(prop, kind)))
        elif kind == "page" and choice == [1]:
            parts.append(_removed(part, name))
        elif choice:
            choice = [one for one in choice if one in prop.get("enum", choice)]
            limited = {"enum": choice} if len(choice) <= ENUM_LIMIT else _bounded(TEXT_LIMIT)
            parts.append(_required(_replaced(part, name, _described(prop, limited)), name))
        elif (left := _dropped(part, name)) is not None:
            parts.append(left)
    return parts


def _free(prop: Schema, kind: str) -> Schema:
    """The argument where what exists does not limit it."""
    if kind in ("comparison", "order"):
        return prop
    return _described(
        prop, {"type": "integer", "minimum": 1} if kind == "page" else _bounded(TEXT_LIMIT)
    )


def _of_kind(kind: str) -> Schema:
    """A value to compare cells of this kind with."""
    pattern = _VALUES.get(kind)
    if pattern is None:
        return _bounded(TEXT_LIMIT)
    return {"type": "string", "pattern": pattern, "maxLength": VALUE_LENGTH}


def _apart(
    whole: Schema, name: str, free_value: Schema, beside: str, when: Sequence[str]
) -> tuple[Schema, list[Schema]]:
    """The part where `beside` is one of `when`, and the one with its other choices, `name` free."""
    prop = whole["properties"][beside]
    others = [value for value in prop["enum"] if value not in when]
    same = [value for value in prop["enum"] if value in when]
    free = _replaced(whole, beside, {**prop, "enum": others})
    free = _replaced(free, name, free_value)
    return _replaced(whole, beside, {**prop, "enum": same}), [free] if others else []


def _choice(kind: str, key: str, table: str | None, world: World) -> list[Any] | None:
    """Values that argument of `kind` can take beside `key`; None leaves it free."""
    if kind == "column":
        return list(world.columns(key))
    if kind == "page":
        return list(range(1, max(1, world.pages(key)) + 1))[:ENUM_LIMIT]
    if kind == "label":
        return list(world.labels(key))
    if kind == "value":
        return world.values(table, key) if table is not None else None
    if kind == "comparison":
        return list(FITTING[world.kind(table, key)]) if table is not None else None
    if kind == "order":
        return list(FITTING_ORDERS[world.kind(table, key)]) if table is not None else None
    raise ValueError(f"unknown kind of argument: {kind}")


def _single(alternative: Schema) -> str | None:
    """The table of this alternative, where exactly one is left (values depend on it)."""
    for prop in alternative["properties"].values():
        facts = prop.get(GROUND_KEY)
        if facts and facts["kind"] == "file" and len(prop.get("enum", ())) == 1:
            return str(prop["enum"][0])
    return None


def _without(alternative: Schema, arguments: Mapping[str, Any]) -> list[Schema]:
    """The alternative less one call, as disjoint alternatives; itself where that cannot be said."""
    properties = alternative.get("properties", {})
    if set(arguments) != set(properties) or not all(
        arguments[name] in prop.get("enum", ()) for name, prop in properties.items()
    ):
        return [alternative]
    parts: list[Schema] = []
    fixed = alternative
    for name, prop in properties.items():
        others = [v for v in prop["enum"] if v != arguments[name]]
        if others:
            parts.append(_replaced(fixed, name, {**prop, "enum": others}))
        fixed = _replaced(fixed, name, {**prop, "enum": [arguments[name]]})
    return parts


def _described(prop: Schema, limited: Schema) -> Schema:
    if "items" in prop:
        return {**prop, "items": _described(prop["items"], limited)}
    kept = {k: v for k, v in prop.items() if k in ("description", GROUND_KEY)}
    return {**kept, **limited}


def _bounded(length: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": length}


def _replaced(alternative: Schema, name: str, prop: Schema) -> Schema:
    return {**alternative, "properties": {**alternative["properties"], name: prop}}


def _required(alternative: Schema, name: str) -> Schema:
    required = list(alternative.get("required", ()))
    return alternative if name in required else {**alternative, "required": [*required, name]}


def _removed(alternative: Schema, name: str) -> Schema:
    rest = {k: v for k, v in alternative["properties"].items() if k != name}
    required = [k for k in alternative.get("required", ()) if k != name]
    return {**alternative, "properties": rest, "required": required}


def _dropped(alternative: Schema, name: str) -> Schema | None:
    """Without the argument where it is optional; None where the tool cannot be called."""
    return None if name in alternative.get("required", ()) else _removed(alternative, name)
