"""Reads goal files: every mistake with file, line, column and the way out, all at once.

    goal = load_goal("goals/report.yaml", sets={"minimum": "0.85"})

Nothing in a goal file is executed, fetched or read besides the schema files that its checks name.
"""

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from agent.check_specs import Cell, Check
from agent.errors import GoalError
from agent.goal import HOST_KEYS, Goal
from agent.goal_errors import Meaning, explain_error, misspelled
from agent.inputs import Input, InputError, filled, fit, holes, is_name, parse, spoken
from agent.json_values import SchemaError, read_schema
from agent.yaml_tree import MAX_BYTES, Node, Problems, decode, parse_yaml, place

_UNTEMPLATED = ("version", "inputs", "practice")
"""Keys whose texts are taken as they are."""
_SYSTEM_FOLDERS = tuple(
    f"/{name}" for name in ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin")
) + ("/sys", "/usr", "/System")
"""A goal file cannot choose these or what is below them."""
_SHARED_FOLDERS = tuple(
    f"/{name}" for name in ("", "home", "root", "tmp", "var", "opt", "srv", "mnt", "media")
) + ("/Users", "/Library", "/private")
"""Nor these, though folders below them may be somebody's own."""


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
        return _Loader(problems, _stream(source, problems), None, sets or {}, workspace).load()
    path = Path(source)
    problems = Problems(str(source))
    text = _stream_file(path, problems)
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
        check = _validated(_CHECK, root, {}, own, Meaning(Check))
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
        folder = self._resolved_workspace(root)
        specs = self._inputs(root, folder)
        rendered = self._rendered(root, specs)
        goal: Goal | None = _validated(_GOAL, root, rendered, self._problems, Meaning(Goal))
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

    def _resolved_workspace(self, root: Node) -> Path | None:
        """The folder to work in; None where it is wrong, which is then reported."""
        node = root.get("workspace")
        if self._workspace is not None:
            folder = Path(self._workspace).resolve()
            if not folder.is_dir():
                self._problems.add((1, 1), f"the workspace {folder} is not a folder; create it")
                return None
            return folder
        if node is None:
            return self._folder.resolve()
        if node.broken or node.kind != "scalar" or not node.text.strip():
            return None  # the model says what is wrong
        if "{{" in node.text:
            self._problems.add(node, "the workspace cannot hold an input; write the folder out")
            return None
        folder = (self._folder / node.text).resolve()
        if _too_wide(folder, self._folder.resolve()):
            self._problems.add(
                node,
                f"{folder} is too much to hand over; name one folder of yours, or pass --workspace",
            )
            return None
        if not folder.is_dir():
            self._problems.add(node, f"the workspace {folder} is not a folder; create it first")
            return None
        return folder

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
            quiet = Problems("")
            spec = _validated(_INPUT, value, {}, quiet, Meaning(Input))
            if spec is None or not is_name(name):
                continue  # the goal's own validation reports it
            specs[name] = spec
            self._value_of(name, key, value, spec, folder)
        return specs

    def _value_of(
        self, name: str, key: Node, node: Node, spec: Input, folder: Path | None
    ) -> None:
        where = node.get("default") or key
        try:
            if name in self._sets:
                where = key
                self._values[name] = parse(self._sets[name], spec, folder)
            elif node.get("default") is None:
                raise InputError(f"has no value; pass --set {name}=VALUE or add a default")
            else:
                self._values[name] = fit(_as_wanted(where, spec), spec, folder)
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
                for scalar in _scalars(value):
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
        for number, hole in enumerate(holes(scalar.value)):
            message = hole.error
            if hole.name and not hole.error and hole.name not in declared:
                message = (
                    f"`{{{{ {hole.name} }}}}` is not an input of this goal"
                    f"{misspelled(hole.name, declared)}"
                )
            if message:
                self._problems.add(self._where(scalar, number), message)
                complete = False
            elif hole.name:
                self._used.add(hole.name)
                complete = complete and hole.name in self._values
        if complete:
            rendered[scalar] = filled(scalar.value, self._values)
        else:
            scalar.broken = True

    def _where(self, scalar: Node, number: int) -> tuple[int, int]:
        """Line and column of the n-th `{{` of a scalar, as it stands in the file."""
        index = scalar.start - 1
        for _ in range(number + 1):
            index = self._text.find("{{", index + 1)
            index = index if index >= 0 else scalar.start
        return place(self._text, index) if index < scalar.end else (scalar.line, scalar.column)

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

    def _check_practice(
        self, root: Node, specs: Mapping[str, Input], folder: Path | None
    ) -> None:
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
                        fit(_as_wanted(value, spec), spec, folder)
                    except InputError as error:
                        self._problems.add(value, f"input `{name}`: {error}")


_GOAL: TypeAdapter[Goal] = TypeAdapter(Goal)
_INPUT: TypeAdapter[Input] = TypeAdapter(Input)
_CHECK: TypeAdapter[Any] = TypeAdapter(Check)


def _validated(
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


def _scalars(node: Node) -> Iterator[Node]:
    if node.kind == "scalar":
        yield node
    for item in node.items:
        yield from _scalars(item)
    for _, value in node.entries.values():
        yield from _scalars(value)


def _as_wanted(node: Node, spec: Input) -> Cell:
    """An unquoted `2024` is a text where the input is one."""
    is_text = spec.type not in ("number", "integer", "boolean", "choice")
    return node.text if is_text and node.value is not None else node.value


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


def _too_wide(folder: Path, own: Path) -> bool:
    """Whether a file would hand over more than one folder of the person who runs it."""
    if folder.is_relative_to(own):
        return False
    home = Path.home().resolve()
    if home.is_relative_to(folder) or str(folder) in _SHARED_FOLDERS:
        return True
    if folder.is_relative_to(home) and str(home) != "/":
        return folder.relative_to(home).parts[0].startswith(".")
    return any(folder.is_relative_to(system) for system in _SYSTEM_FOLDERS)


def _stream_file(path: Path, problems: Problems) -> str:
    try:
        # A pipe nobody writes to would wait for ever, so never wait on opening.
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise problems.stop((1, 1), "not a regular file; name a goal file")
            return _stream(file, problems)
    except IsADirectoryError:
        raise problems.stop((1, 1), "this is a folder; name a goal file in it") from None
    except FileNotFoundError:
        raise problems.stop((1, 1), "there is no such file; check the name") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise problems.stop((1, 1), f"cannot be read: {reason}") from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _stream(stream: IO[bytes] | IO[str], problems: Problems) -> str:
    data = stream.read(MAX_BYTES + 1)
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    return decode(data, problems)
