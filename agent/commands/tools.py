"""`tuneward tools`: what the agent can call, how the model sees it, and what would be asked for."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import JsonOption, ToolsOption

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from agent.settings import Settings
    from tools.plugins import Plugin

app = typer.Typer(rich_markup_mode=None, help="The tools: list, show, check a file of your own.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A tool's name.")]


def register(door: typer.Typer) -> None:
    door.add_typer(app, name="tools", epilog="Example: tuneward tools check my_tools.py")


@app.command("list", epilog="Example: tuneward tools list --tools my_tools.py")
def list_tools(tools: ToolsOption = None, json: JsonOption = False) -> int:
    """List every tool: family, effect, and whether it is allowed, asked for or denied."""
    from agent.commands.output import json_result, note, table
    from agent.settings import load_settings

    settings = load_settings(options={"plugins": tools})
    found, plugins = _all_tools(settings)
    facts = [_facts(tool, settings) for tool in found]
    if json:
        json_result(facts)
    else:
        head = ("TOOL", "FAMILY", "EFFECT", "NOW", "WHAT IT DOES")
        keys = ("name", "family", "effect", "now", "summary")
        table(head, ([str(each[key]) for key in keys] for each in facts))
    for plugin in plugins:
        if plugin.problem:
            note(f"{plugin.source}: {plugin.problem}")
    return 0


@app.command("show", epilog="Example: tuneward tools show write_file")
def show(name: Name, tools: ToolsOption = None, json: JsonOption = False) -> int:
    """Show one tool as the model sees it, with its effect and its arguments."""
    from difflib import get_close_matches

    from agent.errors import UsageError
    from agent.settings import load_settings

    settings = load_settings(options={"plugins": tools})
    found, _ = _all_tools(settings)
    named = {tool.name: tool for tool in found}
    if name not in named:
        near = get_close_matches(name, named, n=1)
        hint = f"did you mean {near[0]}?" if near else "`tuneward tools list` names them"
        raise UsageError(f"there is no tool {name!r}; {hint}")
    _print([named[name]], settings, json=json)
    return 0


@app.command("check", epilog="Example: tuneward tools check examples/one_file_tool.py")
def check(
    file: Annotated[str, typer.Argument(metavar="FILE.py", help="Your file, or a plug-in's name.")],
    json: JsonOption = False,
) -> int:
    """Say what a file of tools gives, how the model will see it, and what would be asked for."""
    from agent.commands.output import json_result
    from agent.errors import UsageError
    from agent.settings import load_settings

    settings = load_settings(options={"plugins": [file]})
    _, plugins = _all_tools(settings)
    plugin = next(p for p in plugins if p.source == settings.plugins[-1])
    if plugin.problem:
        if json:
            json_result({"source": plugin.source, "problem": plugin.problem})
        raise UsageError(f"{plugin.source}: {plugin.problem}")
    _print(plugin.tools, settings, json=json)
    return 0


def _all_tools(settings: "Settings") -> tuple[list["BaseTool"], list["Plugin"]]:
    from agent.memory_door import shown_notes
    from agent.reader import ModelReader
    from tools import catalogue, control
    from tools.context import ToolContext
    from tools.plugins import load_plugins
    from tools.tuning.run_tuning import RunTuning
    from tools.tuning.skill_shelf import SkillShelf
    from tools.workspace import Workspace

    with shown_notes() as notes:
        context = ToolContext(
            Workspace(settings.workspace),
            ModelReader(None, lambda: False),
            memory=notes.book.memory,
            notes=notes,
            skills=SkillShelf(settings.home),
            tuning=RunTuning(settings.home, settings.home / "runs" / "none", 0),
        )
        own = catalogue.built_in(context)
    taken = [tool.name for tool in own] + list(control.CONTROL)
    plugins = load_plugins(settings.plugins, context, taken=taken)
    loaded = [tool for plugin in plugins for tool in plugin.tools]
    return [*own, *loaded, *control.get_tools()], plugins


def _facts(tool: "BaseTool", settings: "Settings") -> dict[str, Any]:
    from agent.permissions import Permissions, load_grants
    from tools.base import facts_of

    facts = facts_of(tool)
    gate = Permissions(settings.mode, load_grants(settings.home / "grants.yaml"))
    return {
        "name": tool.name,
        "family": facts.family,
        "effect": facts.effect,
        "declared": facts.declared,
        "now": gate.decide(tool.name, facts, [], []).verdict,
        "summary": tool.description.strip().splitlines()[0],
    }


def _print(found: list["BaseTool"], settings: "Settings", *, json: bool) -> None:
    import json as json_module

    from agent.commands.output import json_result, result
    from tools.toolbox import arguments_schema

    described = [
        {
            **_facts(tool, settings),
            "description": tool.description,
            "arguments": arguments_schema(tool),
        }
        for tool in found
    ]
    if json:
        json_result(described)
        return
    for each in described:
        said = "" if each["declared"] else ", undeclared: write @tool(effect=...) to change that"
        result(f"{each['name']}  (effect {each['effect']}{said}; now: {each['now']})")
        result("  " + each["description"].strip().replace("\n", "\n  "))
        schema = json_module.dumps(each["arguments"], ensure_ascii=False, indent=2)
        result("  arguments: " + schema.replace("\n", "\n  "))
