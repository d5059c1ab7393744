"""Keeps the messages of a run inside the model's window, deterministically."""

from collections.abc import Callable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from agent.errors import SettingsError
from agent.state import RunState
from prompts.render import render
from tools.base import TABLE_SUFFIXES
from tools.results import PAGE_CHARACTERS
from tools.world import WorkspaceWorld

OVERVIEW_FILES = 40
OVERVIEW_COLUMNS = 20
OVERVIEW_CELL = 30
"""Characters of a cell that are shown there."""
OVERVIEW_SKILLS = 10
SUMMARY_CHARACTERS = 100

CountTokens = Callable[[Sequence[BaseMessage]], int]


def overview(world: WorkspaceWorld, skills: Sequence[str] = ()) -> str:
    """The files that exist, tables with columns and first row: what a person looks at first.

    Args:
        skills: what is said of each trained skill; at most `OVERVIEW_SKILLS` are shown.
    """
    files = world.files()
    lines = []
    for path in files[:OVERVIEW_FILES]:
        row: dict[str, str] = {}
        if path.lower().endswith(TABLE_SUFFIXES):
            row = world.first_row(path)
        cells = [f"{column}={_cell(value)}" for column, value in row.items()]
        shown = ", ".join(cells[:OVERVIEW_COLUMNS])
        more = ", ..." if len(cells) > OVERVIEW_COLUMNS else ""
        lines.append(f"- {path}" + (f" (first row: {shown}{more})" if row else ""))
    if len(files) > OVERVIEW_FILES:
        lines.append(f"- ... and {len(files) - OVERVIEW_FILES} more; list_files shows them")
    lines = lines or ["(none)"]
    if skills:
        lines += ["Skills:", *(f"- {line}" for line in skills[:OVERVIEW_SKILLS])]
    if len(skills) > OVERVIEW_SKILLS:
        lines.append(f"- ... and {len(skills) - OVERVIEW_SKILLS} more; list_skills shows them")
    return "\n".join(lines)


def _cell(value: str) -> str:
    text = " ".join(value.split())
    return text if len(text) <= OVERVIEW_CELL else f"{text[:OVERVIEW_CELL]}..."


def shorten(text: str, handle: str, tokens: int, count: Callable[[str], int]) -> str | None:
    """The beginning of a long result with its handle, or None where it fits as it is.

    Args:
        tokens: how many the result may take.
        count: tokens of a text by the model's own tokenizer.
    """
    # A token is never longer than a few characters, so most results need no counting.
    if len(text) <= tokens or (len(text) <= tokens * 8 and count(text) <= tokens):
        return None
    low, high = 0, min(len(text), tokens * 8)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(text[:middle]) <= tokens else (low, middle - 1)
    cut = text[:low]
    line = cut.rfind("\n")
    kept = cut[:line] if line > low // 2 else cut
    return render("shortened", text=kept, handle=handle, pages=-(-len(text) // PAGE_CHARACTERS))


def to_drop(state: RunState, count: CountTokens, limit: int) -> tuple[int, str] | None:
    """How many messages after the head to summarise, and the summary; None while all fits.

    The oldest half goes at once, so the cache is rebuilt rarely; a turn is never cut in two.

    Raises:
        SettingsError: goal and tools alone do not fit the window.
    """
    if count(state.messages) <= limit:
        return None
    turns = state.messages[state.head :]
    starts = [i for i, m in enumerate(turns) if i and not isinstance(m, ToolMessage)]
    dropped = next((i for i in starts if i >= len(turns) // 2), 0)
    if not dropped:
        raise SettingsError(
            f"the goal, the tools and one step need more than the model's window leaves ({limit}"
            " tokens); take a model with a longer window, or fewer tools in the goal file"
        )
    return dropped, render("summary", calls=_summary(turns[:dropped]))


def _summary(turns: Sequence[BaseMessage]) -> str:
    lines: list[str] = []
    for message in turns:
        if isinstance(message, AIMessage) and message.tool_calls:
            call = message.tool_calls[0]
            values = ", ".join(str(v)[:40] for v in call["args"].values())
            lines.append(f"- {call['name']}({values})")
        elif isinstance(message, ToolMessage) and lines:
            first = " ".join(message.text.split())[:SUMMARY_CHARACTERS]
            lines[-1] += f": {first}"
        elif message.text.startswith("Done so far:"):
            lines += message.text.splitlines()[1:]
    return "\n".join(lines[-40:]) or "- nothing"
