"""A check as one line of YAML, as `--check` takes it and as a person edits it."""

from pathlib import Path

import yaml

from agent.check_specs import Check
from agent.goal_file import goal_from_text


def check_line(check: Check) -> str:
    """`{file: out.txt}`."""
    data = check.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if set(data.get("file", ())) == {"path"}:
        data = {"file": data["file"]["path"]}
    text = yaml.safe_dump(
        data, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000
    )
    return text.strip()


def parse_check(line: str, workspace: Path) -> Check:
    """The check that a line says.

    Raises:
        GoalError: the line is no check; says what is wrong with it.
    """
    return goal_from_text("checks", workspace, [line]).success[0]
