"""Loads other people's tools: a Python file, or an installed package's entry point.

A source gives `BaseTool` objects, functions made with `@tool`, or a function `get_tools(context)`.
One that is broken is reported and left out; the others load. A tool keeps the effect that it
declares only where the operator named its source; otherwise it counts as `execute`.
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from langchain_core.tools import BaseTool

from tools.base import attach, facts_of
from tools.context import ToolContext

GROUP = "tuneward.tools"


@dataclass(frozen=True)
class Plugin:
    """What one source gave."""

    source: str
    tools: list[BaseTool] = field(default_factory=list)
    problem: str | None = None
    """Why it gave nothing, in one line."""


def load_plugins(
    named: Sequence[str], context: ToolContext, *, taken: Iterable[str] = ()
) -> list[Plugin]:
    """Load the files and packages that the operator named, and every other installed package.

    Args:
        named: paths of Python files, or names of entry points.
        taken: tool names that are ours already; a plug-in that reuses one is refused.
    """
    installed = {point.name: point for point in entry_points(group=GROUP)}
    plugins = [_named(name, installed, context) for name in dict.fromkeys(named)]
    for name, point in installed.items():
        if name not in named:
            plugins.append(_undeclared(_from_entry_point(point, context)))
    return _without_clashes(plugins, set(taken))


def _named(name: str, installed: dict[str, EntryPoint], context: ToolContext) -> Plugin:
    if name in installed:
        return _from_entry_point(installed[name], context)
    path = Path(name)
    if path.suffix == ".py":
        return _from_file(path, context)
    known = ", ".join(installed) or "none is installed"
    return Plugin(name, problem=f"neither a .py file nor an installed plug-in ({known})")


def _from_file(path: Path, context: ToolContext) -> Plugin:
    source = str(path)
    if not path.is_file():
        return Plugin(source, problem="no such file")
    # A name of its own for each path: two files called tools.py do not meet in sys.modules.
    name = f"tuneward_plugin_{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        return Plugin(source, _collect(module, context))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        return Plugin(source, problem=_reason(error))


def _from_entry_point(point: EntryPoint, context: ToolContext) -> Plugin:
    try:
        return Plugin(point.name, _collect(point.load(), context))
    except (Exception, SystemExit) as error:
        return Plugin(point.name, problem=_reason(error))


def _collect(found: object, context: ToolContext) -> list[BaseTool]:
    """Tools in a module, a list, a single tool, or what `get_tools(context)` returns."""
    if isinstance(found, ModuleType):
        maker = getattr(found, "get_tools", None)
        if maker is not None:
            return _collect(maker(context), context)
        found = [item for item in vars(found).values() if isinstance(item, BaseTool)]
    elif isinstance(found, BaseTool):
        found = [found]
    elif callable(found):
        found = found(context)
    if not isinstance(found, list) or not all(isinstance(item, BaseTool) for item in found):
        raise TypeError(f"expected LangChain tools, got {found!r:.100}")
    if not found:
        raise TypeError("no tools in it: decorate a function with @tool or write get_tools")
    return found


def _undeclared(plugin: Plugin) -> Plugin:
    for tool in plugin.tools:
        attach(tool, replace(facts_of(tool), effect="execute", declared=False))
    return plugin


def _without_clashes(plugins: list[Plugin], taken: set[str]) -> list[Plugin]:
    checked: list[Plugin] = []
    for plugin in plugins:
        names = [tool.name for tool in plugin.tools]
        clash = sorted(taken.intersection(names)) or sorted(
            {n for n in names if names.count(n) > 1}
        )
        if clash:
            problem = f"tool name taken: {', '.join(clash)}; rename it"
            checked.append(Plugin(plugin.source, problem=problem))
        else:
            taken.update(names)
            checked.append(plugin)
    return checked


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
