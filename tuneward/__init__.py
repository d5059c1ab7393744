"""The door: the public names of Tuneward, loaded on first use.

    from tuneward import Agent, Goal, tool, ExistingFile

Importing this package imports nothing else: no torch, no langchain. A folder of yours named
`agent`, `tools`, `memory`, `models` or `prompts` that Python finds before ours is an ImportError
that names the folder, not a riddle.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.app import Agent as Agent
    from agent.goal import Goal as Goal
    from memory.store import FaissMemory as FaissMemory
    from models.chat import ChatLocal as ChatLocal
    from models.chat import ScriptedModel as ScriptedModel
    from tools.base import Column as Column
    from tools.base import ExistingDocument as ExistingDocument
    from tools.base import ExistingFile as ExistingFile
    from tools.base import ExistingFolder as ExistingFolder
    from tools.base import ExistingTable as ExistingTable
    from tools.base import NewFile as NewFile
    from tools.base import NewTable as NewTable
    from tools.base import Page as Page
    from tools.base import SkillName as SkillName
    from tools.base import Value as Value
    from tools.base import tool as tool
    from tools.errors import ToolFailed as ToolFailed
    from tools.errors import ToolRetry as ToolRetry

_HOMES = {
    "Agent": "agent.app",
    "ChatLocal": "models.chat",
    "Column": "tools.base",
    "ExistingDocument": "tools.base",
    "ExistingFile": "tools.base",
    "ExistingFolder": "tools.base",
    "ExistingTable": "tools.base",
    "FaissMemory": "memory.store",
    "Goal": "agent.goal",
    "NewFile": "tools.base",
    "NewTable": "tools.base",
    "Page": "tools.base",
    "ScriptedModel": "models.chat",
    "SkillName": "tools.base",
    "ToolFailed": "tools.errors",
    "ToolRetry": "tools.errors",
    "Value": "tools.base",
    "tool": "tools.base",
}
"""Every public name and the module that it lives in."""

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]

FLOORS = ("agent", "tools", "memory", "models", "prompts")
"""Our other top-level packages; they stand beside this one."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tuneward' has no attribute {name!r}; it has {__all__}")
    _refuse_shadows()
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


def _refuse_shadows() -> None:
    """Raise ImportError where Python would find another `agent`, `tools` ... than ours."""
    for floor, place in shadows().items():
        raise ImportError(
            f"{place} shadows Tuneward's own package `{floor}`: rename that folder, or start Python"
            " from another one (`python -P` does not look into the current folder)"
        )


def shadows() -> dict[str, str]:
    """Our package names that Python finds elsewhere than beside this package, and where."""
    ours = Path(__file__).resolve().parent.parent
    found: dict[str, str] = {}
    for floor in FLOORS:
        spec = importlib.util.find_spec(floor)
        places = [] if spec is None else list(spec.submodule_search_locations or ())
        if ours / floor not in [Path(place).resolve() for place in places]:
            # A file `agent.py` has an origin but no folder.
            origin = spec.origin if spec is not None else None
            found[floor] = places[0] if places else origin or "an incomplete installation"
    return found
