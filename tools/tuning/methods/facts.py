"""Facts of a fitted method beside its weights: plain JSON, read back with care."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.tuning.errors import SkillError


def write_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Plain JSON beside the weights."""
    text = json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", "utf-8")


def read_facts(path: Path) -> dict[str, Any]:
    """Raises SkillError where the file is missing or broken."""
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SkillError(f"{path} is missing or broken: {error}") from error
    if not isinstance(facts, dict):
        raise SkillError(f"{path} is broken: it holds no facts")
    return facts
