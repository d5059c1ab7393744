"""From the tree of a YAML text to the values that a pydantic model wants."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from agent.check_specs import Cell
from agent.goal_errors import Meaning, explain_error
from agent.inputs import Input, spoken
from agent.source_text import Problems
from agent.yaml_tree import Node


def validated(
    adapter: TypeAdapter[Any],
    root: Node,
    rendered: Mapping[Node, Cell],
    problems: Problems,
    meaning: Meaning,
) -> Any | None:
    """The tree as the model wants it; where it wants text, an unquoted word is that text."""
    values: dict[Node, Cell] = dict(rendered)
    while True:
        try:
            return adapter.validate_python(_plain(root, values))
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        texts = dict(_wanted_texts(details, root, values, meaning))
        if not texts:
            break
        values.update(texts)
    for detail in details:
        explain_error(detail, root, values, problems, meaning)
    return None


def _wanted_texts(
    details: Sequence[ErrorDetails], root: Node, values: Mapping[Node, Cell], meaning: Meaning
) -> Iterator[tuple[Node, str]]:
    """Numbers and booleans that stand where the model wants text, as the text they look like."""
    for detail in details:
        node, exact = meaning.locate(root, detail["loc"])
        value = values.get(node, node.value)
        if (
            detail["type"] == "string_type"
            and exact
            and node.kind == "scalar"
            and isinstance(value, bool | int | float)
        ):
            yield node, spoken(value) if node in values else node.text


def _plain(node: Node, values: Mapping[Node, Cell]) -> Any:
    """The tree as plain values."""
    if node.kind == "map":
        return {key: _plain(value, values) for key, (_, value) in node.entries.items()}
    if node.kind == "list":
        return [_plain(item, values) for item in node.items]
    return values.get(node, node.value)


def scalars(node: Node) -> Iterator[Node]:
    if node.kind == "scalar":
        yield node
    for item in node.items:
        yield from scalars(item)
    for _, value in node.entries.values():
        yield from scalars(value)


def as_wanted(node: Node, spec: Input) -> Cell:
    """An unquoted `2024` is a text where the input is one."""
    is_text = spec.type not in ("number", "integer", "boolean", "choice")
    return node.text if is_text and node.value is not None else node.value
