"""What a tool family is given when it is built: the run's workspace, results, reader and state."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from tools.tables import Tables
from tools.workspace import Workspace

if TYPE_CHECKING:
    from memory.notebook import Notebook, Trust

if TYPE_CHECKING:
    from memory.store import FaissMemory
    from tools.tuning.run_tuning import RunTuning
    from tools.tuning.skill_shelf import SkillShelf


class Reader(Protocol):
    """Applies the model to one text, without tools: the text can inform, never command."""

    def read(self, question: str, text: str, *, max_words: int) -> str:
        """Answer `question` from `text` alone, in at most about `max_words` words."""


class Results(Protocol):
    """Long results of this run, kept whole under a handle such as `r3`."""

    def handles(self) -> list[str]: ...
    def page(self, handle: str, number: int) -> str:
        """Page `number` (from 1) of the result; raises ToolRetry for an unknown handle or page."""

    def pages(self, handle: str) -> int: ...


class NoResults:
    """For tools used outside a run."""

    def handles(self) -> list[str]:
        return []

    def page(self, handle: str, number: int) -> str:
        raise KeyError(handle)

    def pages(self, handle: str) -> int:
        return 0


class RunNotes(Protocol):
    """The long-term memory as one run may use it."""

    book: "Notebook"
    run: str
    may_write: bool

    def trust(self, text: str) -> "Trust":
        """The label of a note that the run writes: trusted where the goal itself said it."""

    def used(self, ids: Iterable[str]) -> None:
        """These notes were shown; what comes of the run counts for them."""


@dataclass(frozen=True)
class ToolContext:
    """Handed to every `get_tools(context)`."""

    workspace: Workspace
    reader: Reader | None = None
    """None where no model is at hand; families that need one then offer nothing."""
    results: Results = field(default_factory=NoResults)
    memory: "FaissMemory | None" = None
    """The long-term memory; None where the run has none, and its tools are then not offered."""

    notes: RunNotes | None = None
    """None where the run has no long-term memory."""

    skills: "SkillShelf | None" = None
    """None where there are no skills and the run can make none."""

    tuning: "RunTuning | None" = None
    """None where the run must not train anything."""

    @cached_property
    def tables(self) -> Tables:
        """The workspace's tables, shared so that no file is parsed twice."""
        return Tables(self.workspace)
