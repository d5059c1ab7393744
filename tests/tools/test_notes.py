"""The note tools over a real memory, as a run calls them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.run_notes import RunNotes
from agent.state import RunState
from memory.notebook import Notebook
from memory.store import FaissMemory
from models.hashing import HashingEmbedder
from tools.context import ToolContext
from tools.errors import ToolRetry
from tools.notes import get_tools
from tools.workspace import Workspace


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Notebook]:
    with FaissMemory(tmp_path / "memory", HashingEmbedder()) as memory:
        yield Notebook(memory)


@pytest.fixture
def tools(book: Notebook, tmp_path: Path) -> dict[str, Any]:
    notes = RunNotes(book, RunState("r1"), goal="", may_write=True)
    found = get_tools(ToolContext(Workspace(tmp_path), notes=notes))
    return {tool.name: tool.func for tool in found}  # type: ignore[attr-defined]  # a surrogate passes no JSON


@pytest.mark.parametrize("text", ["\ud800", "about \udfff"])
def test_half_a_character_is_sent_back(tools: dict[str, Any], text: str) -> None:
    for call in (tools["recall"], tools["remember"], tools["forget"]):
        with pytest.raises(ToolRetry):
            call(text)


def test_what_is_shown_of_an_id_names_one_note(book: Notebook, tools: dict[str, Any]) -> None:
    ids = ["0000000000000000a", "0000000000000000b", "something-else"]
    facts = {"kind": "note", "origin": "user", "trust": "trusted", "created": 0.0}
    book.memory.add_texts([f"office fact {id}" for id in ids], [facts] * 3, ids=ids)
    shown = [row[1:].partition(",")[0] for row in tools["recall"]("office fact").splitlines()]
    assert sorted(shown) == ["0000000000000000a", "0000000000000000b", "something-el"]
    with pytest.raises(ToolRetry, match="2 notes have an id"):
        tools["forget"]("000000000000")
    for id in shown:
        assert tools["forget"](id) == "Forgotten."
    assert book.memory.count() == 0


def test_a_passage_is_no_note_to_forget(book: Notebook, tools: dict[str, Any]) -> None:
    book.memory.add_texts(["text"], [{"kind": "chunk"}], ids=["chunk-1"])
    with pytest.raises(ToolRetry, match="0 notes"):
        tools["forget"]("chunk-1")
