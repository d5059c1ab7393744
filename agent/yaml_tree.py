"""Reads the plain part of YAML into a tree in which every value knows its line and column.

Refused, each with its place: anchors and aliases (bombs), tags, several documents, a key twice,
tabs as indentation, text that is not UTF-8, over 256 KiB, too many or too deeply nested values.
Unquoted words mean what YAML 1.2 says: only `true` and `false` are booleans, so `no`, `off`,
`2026-11-24`, `12:30` and `007` stay the text they look like.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from agent.source_text import Problems, place

MAX_DEPTH = 40
MAX_VALUES = 5_000

Scalar = str | int | float | bool | None


@dataclass(eq=False)
class Node:
    """One value of the file."""

    kind: Literal["scalar", "list", "map"]
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    start: int = 0
    end: int = 0
    """Where the value stands in the text."""
    value: Scalar = None
    text: str = ""
    """A scalar as it was written, quotes and escapes resolved."""
    plain: bool = False
    """A scalar without quotes, so it may be a number or a boolean."""
    broken: bool = False
    """A mistake here is reported already; do not report what follows from it."""
    items: list["Node"] = field(default_factory=list)
    entries: dict[str, tuple["Node", "Node"]] = field(default_factory=dict)
    """Of a mapping: the key's and the value's node by the key's text."""

    def get(self, key: str) -> "Node | None":
        """The value under a key of a mapping."""
        found = self.entries.get(key)
        return found[1] if found else None


def parse_yaml(text: str, problems: Problems) -> Node:
    """The tree of a YAML text; mistakes that leave a tree are added to `problems`.

    Raises:
        GoalError: the text is no YAML, or is empty.
    """
    try:
        root = _Builder(text, problems).build()
    except yaml.MarkedYAMLError as error:
        raise problems.stop(*_syntax(error, text)) from None
    except yaml.reader.ReaderError as error:
        index = error.position
        raise problems.stop(
            place(text, index),
            f"the character U+{ord(text[index]):04X} is not allowed in YAML; remove it",
        ) from None
    except (ValueError, OverflowError):  # an escape such as "\UFFFFFFFF"
        raise problems.stop((1, 1), "an escape in double quotes names no character") from None
    if root is None:
        raise problems.stop((1, 1), "the file is empty; it needs at least `goal: ...`")
    return root


class _Builder:
    """Builds the tree from the parser's events; no recursion, so depth cannot break it."""

    def __init__(self, text: str, problems: Problems) -> None:
        self._text = text
        self._problems = problems
        self._open: list[Node] = []
        self._keys: list[Node | None] = []
        """For each open node: the key that waits for its value."""
        self._root: Node | None = None
        self._count = 0

    def build(self) -> Node | None:
        documents = 0
        for event in self._events():
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        self._problems.add(
                            _at(event), "a second document starts here; one file holds one goal"
                        )
                        break
                    if event.version or event.tags:
                        self._problems.add(_at(event), "YAML directives are not allowed; remove it")
                case yaml.AliasEvent():
                    alias = self._node("scalar", event)
                    self._problems.add(
                        alias, f"`*{event.anchor}`: aliases are not allowed; write the value out"
                    )
                    self._put(alias)
                case yaml.ScalarEvent():
                    self._put(self._scalar(event))
                case yaml.SequenceStartEvent():
                    self._start(self._node("list", event))
                case yaml.MappingStartEvent():
                    self._start(self._node("map", event))
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._open.pop().end = self._end_of(event)
                    self._keys.pop()
        return self._root

    @staticmethod
    def _end_of(event: Any) -> int:
        return int(event.end_mark.index)

    def _events(self) -> Iterator[Any]:
        loader: Any = yaml.SafeLoader(self._text)
        try:
            while loader.check_event():
                yield loader.get_event()
        finally:
            loader.dispose()

    def _node(self, kind: Literal["scalar", "list", "map"], event: Any) -> Node:
        self._count += 1
        line, column = _at(event)
        if self._count > MAX_VALUES:
            raise self._problems.stop(
                (line, column), f"over {MAX_VALUES} values; put data into files in the workspace"
            )
        node = Node(kind, line, column, event.start_mark.index, event.end_mark.index)
        if not isinstance(event, yaml.AliasEvent):
            if event.anchor:
                self._problems.add(
                    node, f"`&{event.anchor}`: anchors are not allowed; write the value out"
                )
            tag = getattr(event, "tag", None)
            if tag:
                self._problems.add(node, f"the tag `{tag}` is not allowed; remove it")
        return node

    def _scalar(self, event: Any) -> Node:
        node = self._node("scalar", event)
        node.text = event.value
        node.plain = event.style is None
        node.value = _resolved(event.value) if node.plain else event.value
        bad = next((char for char in event.value if _is_bad(char)), None)
        if bad is not None:
            self._problems.add(
                node, f"the text holds the control character U+{ord(bad):04X}; remove it"
            )
        return node

    def _start(self, node: Node) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise self._problems.stop(
                (node.line, node.column), f"nested over {MAX_DEPTH} deep; make it flatter"
            )
        self._put(node)
        self._open.append(node)
        self._keys.append(None)

    def _put(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent, key = self._open[-1], self._keys[-1]
        if parent.kind == "list":
            parent.items.append(node)
        elif key is None:
            self._keys[-1] = node
        else:
            self._keys[-1] = None
            self._enter(parent, key, node)

    def _enter(self, parent: Node, key: Node, value: Node) -> None:
        if key.kind != "scalar":
            hint = _template_hint(self._text, key)
            self._problems.add(parent if hint else key, hint or "a key must be a word")
            return
        if key.broken:
            value.broken = True
        earlier = parent.entries.get(key.text)
        if earlier:
            self._problems.add(
                key, f"the key `{key.text}` is there twice; the first is on line {earlier[0].line}"
            )
            return
        parent.entries[key.text] = key, value


_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def _resolved(text: str) -> Scalar:
    """What an unquoted word means: YAML 1.2's core types, without octal and hexadecimal."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if len(text) <= 60 and _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def _is_bad(char: str) -> bool:
    """Controls and halves of characters, which no text that we store or show may hold."""
    return (
        (char < " " and char not in "\n\t\r")
        or "\x7f" <= char < "\xa0"
        or ("\ud800" <= char <= "\udfff")
    )


def _at(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _template_hint(text: str, key: Node) -> str:
    """`key: {{ name }}` without quotes is YAML for a mapping with a mapping as its key."""
    if text[max(0, key.start - 1) : key.start + 1] != "{{":
        return ""
    name = text[key.start + 1 : key.end].partition("}")[0].strip()[:40]
    return f'quote it: "{{{{ {name} }}}}"'


_SYNTAX = (
    (r"character '\\t' that cannot start", "a tab; indent with spaces"),
    (
        r"character '[`@]' that cannot start",
        "a value cannot start with this character; put the value in quotes",
    ),
    (
        r"character '%' that cannot start",
        "a line cannot start with `%`; put the value in quotes",
    ),
    (
        "mapping values are not allowed here",
        "`: ` inside a value, or wrong indentation; put a text that holds `: ` in quotes",
    ),
    (
        "could not find expected ':'",
        "this is no `key: value` line; check the indentation or put the text in quotes",
    ),
    ("unexpected end of stream", "the quotes opened here are never closed"),
    (
        "expected ',' or",
        "a comma or the closing bracket is missing, or a text in brackets needs quotes",
    ),
    ("expected <block end>", "the indentation does not fit the lines above; align the keys"),
    (
        "sequence entries are not allowed",
        "a list cannot start here; put `- ` on a new line below its key",
    ),
    (
        "unknown escape character",
        "in double quotes a backslash starts an escape; write two, or use single quotes",
    ),
    (
        "escape sequence of",
        "the escape in double quotes is not complete; write two backslashes, or use single quotes",
    ),
)


def _syntax(error: yaml.MarkedYAMLError, text: str) -> tuple[tuple[int, int], str]:
    """A parser's complaint in words that help its author, and its place."""
    problem = error.problem or "not YAML"
    mark = error.problem_mark or error.context_mark
    if "unexpected end of stream" in problem and error.context_mark:
        mark = error.context_mark  # where the quotes were opened says more than the file's end
    where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    line = text.splitlines()[where[0] - 1] if where[0] <= len(text.splitlines()) else ""
    if "{{" in line and not re.search(r"['\"].*\{\{", line):
        return where, "a value that starts with `{{` must be in quotes"
    if re.match(r" *\t", line) and where[1] <= len(line) - len(line.lstrip()) + 1:
        return where, "a tab; indent with spaces"
    for pattern, words in _SYNTAX:
        if re.search(pattern, problem):
            return where, words
    return where, f"not YAML: {problem}"
