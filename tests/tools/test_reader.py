"""The reading tools: one text at a time, long ones in pieces, and never more words than asked."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool
from pydantic import ValidationError

from tests.tools import sample_documents
from tools import reader
from tools.context import ToolContext
from tools.errors import ToolFailed, ToolRetry
from tools.pieces import PIECE_TOKENS, best_pieces, first_words, split_pieces, tokens_in
from tools.reader import ASK_PIECES, MAX_PIECES, NOTE_WORDS, NOTHING
from tools.workspace import Workspace


class Reading:
    """A reader that answers by a function and remembers what it was asked."""

    def __init__(self, answer: Callable[[str, str], str]) -> None:
        self.asked: list[tuple[str, str, int]] = []
        self._answer = answer

    def read(self, question: str, text: str, *, max_words: int) -> str:
        self.asked.append((question, text, max_words))
        return self._answer(question, text)


class Desk:
    """A workspace with a reader, and the family's tools."""

    def __init__(self, root: Path, answer: Callable[[str, str], str]) -> None:
        self.workspace = Workspace(root)
        self.reader = Reading(answer)
        self.tools: dict[str, BaseTool] = {
            tool.name: tool for tool in reader.get_tools(ToolContext(self.workspace, self.reader))
        }

    def __call__(self, name: str, **arguments: Any) -> str:
        return str(self.tools[name].invoke(arguments))


def test_there_is_nothing_to_read_with_without_a_model(tmp_path: Path) -> None:
    assert reader.get_tools(ToolContext(Workspace(tmp_path))) == []


def test_summarizes_a_short_file_in_one_reading(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda question, text: "It is about apples.")
    (tmp_path / "a.txt").write_text("Apples are cheap.\r\n")
    assert desk("summarize", path="a.txt", words=20) == "It is about apples."
    [(question, text, words)] = desk.reader.asked
    assert "Summarize" in question
    assert text == "Apples are cheap."
    assert words == 20


def test_a_summary_has_no_more_words_than_asked(tmp_path: Path) -> None:
    said = "One two three. Four five six. Seven eight nine ten eleven."
    desk = Desk(tmp_path, lambda question, text: said)
    (tmp_path / "a.txt").write_text("x")
    assert desk("summarize", path="a.txt", words=8) == "One two three. Four five six."
    with pytest.raises(ValidationError):
        desk("summarize", path="a.txt", words=0)


def test_saves_the_summary_where_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda question, text: "All is well.")
    (tmp_path / "a.txt").write_text("x")
    said = desk("summarize", path="a.txt", save_as="out/summary.txt")
    assert said == "Wrote this to out/summary.txt (3 words):\nAll is well."
    assert (tmp_path / "out" / "summary.txt").read_text() == "All is well.\n"
    assert desk.workspace.written == {"out/summary.txt"}


def test_a_name_to_save_under_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda question, text: "x")
    (tmp_path / "a.txt").write_text("x")
    for name in ("summary.pdf", "../summary.txt", ".git/config"):
        with pytest.raises(ToolRetry):
            desk("summarize", path="a.txt", save_as=name)
        with pytest.raises(ToolRetry):
            desk("ask", path="a.txt", question="what?", save_as=name)
    assert desk.reader.asked == []


def test_a_long_text_is_read_in_pieces_that_are_then_joined(tmp_path: Path) -> None:
    def answer(question: str, text: str) -> str:
        return "The whole." if "notes" in question else "Note on " + text.split()[0] + "."

    desk = Desk(tmp_path, answer)
    text = " ".join(f"sentence{n} has some words in it." for n in range(800))
    (tmp_path / "long.txt").write_text(text)
    assert desk("summarize", path="long.txt", words=30) == "The whole."
    *parts, (question, notes, words) = desk.reader.asked
    assert len(parts) > 3
    assert "".join(t.replace(" ", "") for _, t, _ in parts) == text.replace(" ", "")
    assert all(tokens_in(t) <= PIECE_TOKENS for _, t, _ in parts)
    assert [w for _, _, w in parts] == [NOTE_WORDS] * len(parts)
    assert f"part 1 of {len(parts)}" in parts[0][0]
    assert notes == "\n".join(f"Note on {t.split()[0]}." for _, t, _ in parts)
    assert "notes" in question
    assert words == 30


def test_many_notes_are_read_in_pieces_again(tmp_path: Path) -> None:
    note = "word " * (NOTE_WORDS - 1) + "end."
    desk = Desk(tmp_path, lambda question, text: note if "part" in question[:12] else "Joined.")
    (tmp_path / "long.txt").write_text("Some words here. " * (MAX_PIECES * 190))
    assert desk("summarize", path="long.txt") == "Joined."
    parts = [int(m[1]) for q, _, _ in desk.reader.asked if (m := re.search(r"of (\d+) of", q))]
    assert len(set(parts)) > 1
    assert desk.reader.asked[-1][0].startswith("These are notes")


def test_a_text_too_long_to_summarize_is_refused_unread(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda question, text: "x")
    (tmp_path / "book.txt").write_text("Some words here. " * 30_000)
    with pytest.raises(ToolFailed, match=r"book.txt is too long to summarize \(510,000 char"):
        desk("summarize", path="book.txt")
    assert desk.reader.asked == []


def test_answers_from_one_text(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda question, text: "Paris.")
    (tmp_path / "a.pdf").write_bytes(sample_documents.pdf(["The capital is Paris."]))
    assert desk("ask", path="a.pdf", question="Which capital?") == "Paris."
    [(question, text, _)] = desk.reader.asked
    assert question == f"Which capital? If the text does not say, answer: {NOTHING}"
    assert text == "The capital is Paris."


def test_asks_only_the_pieces_that_share_words_with_the_question(tmp_path: Path) -> None:
    def answer(question: str, text: str) -> str:
        found = re.search(r"zebra weighs (\d+) kg", text)
        return f"{found[1]} kg" if found else NOTHING.capitalize() + "."

    desk = Desk(tmp_path, answer)
    sentences = [f"Filler number {n} speaks of nothing in particular at all." for n in range(3_000)]
    sentences[2_000] = "A zebra weighs 350 kg."
    (tmp_path / "long.txt").write_text(" ".join(sentences))
    assert desk("ask", path="long.txt", question="What weight has a zebra?") == "350 kg"
    assert len(desk.reader.asked) == ASK_PIECES


def test_several_answers_become_one(tmp_path: Path) -> None:
    def answer(question: str, text: str) -> str:
        return "Both." if "answers from the parts" in question else text.split()[0]

    desk = Desk(tmp_path, answer)
    (tmp_path / "long.txt").write_text(" ".join(f"word{n} and more." for n in range(500)))
    assert desk("ask", path="long.txt", question="Which?") == "Both."
    assert desk.reader.asked[-1][1].splitlines()[0] == "word0"


def test_says_that_the_text_does_not_state_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda question, text: "Not stated.")
    (tmp_path / "a.txt").write_text("x")
    said = desk("ask", path="a.txt", question="What?")
    assert said == "a.txt does not state it."
    with pytest.raises(ToolFailed, match="does not state it"):
        desk("ask", path="a.txt", question="What?", save_as="answer.txt")
    assert desk.workspace.files() == ["a.txt"]


@pytest.mark.parametrize(
    ("tool", "arguments", "error"),
    [
        ("ask", {"path": "a.txt", "question": " "}, "`question` is empty"),
        ("ask", {"path": "gone.txt", "question": "x"}, "there is no 'gone.txt'"),
        ("summarize", {"path": "empty.txt"}, "empty.txt has no text"),
        ("summarize", {"path": "a.bin"}, "is not a text file"),
    ],
)
def test_refuses_what_cannot_be_read(
    tmp_path: Path, tool: str, arguments: dict[str, str], error: str
) -> None:
    desk = Desk(tmp_path, lambda question, text: "x")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    with pytest.raises((ToolRetry, ToolFailed), match=error):
        desk(tool, **arguments)
    assert desk.reader.asked == []


def test_a_model_that_says_nothing_is_an_error(tmp_path: Path) -> None:
    desk = Desk(tmp_path, lambda question, text: "  ")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ToolFailed, match="answered nothing"):
        desk("summarize", path="a.txt", save_as="out.txt")
    assert desk.workspace.files() == ["a.txt"]


# -- pieces ----------------------------------------------------------------------------------------


@given(st.text(alphabet="abc.!? \n汉字。", max_size=3_000), st.integers(10, 200))
def test_a_piece_is_no_longer_than_asked(text: str, limit: int) -> None:
    pieces = split_pieces(text, limit)
    assert all(tokens_in(piece) <= limit for piece in pieces)


@given(st.text(alphabet="ab. \n汉。!", max_size=400), st.integers(1, 50))
def test_first_words_are_the_beginning_and_few_enough(text: str, limit: int) -> None:
    first = first_words(text, limit)
    assert text.startswith(first.removesuffix("..."))
    assert len(first.split()) <= limit


@pytest.mark.parametrize(
    ("text", "limit", "first"),
    [
        ("One two. Three four.", 4, "One two. Three four."),
        ("One two. Three four.", 3, "One two."),
        ("One two three four", 3, "One two three..."),
        ('He said "no." Then more', 4, 'He said "no."'),
        ("Pi is 3.14 they say", 3, "Pi is 3.14..."),
        ("第一句。第二句很长。", 5, "第一句。"),
    ],
)
def test_first_words_end_with_a_sentence(text: str, limit: int, first: str) -> None:
    assert first_words(text, limit) == first


def test_the_best_pieces_keep_their_order_and_the_beginning() -> None:
    pieces = ["start", "common word", "common rare", "common", "common rare rare", "end"]
    assert best_pieces(pieces, "a rare thing", 3) == ["start", "common rare", "common rare rare"]
    assert best_pieces(pieces[:2], "anything", 3) == ["start", "common word"]


def test_chinese_pieces_are_found_too() -> None:
    pieces = ["开头", "苹果很便宜", "天气很好", "会议推迟到周五", "结尾"]
    assert "会议推迟到周五" in best_pieces(pieces, "会议是哪天？", 2)
