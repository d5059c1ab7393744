"""Other people's tools load, broken ones are named, and none raises its own rights."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tools import plugins
from tools.base import facts_of
from tools.context import ToolContext
from tools.plugins import load_plugins
from tools.workspace import Workspace

GOOD = '''
from tools.base import tool

@tool(effect="read")
def shout(text: str) -> str:
    """Shout a text.

    Args:
        text: what to shout.
    """
    return text.upper()
'''


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    (tmp_path / "work").mkdir()
    return ToolContext(Workspace(tmp_path / "work"))


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_named_file_keeps_the_effect_it_declares(tmp_path: Path, context: ToolContext) -> None:
    (plugin,) = load_plugins([write(tmp_path, "good.py", GOOD)], context)
    assert [t.name for t in plugin.tools] == ["shout"]
    assert facts_of(plugin.tools[0]).effect == "read"
    assert plugin.tools[0].invoke({"text": "hi"}) == "HI"


def test_an_undeclared_tool_counts_as_execute(tmp_path: Path, context: ToolContext) -> None:
    text = (
        "from langchain_core.tools import tool\n"
        "@tool\ndef plain(x: str) -> str:\n    'Plain.'\n    return x\n"
    )
    (plugin,) = load_plugins([write(tmp_path, "plain.py", text)], context)
    assert facts_of(plugin.tools[0]).effect == "execute"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "no tools in it"),
        ("def get_tools(context): return 'tools'", "expected LangChain tools"),
        ("def get_tools(): return []", "TypeError"),
    ],
)
def test_one_broken_file_does_not_stop_the_others(
    tmp_path: Path, context: ToolContext, text: str, reason: str
) -> None:
    broken, good = load_plugins(
        [write(tmp_path, "broken.py", text), write(tmp_path, "good.py", GOOD)], context
    )
    assert broken.tools == []
    assert reason in str(broken.problem)
    assert [t.name for t in good.tools] == ["shout"]


def test_a_missing_file_and_an_unknown_name_say_so(context: ToolContext) -> None:
    missing, unknown = load_plugins(["nowhere.py", "nothing"], context)
    assert missing.problem == "no such file"
    assert "neither a .py file nor an installed plug-in" in str(unknown.problem)


def test_a_taken_name_is_refused(tmp_path: Path, context: ToolContext) -> None:
    named = [write(tmp_path, "a.py", GOOD), write(tmp_path, "b.py", GOOD)]
    first, second = load_plugins(named, context)
    assert first.problem is None
    assert second.problem == "tool name taken: shout; rename it"
    (ours,) = load_plugins(named[:1], context, taken=["shout"])
    assert ours.tools == []


def test_an_installed_package_that_nobody_named_gets_no_rights(
    tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "shouting_package.py", GOOD)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("shouting", "shouting_package", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    (unnamed,) = load_plugins([], context)
    assert facts_of(unnamed.tools[0]).effect == "execute"
    monkeypatch.delitem(__import__("sys").modules, "shouting_package")
    (named,) = load_plugins(["shouting"], context)
    assert facts_of(named.tools[0]).effect == "read"
