"""The README is true: its map names every file, its examples run, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from agent.goal_file import load_goal

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PACKAGES = ("tuneward", "agent", "tools", "memory", "models", "prompts")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def mapped() -> dict[str, str]:
    """The map as path -> words."""
    (text,) = (block for block in blocks("") if block.startswith("tuneward/ "))
    found: dict[str, str] = {}
    folder = ""
    for line in text.splitlines():
        name, words = re.split(r"\s{2,}", line.strip(), maxsplit=1)
        if name.endswith("/"):
            folder = name
        else:
            found[folder + name] = words
    return found


def test_the_map_names_every_module_and_nothing_else() -> None:
    tree = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert set(mapped()) - {"tuneward/__init__.py", "prompts/*.md"} == tree


@pytest.mark.parametrize(("path", "words"), mapped().items())
def test_the_map_says_it_in_about_five_words(path: str, words: str) -> None:
    assert len(words.split()) <= 6, path


def test_the_goal_file_is_valid(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    assert yaml.safe_load(text)["version"] == 1
    path = tmp_path / "goal.yaml"
    path.write_text(text)
    assert load_goal(path).audit


def test_the_tool_of_the_readme_loads(tmp_path: Path) -> None:
    (text,) = (block for block in blocks("python") if "get_tools" in block)
    path = tmp_path / "first_line.py"
    path.write_text(text)
    command = [sys.executable, "-P", "-m", "agent", "tools", "check", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert found.returncode == 0, found.stderr
    assert "first_line" in found.stdout


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from agent.cli import app

    known = cast(Any, get_command(app)).commands
    for command in re.findall(r"^tuneward ([a-z]+)(?: |$)", "\n".join(blocks("")), re.MULTILINE):
        assert command in known, command


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
