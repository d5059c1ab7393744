"""The long-term memory as one run uses it: what it may read, and what is learned from its end.

Notes that come into the planner's context are trusted ones only: the user's own, lessons that the
host made, and notes that the goal itself said. Others are shown by the tool `recall`, each
with its label.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from langchain_core.embeddings import Embeddings

from agent.setting_values import Memory
from agent.state import RunState
from memory.notebook import MAX_NOTE, Notebook, Trust
from memory.store import FaissMemory
from prompts.render import render
from tools.control import CONTROL

MODES: tuple[Memory, ...] = ("off", "read", "write")
"""From the narrowest to the widest."""
FOLDER = "memory"
CONTEXT_NOTES = 6
GOAL_CHARACTERS = 300
_BEGINS = re.compile(r"(?:^|(?<=[.!?])\s|(?<=[。！？]))")
"""Where a sentence of white-space-folded text can begin."""
_ENDS = re.compile(r"(?:[.!]+(?= |$)|[。！]|(?<=[?？])(?= )|$)")
"""What may follow the words of a sentence; a question is none without its mark."""
_TELLING = re.compile(
    r"(?:please|remember|note|keep|in|mind|this|these|the|following|facts?|for|later|runs?|word|by"
    r"|down|that|it)(?!\w)[\s,:–—-]*"
)
"""One word of those that only say that something is to be remembered."""
_QUOTED = re.compile(r"[\w./-]*\.\w{1,5}\b|\d+")


class RunNotes:
    """Implements what the note tools ask for, and settles the run's account at its end."""

    def __init__(self, book: Notebook, state: RunState, *, goal: str, may_write: bool) -> None:
        self.book = book
        self.run = state.run
        self.may_write = may_write
        self._goal = goal
        self._state = state
        self._used: dict[str, None] = dict.fromkeys(state.recalled)

    def trust(self, text: str) -> Trust:
        """Trusted where the goal said just this, as a sentence or as what is to be remembered."""
        return "trusted" if is_said(text, self._goal) else "untrusted"

    def used(self, ids: Iterable[str]) -> None:
        """These notes were shown; what comes of the run counts for them."""
        self._used.update(dict.fromkeys(ids))

    def for_context(self, count: Callable[[str], int], tokens: int) -> tuple[str, list[str]]:
        """Notes that fit the goal, as text of at most so many tokens, and their ids."""
        lines: list[str] = []
        ids: list[str] = []
        for note in self.book.recall(self._goal, limit=CONTEXT_NOTES, trusted_only=True):
            line = f"- {' '.join(note.text.split())}"
            if count("\n".join([*lines, line])) > tokens:
                continue
            lines.append(line)
            ids.append(note.id)
        self.used(ids)
        return (render("recalled", notes="\n".join(lines)) if lines else ""), ids

    def settle(self) -> None:
        """Count the outcome for the notes that were used; keep a lesson of a verified run."""
        state = self._state
        if not self.may_write or state.resumable or state.goal is None:
            return
        verified = bool(state.goal.success or state.goal.audit)
        if state.status in ("done", "failed", "repeat", "no_progress"):
            passed = state.status == "done" if verified else None
            self.book.outcome(self._used, passed=passed)
        if state.status == "done" and verified:
            self.book.add(
                lesson(state, self._goal),
                kind="lesson",
                origin="run",
                run=state.run,
                key=shape(self._goal),
            )


def is_said(text: str, goal: str) -> bool:
    """Whether `text` is a whole sentence of the goal, or several, or all that follows the likes of
    "Remember that". White space, case and the full stop do not matter.

    A part of a sentence is not enough: "delete all" is not what "never delete all" says.
    """
    said, asked = _folded(goal), _folded(text).rstrip(".!。！")
    if not asked:
        return False
    for sentence in _BEGINS.finditer(said):
        at: int | None = sentence.end()
        while at is not None:
            if said.startswith(asked, at) and _ENDS.match(said, at + len(asked)):
                return True
            word = _TELLING.match(said, at)
            at = word.end() if word else None
    return False


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def shape(goal: str) -> str:
    """The goal without its file names and numbers: goals of one shape share a lesson."""
    return " ".join(_QUOTED.sub("_", goal.casefold()).split())


def lesson(state: RunState, goal: str) -> str:
    """What worked, in tools and in arguments that the goal itself named, and what failed."""
    said = _folded(goal)
    calls = [call for call in state.calls if call.tool not in CONTROL]
    worked = "; ".join(_spelled(c.tool, c.arguments.values(), said) for c in calls if c.ok)
    failed = dict.fromkeys(_spelled(c.tool, c.arguments.values(), said) for c in calls if not c.ok)
    text = render(
        "lesson",
        goal=" ".join(goal.split())[:GOAL_CHARACTERS],
        calls=worked or "an answer without a call",
        failed=f"\nWhat failed: {'; '.join(failed)}" if failed else "",
    )
    return text[:MAX_NOTE]


def _spelled(tool: str, values: Iterable[object], said: str) -> str:
    """A call with the arguments that the goal gave; others may come from what strangers wrote."""
    known = [
        str(value)
        for value in values
        if (words := _folded(str(value))) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", said)
    ]
    return f"{tool}({', '.join(known)})"


@contextmanager
def notes_of(
    state: RunState,
    goal: str,
    mode: Memory,
    home: Path,
    embedder: Callable[[], Embeddings],
) -> Iterator[RunNotes | None]:
    """The run's notes while it lasts; None where they are off, or there is nothing to read.

    Raises:
        StoreError: the memory cannot be opened.
    """
    folder = home / FOLDER
    if mode == "off" or (mode == "read" and not FaissMemory.exists(folder)):
        yield None
        return
    with FaissMemory(folder, embedder(), read_only=mode == "read") as memory:
        yield RunNotes(Notebook(memory), state, goal=goal, may_write=mode == "write")
