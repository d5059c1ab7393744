"""The file tools, called as the loop calls them."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import BaseTool

from tools import files
from tools.context import ToolContext
from tools.errors import ToolError, ToolFailed, ToolRetry
from tools.pages import PAGE_CHARACTERS, Pages, split_pages
from tools.pieces import split_pieces
from tools.workspace import Workspace


class Desk:
    """A workspace and its file tools."""

    def __init__(self, top: Path) -> None:
        (top / "ws").mkdir()
        self.workspace = Workspace(top / "ws", versions=top / "versions")
        self.tools: dict[str, BaseTool] = {
            tool.name: tool for tool in files.get_tools(ToolContext(self.workspace))
        }

    def __call__(self, name: str, **arguments: Any) -> str:
        result = self.tools[name].invoke(arguments)
        assert isinstance(result, str)
        return result

    def put(self, path: str, content: str | bytes) -> None:
        """As the user does, past the workspace."""
        target = self.workspace.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def get(self, path: str) -> bytes:
        return (self.workspace.root / path).read_bytes()

    def old(self) -> list[bytes]:
        assert self.workspace.versions is not None
        folder = self.workspace.versions.folder
        return [(folder / v.file).read_bytes() for v in self.workspace.versions.all()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# -- looking ---------------------------------------------------------------------------------------


def test_lists_files_with_their_sizes(desk: Desk) -> None:
    desk.put("b.txt", "12")
    desk.put("a/c.csv", "x" * 1_500)
    assert desk("list_files") == "2 files in the workspace:\na/c.csv (1.5 kB)\nb.txt (2 bytes)"
    assert desk("list_files", folder="a") == "1 file in a:\na/c.csv (1.5 kB)"
    assert desk("list_files", folder="./a/") == "1 file in a:\na/c.csv (1.5 kB)"


def test_lists_a_folder_and_not_its_twin(desk: Desk) -> None:
    desk.put("data/a.txt", "1")
    desk.put("data-old/b.txt", "1")
    assert "b.txt" not in desk("list_files", folder="data")


def test_says_that_a_folder_is_empty_or_missing(desk: Desk) -> None:
    assert desk("list_files") == "There are no files in the workspace."
    desk.put("reports/a.txt", "1")
    with pytest.raises(ToolRetry, match="there is no folder 'report'; did you mean 'reports'"):
        desk("list_files", folder="report")


def test_reads_a_short_file_as_it_is(desk: Desk) -> None:
    desk.put("a.txt", "one\r\ntwo\n")
    assert desk("read_file", path="a.txt") == "one\ntwo\n"
    desk.put("empty.txt", "")
    assert desk("read_file", path="empty.txt") == "empty.txt is empty."


def test_reads_a_long_file_page_by_page(desk: Desk) -> None:
    lines = [f"line number {number}\n" for number in range(1_000)]
    desk.put("long.txt", "".join(lines))
    pages = Pages(desk.workspace).count("long.txt")
    assert pages > 3
    read = ""
    for page in range(1, pages + 1):
        head, _, text = desk("read_file", path="long.txt", page=page).partition("\n")
        assert head == f"long.txt, page {page} of {pages}:"
        assert len(text) <= PAGE_CHARACTERS
        read += text
    assert read == "".join(lines)
    with pytest.raises(ToolRetry, match=f"has pages 1 to {pages}, not page {pages + 1}"):
        desk("read_file", path="long.txt", page=pages + 1)
    with pytest.raises(ToolRetry, match="not page 0"):
        desk("read_file", path="long.txt", page=0)


def test_reads_a_file_anew_after_it_changed(desk: Desk) -> None:
    desk.put("a.txt", "before")
    assert desk("read_file", path="a.txt") == "before"
    desk("write_file", path="a.txt", text="after!")
    assert desk("read_file", path="a.txt") == "after!"


def test_reads_nothing_invisible(desk: Desk) -> None:
    desk.put("a.txt", "plain\x1b[31m red \U000e0041tag\ttab")
    assert desk("read_file", path="a.txt") == "plain[31m red tag\ttab"


@pytest.mark.parametrize("tool", ["read_file", "delete_file"])
def test_a_wrong_name_is_answered_with_the_right_one(desk: Desk, tool: str) -> None:
    desk.put("data/reviews.csv", "x")
    with pytest.raises(ToolRetry, match="did you mean 'data/reviews.csv'"):
        desk(tool, path="reviews.csv")


def test_a_page_count_never_fails(desk: Desk) -> None:
    desk.put("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    desk.put("broken.pdf", b"%PDF-1.7 nonsense")
    pages = Pages(desk.workspace)
    assert [pages.count(p) for p in ("photo.png", "broken.pdf", "missing", "../x")] == [1] * 4


@given(st.text(alphabet="ab \n汉🙂", max_size=12_000))
def test_pages_joined_are_the_text(text: str) -> None:
    pages = split_pages(text)
    assert "".join(pages) == text
    assert all(0 < len(page) <= PAGE_CHARACTERS for page in pages) or pages == [""]


@given(st.text(alphabet="ab.\n汉。 ", max_size=12_000))
def test_pieces_lose_nothing_but_spaces(text: str) -> None:
    pieces = split_pieces(text, 100)
    assert "".join("".join(pieces).split()) == "".join(text.split())


# -- searching -------------------------------------------------------------------------------------


def test_finds_lines_in_all_files_in_any_case(desk: Desk) -> None:
    desk.put("a.txt", "no\nRefund please\n")
    desk.put("d/b.csv", "id,text\n1,a refund\n2,REFUNDED\n")
    desk.put("photo.png", b"\x89PNG refund" + bytes(range(256)))
    assert desk("search_text", text="refund") == (
        "3 lines in 2 files contain 'refund' (1 file passed over: no plain text or too large):\n"
        "a.txt:2: Refund please\nd/b.csv:2: 1,a refund\nd/b.csv:3: 2,REFUNDED"
    )
    assert desk("search_text", text="refund", path="a.txt") == (
        "1 line in a.txt contains 'refund':\na.txt:2: Refund please"
    )
    assert desk("search_text", text="absent", path="a.txt") == (
        "No line in a.txt contains 'absent'. Nor does any other file."
    )
    assert desk("search_text", text="absent").startswith("No line in any file contains 'absent'.")


def test_a_search_that_finds_nothing_says_where_it_would(desk: Desk) -> None:
    desk.put("a.txt", "The fair in Verona opens on 18 April.\nVerona is far.\n")
    desk.put("b.txt", "Nothing here.\n")
    assert desk("search_text", text="is far", path="b.txt") == (
        "No line in b.txt contains 'is far'. Other files do:\na.txt:2: Verona is far."
    )
    assert desk("search_text", text="trade fair Verona") == (
        "No line in any file contains 'trade fair Verona'. These lines hold some of the words:\n"
        "a.txt:1: The fair in Verona opens on 18 April."
    )
    assert desk("search_text", text="far away") == "No line in any file contains 'far away'."


def test_counts_all_lines_but_shows_some(desk: Desk) -> None:
    desk.put("log.txt", "error here\nfine\n" * 700)
    found = desk("search_text", text="error")
    assert found.startswith("700 lines in 1 file contain 'error':")
    assert len(found.splitlines()) == 52
    assert found.endswith("(the first 50 of 700 are shown)")


def test_shows_the_part_of_a_long_line_that_matters(desk: Desk) -> None:
    desk.put("a.txt", "x" * 5_000 + " needle " + "y" * 5_000)
    found = desk("search_text", text="needle")
    assert "needle" in found.splitlines()[1]
    assert len(found) < 400


def test_searches_for_words_not_patterns(desk: Desk) -> None:
    desk.put("a.txt", "price (net)?\nprice net\n")
    assert desk("search_text", text="(net)?").startswith("1 line in 1 file")
    for text in ("", "  ", "a\nb"):
        with pytest.raises(ToolRetry, match="`text`"):
            desk("search_text", text=text)


def test_a_missing_file_is_not_searched(desk: Desk) -> None:
    with pytest.raises(ToolRetry, match="there is no 'a.txt'"):
        desk("search_text", text="x", path="a.txt")


def test_passes_over_files_that_are_too_large(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.search.MAX_FILE_BYTES", 100)
    monkeypatch.setattr("tools.search.MAX_TOTAL_BYTES", 150)
    desk.put("a.txt", "needle" + "x" * 60)
    desk.put("b.txt", "needle" + "x" * 95)
    desk.put("c.txt", "needle" + "x" * 60)
    assert desk("search_text", text="needle").startswith(
        "1 line in 1 file contains 'needle' (2 files passed over"
    )


# -- writing ---------------------------------------------------------------------------------------


def test_writes_and_replaces(desk: Desk) -> None:
    assert desk("write_file", path="out/a.txt", text="hello") == "Wrote out/a.txt (5 characters)."
    assert desk("write_file", path="out/a.txt", text="x") == "Replaced out/a.txt (1 character)."
    again = desk("write_file", path="out/a.txt", text="x")
    assert again == "out/a.txt holds exactly this text already; nothing changed."
    assert desk.get("out/a.txt") == b"x"
    assert desk.workspace.written == {"out/a.txt"}


def test_keeps_what_the_user_had(desk: Desk) -> None:
    desk.put("notes.txt", "the user's")
    desk("write_file", path="notes.txt", text="new")
    assert desk.old() == [b"the user's"]


@pytest.mark.parametrize("path", ["report.pdf", "out/letter.DOCX", "t.parquet", "a.xlsx", "p.png"])
def test_does_not_write_text_under_a_name_that_promises_more(desk: Desk, path: str) -> None:
    for tool in ("write_file", "append_file"):
        with pytest.raises(ToolRetry, match=r"cannot be written as text; use a name that ends in"):
            desk(tool, path=path, text="x")
    assert desk.workspace.files() == []


def test_text_that_is_no_text_is_refused(desk: Desk) -> None:
    with pytest.raises(ToolRetry, match=r"U\+D800"):
        desk("write_file", path="a.txt", text="half \ud800 a character")
    assert desk.workspace.files() == []


def test_appends_on_a_new_line(desk: Desk) -> None:
    said = desk("append_file", path="list.txt", text="one")
    assert said == "Added 3 characters to list.txt (3 bytes)."
    desk("append_file", path="list.txt", text="two\n")
    desk("append_file", path="list.txt", text="three")
    assert desk.get("list.txt") == b"one\ntwo\nthree"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_appends_in_the_encoding_of_the_file(desk: Desk, encoding: str) -> None:
    desk.put("a.txt", "Größe fünf, für größere Füße\n".encode(encoding))
    desk("append_file", path="a.txt", text="äöü")
    assert desk.get("a.txt").decode(encoding) == "Größe fünf, für größere Füße\näöü"


def test_does_not_append_text_to_what_is_none(desk: Desk) -> None:
    desk.put("data.bin", bytes(range(256)))
    with pytest.raises(ToolFailed, match="is not a text file"):
        desk("append_file", path="data.bin", text="x")
    assert desk.get("data.bin") == bytes(range(256))


def test_replaces_one_piece_of_text(desk: Desk) -> None:
    desk.put("a.txt", "one two three\n")
    said = desk("edit_file", path="a.txt", old="two", new="2")
    assert said == "Replaced 3 characters by 1 in a.txt."
    assert desk.get("a.txt") == b"one 2 three\n"
    assert desk.old() == [b"one two three\n"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("absent", "x", "`old` does not occur in 'a.txt'"),
        ("one too three", "x", "the closest line is 'one two three'"),
        ("one", "x", "`old` occurs 2 times in 'a.txt'; give more"),
        ("", "x", "`old` is empty"),
        ("two", "two", "are the same"),
    ],
)
def test_says_why_it_does_not_replace(desk: Desk, old: str, new: str, message: str) -> None:
    desk.put("a.txt", "one two three\none more")
    with pytest.raises(ToolRetry, match=message):
        desk("edit_file", path="a.txt", old=old, new=new)
    assert desk.get("a.txt") == b"one two three\none more"


def test_an_edit_leaves_line_ends_and_encoding_alone(desk: Desk) -> None:
    desk.put("win.txt", "eins\r\nzwei für fünf Füße\r\ndrei\r\n".encode("cp1252"))
    desk("edit_file", path="win.txt", old="eins\nzwei", new="1\n2\n3")
    assert desk.get("win.txt") == "1\r\n2\r\n3 für fünf Füße\r\ndrei\r\n".encode("cp1252")
    desk.put("wide.txt", "one two".encode("utf-16"))
    desk("edit_file", path="wide.txt", old="two", new="zwei")
    assert desk.get("wide.txt").decode("utf-16") == "one zwei"


def test_an_edit_that_the_encoding_cannot_hold_is_refused(desk: Desk) -> None:
    desk.put("a.txt", "Größe fünf, für größere Füße".encode("cp1252"))
    with pytest.raises(ToolFailed, match=r"cannot hold U\+6C49"):
        desk("edit_file", path="a.txt", old="fünf", new="汉")


def test_copies_moves_and_deletes(desk: Desk) -> None:
    desk.put("a.txt", "a")
    desk.put("taken.txt", "old")
    assert desk("copy_file", path="a.txt", to="taken.txt") == "Copied a.txt to taken.txt (1 byte)."
    assert desk("move_file", path="taken.txt", to="b/c.txt") == "Moved taken.txt to b/c.txt."
    assert desk("delete_file", path="a.txt") == "Deleted a.txt."
    assert desk.workspace.files() == ["b/c.txt"]
    assert desk.old() == [b"old", b"a"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read_file", {"path": "../secret"}),
        ("search_text", {"text": "x", "path": "../secret"}),
        ("list_files", {"folder": ".."}),
        ("write_file", {"path": "../secret", "text": "x"}),
        ("append_file", {"path": "../secret", "text": "x"}),
        ("edit_file", {"path": "../secret", "old": "x", "new": "y"}),
        ("copy_file", {"path": "../secret", "to": "a.txt"}),
        ("copy_file", {"path": "a.txt", "to": "../secret"}),
        ("move_file", {"path": "a.txt", "to": "/tmp/secret"}),
        ("delete_file", {"path": "../secret"}),
        ("write_file", {"path": ".git/hooks/pre-commit", "text": "x"}),
        ("write_file", {"path": "tuneward.yaml", "text": "mode: auto"}),
    ],
)
def test_no_tool_leaves_the_workspace(
    tmp_path: Path, desk: Desk, tool: str, arguments: dict[str, str]
) -> None:
    desk.put("a.txt", "a")
    (tmp_path / "secret").write_text("secret x")
    with pytest.raises(ToolError) as caught:
        desk(tool, **arguments)
    assert "secret x" not in str(caught.value)
    assert (tmp_path / "secret").read_text() == "secret x"
    assert desk.workspace.files() == ["a.txt"]


def test_many_files_are_searched_at_once(desk: Desk) -> None:
    for number in range(500):
        desk.put(f"f{number % 5}/{number}.txt", f"text {number}")
    started = time.process_time()
    assert desk("search_text", text="text 499").startswith("1 line")
    assert desk("list_files").startswith("500 files")
    assert time.process_time() - started < 1
