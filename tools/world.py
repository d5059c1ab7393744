"""What exists in a run right now: files, tables' columns and values, pages, handles, skills."""

from collections.abc import Callable, Sequence
from typing import Protocol

from tools.base import TABLE_SUFFIXES
from tools.comparison import CellKind
from tools.context import Results
from tools.errors import ToolError
from tools.grounding import VALUE_LIMIT
from tools.tables import Tables
from tools.workspace import Workspace


class Skills(Protocol):
    """Registered skills, as `tools/tuning/skill_shelf.py` has them."""

    def names(self, task: str = "") -> list[str]: ...
    def labels(self, name: str) -> list[str]: ...


class WorkspaceWorld:
    """The `World` of grounding over one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        tables: Tables,
        pages: Callable[[str], int],
        results: Results,
        mentioned: Sequence[str] = (),
        skills: "Skills | None" = None,
    ) -> None:
        self._workspace = workspace
        self._tables = tables
        self._pages = pages
        self._results = results
        self._mentioned = list(mentioned)
        self._skills = skills

    def files(self, suffixes: Sequence[str] = ()) -> list[str]:
        return self._workspace.files(tuple(suffixes))

    def folders(self) -> list[str]:
        return self._workspace.folders()

    def new_files(self) -> list[str]:
        written = sorted(self._workspace.written)
        return self._mentioned + [path for path in written if path not in self._mentioned]

    def columns(self, path: str) -> list[str]:
        if not path.lower().endswith(TABLE_SUFFIXES):
            return []  # whatever else it may be: a text's first line is no header
        try:
            return self._tables.columns(path)
        except ToolError:  # a broken table has none; the tool that reads it says why
            return []

    def first_row(self, path: str) -> dict[str, str]:
        """Each column with its first value as text; empty where the table is broken or empty."""
        try:
            return self._tables.first_row(path)
        except ToolError:
            return {}

    def values(self, path: str, column: str) -> list[str] | None:
        try:
            return self._tables.values(path, column, limit=VALUE_LIMIT)
        except ToolError:
            return None

    def kind(self, path: str, column: str) -> CellKind:
        try:
            return self._tables.kind(path, column)
        except ToolError:
            return "mixed"

    def pages(self, path: str) -> int:
        return self._results.pages(path) if path in self._results.handles() else self._pages(path)

    def skills(self, task: str = "") -> list[str]:
        return self._skills.names(task) if self._skills is not None else []

    def labels(self, skill: str) -> list[str]:
        return self._skills.labels(skill) if self._skills is not None else []

    def handles(self) -> list[str]:
        return self._results.handles()
