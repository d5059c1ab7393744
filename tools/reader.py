"""Tools that let the model read one file and say what is in it, also one longer than its window.

The reading model has no tools: what a text says can inform the run, never command it.
"""

import re
from collections.abc import Sequence
from typing import Annotated

from langchain_core.tools import BaseTool
from pydantic import Field

from prompts.render import render
from tools.base import ExistingFile, NewFile, tool
from tools.context import Reader, ToolContext
from tools.errors import ToolFailed, ToolRetry
from tools.files import counted, encoded, refuse_documents
from tools.pages import pages_of
from tools.pieces import best_pieces, first_words, split_pieces

MAX_PIECES = 60
"""About 60,000 tokens of text for one summary; a longer text takes too long to read."""
ASK_PIECES = 6
"""A question about a long text is put to the pieces that share most words with it."""
NOTE_WORDS = 60
NOTE_CHARACTERS = 800
ANSWER_WORDS = 60
NOTHING = "not stated"


def get_tools(context: ToolContext) -> list[BaseTool]:
    """The family `reader`; empty where there is no model to read with."""
    if context.reader is None:
        return []
    reader = context.reader
    workspace = context.workspace
    pages = pages_of(workspace)

    def text_of(path: str) -> str:
        text = pages.text(path)
        if not text.strip():
            raise ToolFailed(f"{path} has no text")
        return text

    def check_name(save_as: str) -> None:
        """Refuse a wrong name before minutes of reading, not after."""
        if save_as:
            refuse_documents(save_as)
            workspace.check_writable(save_as)

    def done(result: str, save_as: str) -> str:
        if not save_as:
            return result
        workspace.write_bytes(save_as, encoded(result + "\n"))
        return f"Wrote this to {save_as} ({counted(len(result.split()), 'word')}):\n{result}"

    @tool(effect="write", idempotent=True, family="reader", says="summarize {path}")
    def summarize(
        path: ExistingFile,
        words: Annotated[int, Field(ge=5, le=500)] = 80,
        save_as: NewFile = "",
    ) -> str:
        """Summarize a file or document in a few sentences.

        Args:
            path: the file to read.
            words: the summary has at most so many words.
            save_as: a file to write the summary to; left out, it is only shown.
        """
        check_name(save_as)
        return done(summary(reader, text_of(path), words, path), save_as)

    @tool(effect="write", idempotent=True, family="reader", says="ask {path}: {question}")
    def ask(path: ExistingFile, question: str, save_as: NewFile = "") -> str:
        """Answer a question from the text of a file or document.

        Args:
            path: the file to read.
            question: what to find out.
            save_as: a file to write the answer to; left out, it is only shown.
        """
        if not question.strip():
            raise ToolRetry("`question` is empty; say what to find out")
        check_name(save_as)
        found = answer(reader, text_of(path), question.strip())
        if found is None:
            said = f"{path} does not state it"
            if save_as:
                raise ToolFailed(f"{said}; {save_as} was not written")
            return said + "."
        return done(found, save_as)

    return [summarize, ask]


def summary(reader: Reader, text: str, words: int, path: str) -> str:
    """At most `words` words; a long text is read piece by piece, then the notes are joined."""
    pieces = split_pieces(text)
    if len(pieces) > MAX_PIECES:
        raise ToolFailed(
            f"{path} is too long to summarize ({len(text):,} characters); "
            "read pages of it, search it or ask a question about it"
        )
    question = render("reader/summarize")
    while len(pieces) > 1:
        notes = [_note(reader, piece, at, len(pieces)) for at, piece in enumerate(pieces, 1)]
        # Notes are far shorter than pieces, so there are fewer pieces each time.
        pieces = split_pieces("\n".join(notes))
        question = render("reader/join_notes")
    return first_words(_read(reader, question, pieces[0], words), words)


def _note(reader: Reader, piece: str, part: int, parts: int) -> str:
    question = render("reader/summarize_part", part=part, parts=parts)
    note = _read(reader, question, piece, NOTE_WORDS)[:NOTE_CHARACTERS]
    return first_words(note, NOTE_WORDS)


def answer(reader: Reader, text: str, question: str) -> str | None:
    """The answer; None where the text does not state it."""
    asked = render("reader/ask", question=question, nothing=NOTHING)
    pieces: Sequence[str] = best_pieces(split_pieces(text), question, ASK_PIECES)
    answers = [_read(reader, asked, piece, ANSWER_WORDS) for piece in pieces]
    found = list(dict.fromkeys(a for a in answers if not _says_nothing(a)))
    if not found:
        return None
    if len(found) == 1:
        return first_words(found[0], ANSWER_WORDS)
    joined = render("reader/ask_notes", question=question)
    return first_words(_read(reader, joined, "\n".join(found), ANSWER_WORDS), ANSWER_WORDS)


def _read(reader: Reader, question: str, text: str, words: int) -> str:
    reply = reader.read(question, text, max_words=words).strip()
    if not reply:
        raise ToolFailed("the model answered nothing; ask in other words")
    return reply


def _says_nothing(reply: str) -> bool:
    return re.sub(r"\W+", " ", reply).strip().casefold() == NOTHING
