"""The JSON Schema of goal files, for editors: made from the model, never written by hand.

python -m agent.goal_schema > docs/goal.schema.json
"""

import json
from typing import Any

from agent.goal import Goal

_HOLE = {"type": "string", "pattern": r"^\s*\{\{.*\}\}\s*$", "description": "An input's value."}
_TYPED = ("integer", "number", "boolean")


def goal_schema() -> dict[str, Any]:
    """The schema of a file: as the model's, but a number or boolean may also be `"{{ name }}"`."""
    schema = Goal.model_json_schema(by_alias=True, mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Tuneward goal file"
    version = schema["properties"].pop("version")  # fixed before any input is known
    schema = {key: _with_holes(value) for key, value in schema.items()}
    schema["properties"] = {"version": version, **schema["properties"]}
    schema["properties"]["workspace"].update(type="string", default=".")
    schema["properties"]["workspace"].pop("format", None)
    return schema


def schema_text() -> str:
    """The schema as the file in docs/ holds it."""
    return json.dumps(goal_schema(), indent=2, ensure_ascii=False) + "\n"


def _with_holes(part: Any) -> Any:
    if isinstance(part, list):
        return [_with_holes(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") in _TYPED:
        about = {key: part[key] for key in ("title", "description", "default") if key in part}
        rule = {key: value for key, value in part.items() if key not in about}
        return {**about, "anyOf": [rule, _HOLE]}
    return {key: _with_holes(value) for key, value in part.items()}


if __name__ == "__main__":
    print(schema_text(), end="")
