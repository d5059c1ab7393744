"""Every built-in tool passes LangChain's own suite and this house's rules for tools.

Families are found, not listed: each module of `tools/` with a `get_tools(context)`.
"""

import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.unit_tests import ToolsUnitTests

import tools
from agent.memory_door import shown_notes
from tools.base import EFFECTS, GROUND_KEY, facts_of
from tools.catalogue import FAMILIES, built_in
from tools.context import ToolContext
from tools.toolbox import arguments_schema
from tools.tuning.run_tuning import RunTuning
from tools.tuning.skill_shelf import SkillShelf
from tools.workspace import Workspace

MAX_ARGUMENTS = 7
MAX_DESCRIPTION = 300


class _Reader:
    def read(self, question: str, text: str, *, max_words: int) -> str:
        return "An answer."


def families() -> dict[str, Callable[[], list[BaseTool]]]:
    """Every module of `tools/` that gives tools, by its name, ready to be asked."""
    names = [module.name for module in pkgutil.iter_modules(tools.__path__) if not module.ispkg]
    found: dict[str, Callable[[], list[BaseTool]]] = {}
    for name in names:
        get_tools = getattr(importlib.import_module(f"tools.{name}"), "get_tools", None)
        if inspect.isfunction(get_tools):
            takes_context = "context" in inspect.signature(get_tools).parameters
            found[name] = partial(get_tools, _CONTEXT) if takes_context else get_tools
    return found


_FOLDER = tempfile.TemporaryDirectory()
_OPEN = ExitStack()
_NOTES = _OPEN.enter_context(shown_notes())
_CONTEXT = ToolContext(
    Workspace(Path(_FOLDER.name)),
    _Reader(),
    memory=_NOTES.book.memory,
    notes=_NOTES,
    skills=SkillShelf(Path(_FOLDER.name)),
    tuning=RunTuning(Path(_FOLDER.name), Path(_FOLDER.name), 0),
)
BUILT_IN: dict[str, BaseTool] = {
    tool.name: tool for get_tools in families().values() for tool in get_tools()
}


def example_of(tool: BaseTool) -> dict[str, Any]:
    """Arguments that fit the tool's schema, one of each required and optional one."""
    schema = arguments_schema(tool)
    return {name: _value(facts, schema) for name, facts in schema["properties"].items()}


def _value(facts: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in facts:
        return _value(schema["$defs"][facts["$ref"].rpartition("/")[2]], schema)
    if "anyOf" in facts:
        return _value(facts["anyOf"][0], schema)
    if "enum" in facts:
        return facts["enum"][0]
    if "const" in facts:
        return facts["const"]
    if facts["type"] in ("integer", "number"):
        return facts.get("minimum", 1)
    examples = {"string": "word", "boolean": True, "object": {}, "null": None}
    return [_value(facts["items"], schema)] if facts["type"] == "array" else examples[facts["type"]]


def _suite(tool: BaseTool) -> type[ToolsUnitTests]:
    return type(
        f"Test_{tool.name}",
        (ToolsUnitTests,),
        {
            "tool_constructor": property(lambda self: tool),
            "tool_invoke_params_example": property(lambda self: example_of(tool)),
        },
    )


for _tool in BUILT_IN.values():
    globals()[f"Test_{_tool.name}"] = _suite(_tool)

every_tool = pytest.mark.parametrize("tool", BUILT_IN.values(), ids=BUILT_IN)


def test_finds_the_families() -> None:
    assert {"files", "documents", "reader", "data", "control"} <= set(families())
    assert {"read_file", "document_text", "summarize", "finish"} <= set(BUILT_IN)


def test_the_catalogue_lists_every_family() -> None:
    assert set(FAMILIES) == set(families()) - {"control"}
    listed = {tool.name for tool in built_in(_CONTEXT)}
    assert listed == {name for name in BUILT_IN if facts_of(BUILT_IN[name]).family != "control"}


def test_no_two_tools_have_one_name() -> None:
    names = [tool.name for get_tools in families().values() for tool in get_tools()]
    assert sorted(names) == sorted(set(names))


@every_tool
def test_says_what_it_does_to_the_world(tool: BaseTool) -> None:
    facts = facts_of(tool)
    assert facts.declared
    assert facts.effect in EFFECTS
    assert facts.family != "plugin"
    assert facts.says or facts.family == "control"


@every_tool
def test_what_it_says_names_only_its_arguments(tool: BaseTool) -> None:
    named = {field for _, field, _, _ in Formatter().parse(facts_of(tool).says) if field}
    assert named <= set(example_of(tool))


@every_tool
def test_is_described_for_a_small_model(tool: BaseTool) -> None:
    assert tool.description.endswith(".")
    assert "Args:" not in tool.description
    assert "\n\n" not in tool.description
    assert len(tool.description) <= MAX_DESCRIPTION
    schema = arguments_schema(tool)
    assert len(schema["properties"]) <= MAX_ARGUMENTS
    for name, facts in schema["properties"].items():
        assert facts.get("description"), f"{tool.name} does not describe `{name}`"


@every_tool
def test_an_argument_depends_only_on_an_earlier_one(tool: BaseTool) -> None:
    earlier: list[str] = []
    for name, facts in arguments_schema(tool)["properties"].items():
        of = facts.get(GROUND_KEY, {}).get("of")
        assert of is None or of in earlier, f"`{name}` depends on `{of}`, which is not before it"
        earlier.append(name)


@every_tool
def test_converts_to_what_remote_models_are_sent(tool: BaseTool) -> None:
    sent = convert_to_openai_tool(tool)["function"]
    assert sent["name"] == tool.name
    assert set(sent["parameters"]["properties"]) == set(example_of(tool))


@every_tool
def test_a_page_is_a_number_from_one(tool: BaseTool) -> None:
    for facts in arguments_schema(tool)["properties"].values():
        if facts.get(GROUND_KEY, {}).get("kind") == "page":
            assert facts["type"] == "integer"
            assert facts["default"] == 1
