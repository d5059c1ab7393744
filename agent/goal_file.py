"""Reads goal files: every mistake with file, line, column and the way out, all at once.

    goal = load_goal("goals/report.yaml", sets={"minimum": "0.85"})

Nothing in a goal file is executed, fetched or read besides the schema files that its checks name.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from agent.check_specs import Cell, Check
from agent.errors import GoalError
from agent.goal import HOST_KEYS, Goal
from agent.goal_errors import Meaning, misspelled
from agent.goal_folder import choose_folder
from agent.inputs import Input, InputError, filled, fit, holes, is_name, parse
from agent.json_values import SchemaError, read_schema
from agent.source_text import Problems, decode, place, read_file, read_stream
from agent.tree_values import as_wanted, scalars, validated
from agent.yaml_tree import Node, parse_yaml

_OPEN = re.compile(r"\{\{")
MAX_WRONG = 20
"""Wrong `{{ ... }}` of one text that are named."""
_UNTEMPLATED = ("version", "inputs", "practice")
"""Keys whose texts are taken as they are."""


def load_goal(
    source: str | Path | IO[bytes] | IO[str],
    *,
    sets: Mapping[str, str] | None = None,
    workspace: Path | None = None,
) -> Goal:
    """The goal in a YAML file, or in a stream; `-` is standard input.

    Args:
        source: the file.
        sets: values for the goal's inputs, as text: what `--set name=value` gave.
        workspace: takes the place of the file's own `workspace`.

    Raises:
        GoalError: the file cannot be read or is wrong; lists every mistake.
    """
    if source == "-":
        source = sys.stdin.buffer
    if not isinstance(source, str | Path):
        name = getattr(source, "name", None)
        label = "-" if source is sys.stdin.buffer or not isinstance(name, str) else name
        problems = Problems(label)
        return _Loader(problems, read_stream(source, problems), None, sets or {}, workspace).load()
    path = Path(source)
    problems = Problems(str(source))
    text = read_file(path, problems)
    return _Loader(problems, text, path.resolve(), sets or {}, workspace).load()


def goal_from_text(text: str, workspace: Path, checks: Sequence[str] = ()) -> Goal:
    """The goal that was typed, with checks as on the command line: the YAML of one entry each.

    Raises:
        GoalError: the goal is empty, the workspace is no folder, or a check is wrong.
    """
    problems = Problems("goal")
    entries = [
        check
        for number, entry in enumerate(checks, start=1)
        if (check := _typed_check(entry, number, problems, workspace)) is not None
    ]
    folder = Path(workspace).resolve()
    if not folder.is_dir():
        problems.add((1, 1), f"the workspace {folder} is not a folder; create it first")
    try:
        goal = Goal(goal=text, workspace=folder, success=entries)
    except ValidationError as error:
        for detail in error.errors():
            problems.add((1, 1), f"the goal {detail['msg']}")
        raise problems.error() from None
    if problems.found:
        raise problems.error()
    return goal


def _typed_check(entry: str, number: int, problems: Problems, workspace: Path) -> Check | None:
    own = Problems(f"--check {number}")
    try:
        data = decode(entry.encode("utf-8", "surrogatepass"), own)
        root = parse_yaml(data, own)
        check = validated(_CHECK, root, {}, own, Meaning(Check))
        if check is not None:
            check = _with_schema_files(check, root, Path(workspace).resolve(), own)
    except GoalError:
        check = None
    problems.found.extend(own.found)
    return check


class _Loader:
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
            _with_schema_files(check, at, self._folder, self._problems)
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


_GOAL: TypeAdapter[Goal] = TypeAdapter(Goal)
_INPUT: TypeAdapter[Input] = TypeAdapter(Input)
_CHECK: TypeAdapter[Any] = TypeAdapter(Check)


def _with_schema_files(check: Check, node: Node, folder: Path, problems: Problems) -> Check:
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
