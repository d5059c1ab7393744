"""Reads goal files: every mistake with file, line, column and the way out, all at once.

    goal = load_goal("goals/report.yaml", sets={"minimum": "0.85"})

Nothing in a goal file is executed, fetched or read besides the schema files that its checks name.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from agent.check_specs import Check
from agent.errors import GoalError
from agent.goal import Goal
from agent.goal_errors import Meaning
from agent.goal_loader import GoalLoader, with_schema_files
from agent.source_text import Problems, decode, read_file, read_stream
from agent.tree_values import validated
from agent.yaml_tree import parse_yaml

_CHECK: TypeAdapter[Any] = TypeAdapter(Check)


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
        return GoalLoader(
            problems, read_stream(source, problems), None, sets or {}, workspace
        ).load()
    path = Path(source)
    problems = Problems(str(source))
    text = read_file(path, problems)
    return GoalLoader(problems, text, path.resolve(), sets or {}, workspace).load()


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
            problems.add((1, 1), _about_the_text(detail))
        raise problems.error() from None
    if problems.found:
        raise problems.error()
    return goal


def _about_the_text(detail: ErrorDetails) -> str:
    """What is wrong with a typed goal, in plain words."""
    match detail["type"]:
        case "string_too_long":
            most = detail["ctx"]["max_length"]
            return (
                f"the goal is longer than {most} characters; put the details into a file of the"
                " workspace and name it in the goal"
            )
        case "string_unicode":
            return "the goal holds bytes that are no UTF-8 text; type them as characters"
        case "string_too_short":
            return "the goal is empty; say what is wanted in a sentence"
    return str(detail.get("ctx", {}).get("what", detail["msg"]))


def goal_from_mapping(data: Mapping[str, Any], workspace: Path) -> Goal:
    """The goal that a script gives as a mapping with the keys of a goal file.

    Args:
        data: what a goal file would hold; inputs are filled in as in a file.
        workspace: where it works, unless `data` says otherwise.

    Raises:
        GoalError: the mapping is wrong; places count in it as if it were written out as YAML.
    """
    problems = Problems("goal")
    try:
        text = yaml.dump(dict(data), Dumper=_Plain, allow_unicode=True, sort_keys=False)
    except (yaml.YAMLError, RecursionError) as error:
        raise problems.stop((1, 1), f"the mapping holds what no goal file can: {error}") from None
    own = None if "workspace" in data else workspace
    return GoalLoader(problems, text, None, {}, own).load()


class _Plain(yaml.SafeDumper):
    """Writes a list that is used twice out twice, since goal files have no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Plain.add_multi_representer(Path, lambda dumper, path: dumper.represent_str(str(path)))


def _typed_check(entry: str, number: int, problems: Problems, workspace: Path) -> Check | None:
    own = Problems(f"--check {number}")
    try:
        data = decode(entry.encode("utf-8", "surrogatepass"), own)
        root = parse_yaml(data, own)
        check = validated(_CHECK, root, {}, own, Meaning(Check))
        if check is not None:
            check = with_schema_files(check, root, Path(workspace).resolve(), own)
    except GoalError:
        check = None
    problems.found.extend(own.found)
    return check
