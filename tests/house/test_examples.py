"""Tests of examples/plugin and examples/one_file_tool.py: they install, load and work."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example plug-in, built and installed with pip into a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*command, str(ROOT / "examples/plugin")], check=True, timeout=120)
    return target


def _listed(installed: Path, folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "agent", "tools", "list", "--json", *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
    )
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_an_installed_plugin_is_found_and_counts_as_execute(
    installed: Path, tmp_path: Path
) -> None:
    tool = _listed(installed, tmp_path)["count_letter"]
    assert (tool["effect"], tool["now"]) == ("execute", "ask")


def test_a_plugin_that_the_operator_names_keeps_its_effect(installed: Path, tmp_path: Path) -> None:
    tool = _listed(installed, tmp_path, "--tools", "letters")["count_letter"]
    assert (tool["effect"], tool["now"]) == ("read", "allow")


def test_the_one_file_tool_counts_words_and_stays_in_the_workspace(tmp_path: Path) -> None:
    from tools.context import ToolContext
    from tools.errors import ToolError
    from tools.plugins import load_plugins
    from tools.workspace import Workspace

    (tmp_path / "notes.txt").write_text("one two\nthree\n")
    context = ToolContext(Workspace(tmp_path))
    (plugin,) = load_plugins([str(ROOT / "examples/one_file_tool.py")], context)
    (tool,) = plugin.tools
    assert tool.invoke({"path": "notes.txt"}) == "notes.txt has 3 words"
    with pytest.raises(ToolError):
        tool.invoke({"path": "../secret"})
