"""A goal: what the user wants, with its checks, budget and permissions. The goal file's page.

Every key of a goal file is a field here, and its docstring is its reference. `agent/goal_file.py`
reads one with positions for every mistake; `Goal(goal="...")` makes one in a script.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from agent.check_specs import Cell, Check, JsonSchema, Strict, Text, refuse
from agent.inputs import Input

_MODEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_MODEL_FILES = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".json")
_TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_RULE = re.compile(r"([A-Za-z_*][A-Za-z0-9_.*-]{0,63})(\([^()\n]{1,500}\))?")
MAX_PATH_CHARS = 4_096


def _model_name(name: str) -> str:
    if not _MODEL_NAME.fullmatch(name) or name.endswith(_MODEL_FILES) or len(name) > 100:
        raise refuse(
            "`model` in a goal file must be a plain name that the catalogue or your settings"
            " know, not a path or an address; pass those with --model"
        )
    return name


def _tool_name(name: str) -> str:
    if name.endswith(".py") or "/" in name or "\\" in name:
        raise refuse("a goal file cannot load code; pass the file with --tools")
    if not _TOOL_NAME.fullmatch(name):
        raise refuse("not a tool's name; `tuneward tools list` prints the names and families")
    return name


def _rule(rule: str) -> str:
    if not _RULE.fullmatch(rule):
        raise refuse('not a rule; write `tool` or `tool(glob)`, such as "write_file(out/**)"')
    return rule


def _absolute(path: Path) -> Path:
    if len(str(path)) > MAX_PATH_CHARS:
        raise refuse(f"the path is longer than {MAX_PATH_CHARS} characters; name another folder")
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, an impossible name
        raise refuse(f"the path cannot be used: {error}; name another folder") from None


def _not_blank(text: str) -> str:
    if not text.strip():
        raise refuse("the goal is empty; say what is wanted in a sentence")
    return text.strip()


AbsolutePath = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
ToolName = Annotated[str, AfterValidator(_tool_name)]
Rule = Annotated[str, AfterValidator(_rule)]
"""`tool` or `tool(glob)`: the tool, or its calls whose path (or first argument) fits the glob."""


class Permissions(Strict):
    """Narrows what the operator allows for this goal; it can never widen it."""

    allow: list[Rule] | None = None
    """If given, calls that change something are limited to these, as far as the operator agrees."""
    deny: list[Rule] = []
    """Calls that this goal must never make, whatever is allowed elsewhere."""


class Budget(Strict):
    """What the run may use up; each part ends it with its own status, and survives a resume."""

    steps: Annotated[int, Field(ge=1, le=10_000)] = 25
    """Tool calls."""
    seconds: Annotated[float, Field(gt=0, le=604_800)] = 1800
    """Time on the clock while the run works; waiting for a person does not count."""
    tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] = 200_000
    """Tokens that the model reads (those from its cache not counted) and writes."""
    tuning_seconds: Annotated[float, Field(ge=0, le=604_800)] = 1200
    """Time for training jobs."""


class Output(Strict):
    """The shape of the final answer."""

    schema_: JsonSchema = Field(alias="schema")
    """The answer is JSON that is valid under this JSON Schema."""


class DemoCall(Strict):
    """One tool call of a demonstration."""

    name: ToolName
    """The tool."""
    arguments: dict[str, Any] = {}
    """Its arguments."""


class Practice(Strict):
    """How `tuneward practice` varies this goal."""

    vary: dict[str, Annotated[list[Cell], Field(min_length=1)]] = {}
    """For inputs of this goal: the values to practise with."""
    hold_out: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """The share of variants kept for measuring, never practised."""


class Goal(Strict):
    """What the user wants: a sentence or more, and how the outcome is checked."""

    version: Literal[1] = 1
    """Version of this file format."""
    name: Annotated[str, Field(pattern=r"^[\w][\w .-]{0,99}$")] = "goal"
    """A short name for lists and reports; the file's own name where left out."""
    goal: Annotated[Text, Field(max_length=20_000), AfterValidator(_not_blank)]
    """What is wanted, in words. `{{ name }}` stands for an input."""
    inputs: dict[Annotated[str, Field(pattern=r"^[^\W\d]\w{0,63}$")], Input] = {}
    """Values that can be set from outside with `--set name=value`."""
    workspace: AbsolutePath = Path()
    """The folder that the run works in, relative to this file; nothing outside is touched."""
    model: Annotated[str, AfterValidator(_model_name)] = "default"
    """A model's name that the catalogue or the user's settings know."""
    tools: list[ToolName] | None = None
    """Tools or families that may be used; left out, all whose effect is read, remember or write."""
    permissions: Permissions = Permissions()
    """Narrows the operator's grants for this goal."""
    budget: Budget = Budget()
    """What the run may use up."""
    memory: Literal["off", "read", "write"] | None = None
    """Long-term memory: not used, only read, or also written; left out, headless runs read."""
    success: list[Check] = []
    """Checks evaluated during the run; it has succeeded when all hold."""
    audit: list[Check] = []
    """Checks evaluated once after the run has ended; the model never learns of them."""
    output: Output | None = None
    """The shape of the final answer."""
    retries: Annotated[int, Field(ge=0, le=100)] = 1
    """How often the run goes on after the model finished while a success check fails."""
    stop: Literal["checks", "finish"] = "checks"
    """End when all success checks hold after a change, or wait for the model to finish."""
    demo: list[DemoCall] = []
    """The calls that reach the goal; only used by `tuneward practice`."""
    practice: Practice | None = None
    """How `tuneward practice` varies this goal."""
    values: SkipJsonSchema[dict[str, Cell]] = {}
    """The inputs as resolved; set by the loader, not a key of the file."""
    source: SkipJsonSchema[AbsolutePath | None] = None
    """The goal file; None for a goal that was typed or came from stdin."""

    @model_validator(mode="before")
    @classmethod
    def _own_workspace(cls, data: object) -> object:
        """A goal made in a script works in the current folder, as it is at that moment."""
        return {"workspace": Path.cwd(), **data} if isinstance(data, dict) else data


HOST_KEYS = ("values", "source")
"""Fields that the loader sets; in a file they are unknown keys."""
