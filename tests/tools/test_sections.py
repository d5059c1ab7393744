"""Every kind of document as sections, with the positions that the other tools count in."""

import io
import json
from pathlib import Path

import docx
import polars as pl
import pytest

from memory.chunks import NoText, cut
from tests.tools import sample_documents
from tools.context import ToolContext
from tools.documents import get_tools
from tools.errors import ToolFailed
from tools.sections import sections_of
from tools.workspace import Workspace


def found(path: str, data: bytes) -> list[tuple[str, str]]:
    """(position, text) of every chunk."""
    return [(c.position, c.text) for section in sections_of(path, data) for c in cut(section)]


def test_plain_text_is_counted_in_lines() -> None:
    assert found("notes.txt", b"first\r\nsecond\r\n") == [("lines 1-2", "first\nsecond")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_of_any_encoding_is_read(encoding: str) -> None:
    text = "Die Rückgabe ist möglich. Größe und Menge stehen im Brief."
    assert found("brief.txt", text.encode(encoding)) == [("line 1", text)]


def test_an_unknown_ending_is_plain_text() -> None:
    assert found("Makefile", b"all: test\n") == [("line 1", "all: test")]


def test_markdown_keeps_its_headings() -> None:
    assert found("READ.MD", b"# Handbook\n\n## Refunds\n\nIn 14 days.\n") == [
        ("line 5", "Handbook > Refunds\nIn 14 days.")
    ]


def test_a_pdf_is_counted_in_its_pages() -> None:
    data = sample_documents.pdf(["One " * 120, "Two " * 120])
    positions = [position for position, _ in found("a.pdf", data)]
    assert positions[0] == "page 1"
    assert positions[-1] == "page 2"


def test_html_is_what_a_reader_sees() -> None:
    page = b"<title>Shop</title><script>evil()</script><h1>Refunds</h1><p>In 14&nbsp;days.</p>"
    assert found("page.html", page) == [("page 1", "Shop\nRefunds\nIn 14 days.")]


def test_a_word_file_is_read_with_its_tables() -> None:
    document = docx.Document()
    document.add_paragraph("Prices of March")
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Lamp", "12.50"
    out = io.BytesIO()
    document.save(out)
    assert found("prices.docx", out.getvalue()) == [("page 1", "Prices of March\nLamp | 12.50")]


def test_a_long_page_stands_where_document_text_shows_it(tmp_path: Path) -> None:
    rows = "".join(f"<p>Row {i} tells of item {i * 7}.</p>" for i in range(400))
    workspace = Workspace(tmp_path)
    workspace.write_bytes("long.html", rows.encode())
    (tool,) = get_tools(ToolContext(workspace))
    chunks = found("long.html", rows.encode())
    position, text = next((p, t) for p, t in chunks if "Row 300 " in t)
    number = int(position.split()[-1].split("-")[-1])
    shown = tool.invoke({"path": "long.html", "page": number})
    assert text.split("\n")[-1] in shown


def test_rows_of_a_table_name_their_columns() -> None:
    data = b"name;price\nLamp;12.50\n\nDesk;\n"
    assert found("a.csv", data) == [("rows 1-2", "name: Lamp\nprice: 12.50\n\nname: Desk")]


def test_rows_of_every_table_format_read_alike() -> None:
    rows = [{"name": "Lamp", "stock": 3}, {"name": "Desk", "stock": None}]
    expected = [("rows 1-2", "name: Lamp\nstock: 3\n\nname: Desk")]
    assert found("a.jsonl", "\n".join(json.dumps(row) for row in rows).encode()) == expected
    out = io.BytesIO()
    pl.DataFrame(rows).write_parquet(out)
    assert found("a.parquet", out.getvalue()) == expected
    assert found("a.tsv", b"name\tstock\nLamp\t3\nDesk\t\n") == expected


def test_a_cell_of_several_lines_stays_in_its_row() -> None:
    data = b'name,text\nLamp,"first\n\nsecond"\nDesk,other\n'
    assert found("a.csv", data) == [
        ("rows 1-2", "name: Lamp\ntext: first second\n\nname: Desk\ntext: other")
    ]


def test_rows_of_a_long_table_are_found_at_their_numbers() -> None:
    data = "name,price\n" + "".join(f"Item {i},{i * 3}\n" for i in range(1, 501))
    for position, text in found("a.csv", data.encode()):
        first = int(position.split()[1].split("-")[0])
        assert text.startswith(f"name: Item {first}\n")


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.txt", b""),
        ("a.txt", b" \n\t"),
        ("a.pdf", b""),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("a.csv", b"name,price\n"),
        ("scan.pdf", sample_documents.blank_pdf(2)),
    ],
)
def test_a_file_without_text_says_so(path: str, data: bytes) -> None:
    with pytest.raises(NoText):
        sections_of(path, data)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("a.pdf", b"%PDF-1.7 broken"),
        ("sealed.pdf", sample_documents.encrypted_pdf("secret")),
        ("a.docx", b"PK\x03\x04 broken"),
        ("a.csv", b'name,price\n"Lamp,12\n'),
        ("a.jsonl", b"{broken"),
        ("a.parquet", b"PAR1broken"),
    ],
)
def test_a_broken_file_fails_by_name(path: str, data: bytes) -> None:
    with pytest.raises(ToolFailed, match=path):
        sections_of(path, data)


def test_invisible_characters_are_left_out() -> None:
    hidden = "Pay\u0007 now\U000e0041\U000e0042.".encode()
    assert found("a.txt", hidden) == [("line 1", "Pay now.")]
    assert found("a.csv", b"note\nPay\x07 now\n") == [("row 1", "note: Pay now")]
