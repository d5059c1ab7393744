"""Says in plain words what pydantic found wrong in a goal file, at the place where it stands."""

import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from agent.check_specs import CHECKS
from agent.goal import HOST_KEYS
from agent.source_text import Problems
from agent.yaml_tree import Node, Scalar

_TAG = "check:"
_WANTED = {
    "string_type": "must be text",
    "path_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_PATTERNS = {
    "name": "must start with a letter or digit; letters, digits, `_`, `.`, `-` and blanks follow,"
    " 100 at most",
    "sha256": "must be 64 hexadecimal digits",
}


class Meaning:
    """Walks the tree and the model's types side by side along an error's location."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation

    def locate(self, root: Node, loc: Iterable[int | str]) -> tuple[Node, bool]:
        """The node that an error is about, or the nearest above it (then False)."""
        node, exact = root, True
        for part in loc:
            if isinstance(part, int):
                if node.kind == "scalar" and part == 0:
                    continue  # one text that stands for a list of one
                if node.kind != "list" or part >= len(node.items):
                    return node, False
                node = node.items[part]
            elif node.kind == "map" and part in node.entries:
                node = node.entries[part][1]
            elif not part.startswith(_TAG) and node.kind == "map":
                exact = False
        return node, exact

    def keys(self, loc: Iterable[int | str]) -> list[str]:
        """The keys that the mapping at a location may have."""
        places = [self._annotation]
        for part in loc:
            places = [inner for place in places for inner in _step(place, part)]
        models = [model for place in places for model in _members(place) if _is_model(model)]
        return [
            field.alias or name
            for model in models
            for name, field in model.model_fields.items()
            if name not in HOST_KEYS
        ]


def misspelled(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...`, or what there is, or nothing where nothing is known."""
    known = list(known)
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean `{close[0]}`?"
    if not known:
        return ""
    return f"; there is {', '.join(known[:20])}" + (", ..." if len(known) > 20 else "")


def explain_error(
    detail: ErrorDetails,
    root: Node,
    values: Mapping[Node, Scalar],
    problems: Problems,
    meaning: Meaning,
) -> None:
    """Add the mistake that pydantic describes to `problems`, once for each place."""
    loc = detail["loc"]
    kind = detail["type"]
    if kind in ("missing", "extra_forbidden"):
        parent, _ = meaning.locate(root, loc[:-1])
        if not parent.broken:
            _key_error(kind, str(loc[-1]), parent, loc, problems, meaning)
        return
    if loc and loc[-1] == "[key]":
        parent, _ = meaning.locate(root, loc[:-2])
        key = parent.entries[str(loc[-2])][0]
        problems.add(
            key,
            f"`{_short(key.text)}` is no name for an input; use letters, digits and `_`",
        )
        return
    node, _ = meaning.locate(root, loc)
    if node.broken:
        return
    if kind == "check_kind":
        _check_kind(node, problems)
        return
    problems.add(node, _message(detail, node, values.get(node, node.value)))


def _message(detail: ErrorDetails, node: Node, value: Scalar) -> str:
    """What is wrong with one value."""
    kind, context = detail["type"], detail.get("ctx", {})
    words = [part for part in detail["loc"] if isinstance(part, str) and part[:6] != _TAG]
    name = _name_of(words)
    if kind == "goal":
        return str(context["what"])
    if kind in _WANTED and len(words) >= 2 and words[-1] in ("str", "int", "float", "bool"):
        return f"{_name_of(words[:-1])} must be a single value, not {_found(node, value)}"
    if kind in _WANTED:
        return f"{name} {_WANTED[kind]}, not {_found(node, value)}"
    if kind in _LIMITS:
        bound, text = _LIMITS[kind]
        return f"{name} must be {text} {context[bound]:g}, not {_found(node, value)}"
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "`")
        return f"{name} must be {choices}, not {_found(node, value)}" + _close(value, choices)
    if kind in ("string_too_short", "too_short"):
        return f"{name} is empty; give at least one, or remove the key"
    if kind == "string_too_long":
        return f"{name} is longer than {context['max_length']} characters; shorten it"
    if kind == "string_pattern_mismatch":
        wanted = _PATTERNS.get(words[-1] if words else "", f"must match {context['pattern']}")
        return f"{name} {wanted}"
    return f"{name}: {detail['msg']}"


def _name_of(words: list[str]) -> str:
    return f"`{words[-1]}`" if words else "the value"


def _close(value: Scalar, choices: str) -> str:
    options = [word for word in choices.split("`")[1::2]]
    close = difflib.get_close_matches(str(value).lower(), options, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def _key_error(
    kind: str,
    key: str,
    parent: Node,
    loc: tuple[int | str, ...],
    problems: Problems,
    meaning: Meaning,
) -> None:
    if kind == "missing":
        hint = {
            "goal": "say what is wanted in a sentence",
            "path": "name the file, relative to the workspace",
        }.get(key, "add it")
        problems.add((parent.line, parent.column), f"`{key}` is missing; {hint}")
        return
    at = parent.entries[key][0] if key in parent.entries else parent
    owner = str(loc[-2]) if len(loc) > 1 else ""
    if owner.startswith(_TAG):
        hint = (
            f"; indent it below `{owner[len(_TAG) :]}:`, or start a new entry with `- `"
            " if it is another check"
        )
    else:
        hint = misspelled(key, meaning.keys(loc[:-1]))
    problems.add((at.line, at.column), f"unknown key `{_short(key)}`{hint}")


def _check_kind(node: Node, problems: Problems) -> None:
    if node.kind == "map" and node.entries:
        key = next(iter(node.entries))
        problems.add(
            node.entries[key][0],
            f"`{_short(key)}` is no kind of check{misspelled(key, CHECKS)}",
        )
        node.broken = True
        return
    problems.add(
        node,
        f"a check is a mapping such as `{{file: out.txt}}`, not {_found(node, node.value)}",
    )


def _found(node: Node, value: Scalar) -> str:
    if node.kind != "scalar":
        return "a list" if node.kind == "list" else "a mapping"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text `{_short(value)}`" if value else "an empty text"
    return f"`{_short(node.text)}`"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _members(annotation: Any) -> list[Any]:
    """The alternatives of a type, without `Annotated` and `Optional` around them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]


def _step(annotation: Any, part: int | str) -> list[Any]:
    """The types below a type, one part of a location further."""
    if isinstance(part, str) and part.startswith(_TAG):
        return [CHECKS[part[len(_TAG) :]]]
    found: list[Any] = []
    for member in _members(annotation):
        origin, arguments = get_origin(member), get_args(member)
        if isinstance(part, int) and origin is list:
            found.append(arguments[0])
        elif isinstance(part, str) and origin is dict:
            found.append(arguments[1])
        elif isinstance(part, str) and _is_model(member):
            found.extend(
                field.annotation
                for name, field in member.model_fields.items()
                if part in (name, field.alias)
            )
    return found
