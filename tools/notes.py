"""Long-term memory: remember, recall and forget notes across runs."""

import time

from langchain_core.tools import BaseTool

from memory.errors import BadNote
from memory.notebook import Recalled
from tools.base import tool
from tools.context import ToolContext
from tools.errors import ToolRetry

_RECALLED = 5
"""Notes that one call shows."""


def get_tools(context: ToolContext) -> list[BaseTool]:
    """The family `notes`; nothing where the run has no memory."""
    notes = context.notes
    if notes is None:
        return []
    book = notes.book

    @tool(effect="read", family="notes", says="look up notes on {query}")
    def recall(query: str) -> str:
        """Look up what was noted in earlier runs.

        Args:
            query: what to look for.
        """
        if not query.strip():
            raise ToolRetry("the query is empty; say what to look for")
        try:
            found = book.recall(query, limit=_RECALLED)
        except BadNote as error:
            raise ToolRetry(f"this cannot be looked for: {error}") from None
        notes.used(note.id for note in found)
        lines = [note_line(note, book.memory.short_id(note.id)) for note in found]
        return "\n".join(lines) or "No note is about that."

    if not notes.may_write:
        return [recall]

    @tool(effect="remember", idempotent=True, family="notes", says="note {text}")
    def remember(text: str) -> str:
        """Keep a fact for later runs.

        Args:
            text: the fact, in one sentence that makes sense on its own.
        """
        try:
            id = book.add(text, origin="run", run=notes.run, trust=notes.trust(text))
        except BadNote as error:
            raise ToolRetry(str(error)) from None
        return f"Noted as {book.memory.short_id(id)}."

    @tool(effect="delete", idempotent=True, family="notes", says="forget note {note}")
    def forget(note: str) -> str:
        """Delete a note.

        Args:
            note: its id, or the beginning of it, as recall shows it.
        """
        ids = book.ids_beginning(note)
        if len(ids) != 1:
            raise ToolRetry(f"{len(ids)} notes have an id that begins with {note!r}")
        book.forget(ids=ids)
        return "Forgotten."

    return [recall, remember, forget]


def note_line(note: Recalled, id: str) -> str:
    """One note with where it comes from, on one line."""
    day = time.strftime("%Y-%m-%d", time.localtime(note.created))
    origin = note.source or note.origin
    text = " ".join(note.text.split())
    return f"[{id}, {day}, {origin}, {note.trust}] {text}"
