"""Takes a goal file from text to Goal: folder, inputs, values, checks, and every mistake."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent.check_specs import Cell, Check
from agent.goal import HOST_KEYS, Goal
from agent.goal_errors import Meaning, misspelled
from agent.goal_folder import choose_folder
from agent.inputs import Input, InputError, filled, fit, holes, is_name, parse
from agent.json_values import SchemaError, read_schema
from agent.source_text import Problems, place
from agent.tree_values import as_wanted, scalars, validated
from agent.yaml_tree import Node, parse_yaml

_OPEN = re.compile(r"\{\{")
MAX_WRONG = 20
"""Wrong `{{ ... }}` of one text that are named."""
_UNTEMPLATED = ("version", "inputs", "practice")
"""Keys whose texts are taken as they are."""

_GOAL: TypeAdapter[Goal] = TypeAdapter(Goal)
_INPUT: TypeAdapter[Input] = TypeAdapter(Input)


class GoalLoader:
    """Takes one goal file from text to Goal, collecting mistakes on the way."""

    def __init__(
        self,
        problems: Problems,
        text: str,
        path: Path | None,
        sets: Mapping[str, str],
        workspace: Path | None,
    ) -> None:
        self._problems = problems
        self._text = text
        self._path = path
        self._folder = path.parent if path else Path.cwd()
        self._sets = sets
        self._workspace = workspace
        self._values: dict[str, Cell] = {}
        self._used: set[str] = set()

    def load(self) -> Goal:
        root = parse_yaml(self._text, self._problems)
        if root.kind != "map":
            raise self._problems.stop(
                (root.line, root.column), "a goal file is a mapping; start with `goal: ...`"
            )
        for key in HOST_KEYS:
            if key in root.entries:
                node = root.entries.pop(key)[0]
                self._problems.add(node, f"unknown key `{key}`; remove it")
        folder = choose_folder(root, self._folder, self._workspace, self._problems)
        specs = self._inputs(root, folder)
        rendered = self._rendered(root, specs)
        goal: Goal | None = validated(_GOAL, root, rendered, self._problems, Meaning(Goal))
        if goal is not None:
            goal = goal.model_copy(
                update={
                    "workspace": folder or goal.workspace,
                    "values": self._values,
                    "source": self._path,
                    "name": goal.name if root.get("name") else self._default_name(),
                    "success": self._checks(goal.success, root.get("success")),
                    "audit": self._checks(goal.audit, root.get("audit")),
                    "output": self._output(goal, root),
                }
            )
        self._check_practice(root, specs, folder)
        if self._problems.found or goal is None:
            raise self._problems.error()
        return goal

    def _default_name(self) -> str:
        """The file's own name, made a legal one."""
        if self._path is None:
            return "goal"
        stem = "".join(c if c.isalnum() or c in "_ .-" else "-" for c in self._path.stem)
        return stem.lstrip(" .-")[:100] or "goal"

    def _inputs(self, root: Node, folder: Path | None) -> dict[str, Input]:
        """The inputs that are right in themselves; their values go to `self._values`."""
        specs: dict[str, Input] = {}
        node = root.get("inputs")
        entries = node.entries if node is not None and node.kind == "map" else {}
        for name in self._sets:
            if name not in entries:
                where = root.entries["inputs"][0] if "inputs" in root.entries else root
                self._problems.add(
                    (where.line, where.column),
                    f"--set {name}: the goal has no such input{misspelled(name, entries)}",
                )
        for name, (key, value) in entries.items():
            spec = validated(_INPUT, value, {}, self._problems, Meaning(Input))
            if spec is None or not is_name(name):
                continue
            specs[name] = spec
            self._value_of(name, key, value, spec, folder)
        return specs

    def _value_of(self, name: str, key: Node, node: Node, spec: Input, folder: Path | None) -> None:
        where = node.get("default") or key
        try:
            if name in self._sets:
                where = key
                self._values[name] = parse(self._sets[name], spec, folder)
            elif node.get("default") is None:
                raise InputError(f"has no value; pass --set {name}=VALUE or add a default")
            else:
                self._values[name] = fit(as_wanted(where, spec), spec, folder)
        except InputError as error:
            self._problems.add((where.line, where.column), f"input `{name}`: {error}")

    def _rendered(self, root: Node, specs: Mapping[str, Input]) -> dict[Node, Cell]:
        """Every text that holds inputs, with their values put in."""
        rendered: dict[Node, Cell] = {}
        node = root.get("inputs")
        entries = node.entries if node is not None and node.kind == "map" else {}
        declared = {name for name in entries if is_name(name)}
        for key, (_, value) in root.entries.items():
            if key not in _UNTEMPLATED:
                for scalar in scalars(value):
                    self._fill(scalar, declared, rendered)
        for name in sorted(declared - self._used):
            at = entries[name][0]
            self._problems.add(
                (at.line, at.column),
                f"input `{name}` is never used; write `{{{{ {name} }}}}` where it belongs,"
                " or remove it",
            )
        return rendered

    def _fill(self, scalar: Node, declared: set[str], rendered: dict[Node, Cell]) -> None:
        if not isinstance(scalar.value, str) or "{{" not in scalar.value:
            return
        complete = True
        wrong: dict[str, int] = {}
        for number, hole in enumerate(holes(scalar.value)):
            if len(wrong) >= MAX_WRONG:
                break
            message = hole.error
            if hole.name and not hole.error and hole.name not in declared:
                message = (
                    f"`{{{{ {hole.name} }}}}` is not an input of this goal"
                    f"{misspelled(hole.name, declared)}"
                )
            if message:
                wrong.setdefault(message, number)
            elif hole.name:
                self._used.add(hole.name)
                complete = complete and hole.name in self._values
        for message, number in wrong.items():
            self._problems.add(self._where(scalar, number), message)
        if complete and not wrong:
            rendered[scalar] = filled(scalar.value, self._values)
        else:
            scalar.broken = True

    def _where(self, scalar: Node, number: int) -> tuple[int, int]:
        """Line and column of the n-th `{{` of a scalar, as it stands in the file."""
        starts = [match.start() for match in _OPEN.finditer(self._text, scalar.start, scalar.end)]
        if number >= len(starts):  # written with escapes
            return scalar.line, scalar.column
        return place(self._text, starts[number])

    def _checks(self, checks: Sequence[Check], node: Node | None) -> list[Check]:
        items = node.items if node is not None else []
        return [
            with_schema_files(check, at, self._folder, self._problems)
            for check, at in zip(checks, items, strict=False)
        ]

    def _output(self, goal: Goal, root: Node) -> Any:
        node = root.get("output")
        if goal.output is None or node is None:
            return goal.output
        schema = _schema_file(goal.output.schema_, node, self._folder, self._problems)
        return goal.output.model_copy(update={"schema_": schema})

    def _check_practice(self, root: Node, specs: Mapping[str, Input], folder: Path | None) -> None:
        """What practice varies are inputs of this goal, with values that fit them."""
        practice = root.get("practice")
        vary = practice.get("vary") if practice is not None else None
        if vary is None or vary.kind != "map":
            return
        inputs = root.get("inputs")
        declared = inputs.entries if inputs is not None else {}
        for name, (key, values) in vary.entries.items():
            if name not in declared:
                self._problems.add(
                    (key.line, key.column),
                    f"`vary` names `{name}`, which is not an input{misspelled(name, declared)}",
                )
            elif name in specs:
                for value in values.items:
                    try:
                        spec = specs[name]
                        fit(as_wanted(value, spec), spec, folder)
                    except InputError as error:
                        self._problems.add(value, f"input `{name}`: {error}")


def with_schema_files(check: Check, node: Node, folder: Path, problems: Problems) -> Check:
    """The check with the schema that it names read in: a later change of the file is too late."""
    for key in ("json_", "answer"):
        spec = getattr(check, key, None)
        if spec is not None and isinstance(spec.schema_, str):
            inner = node.get(key.rstrip("_")) or node
            schema = _schema_file(spec.schema_, inner, folder, problems)
            return check.model_copy(update={key: spec.model_copy(update={"schema_": schema})})
    return check


def _schema_file(schema: Any, node: Node, folder: Path, problems: Problems) -> Any:
    """The content of a schema file; a schema that was written out comes back as it is."""
    if not isinstance(schema, str):
        return schema
    at = node.get("schema") or node
    try:
        return read_schema(schema, folder)
    except SchemaError as error:
        problems.add(at, str(error))
        return schema
