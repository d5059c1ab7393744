"""PDF, Word and HTML documents read as text; broken, sealed and hostile ones refused."""

import io
import time
from pathlib import Path

import docx
import pytest
from langchain_core.tools import BaseTool

from tests.tools import sample_documents
from tools import documents, files
from tools.context import ToolContext
from tools.errors import ToolError, ToolFailed, ToolRetry
from tools.pages import Pages
from tools.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def read(workspace: Workspace, path: str, page: int = 1) -> str:
    tool: BaseTool = documents.get_tools(ToolContext(workspace))[0]
    assert tool.name == "document_text"
    return str(tool.invoke({"path": path, "page": page}))


# -- PDF -------------------------------------------------------------------------------------------


def test_reads_a_pdf_by_its_own_pages(workspace: Workspace) -> None:
    data = sample_documents.pdf(["First page\nof (two)", "Größe: 5 €"])
    workspace.write_bytes("report.pdf", data)
    assert read(workspace, "report.pdf") == "report.pdf, page 1 of 2:\nFirst page\nof (two)"
    assert read(workspace, "report.pdf", 2) == "report.pdf, page 2 of 2:\nGröße: 5 €"
    assert Pages(workspace).count("report.pdf") == 2
    assert Pages(workspace).text("report.pdf") == "First page\nof (two)\n\nGröße: 5 €"
    with pytest.raises(ToolRetry, match="pages 1 to 2, not page 3"):
        read(workspace, "report.pdf", 3)


def test_a_long_pdf_is_opened_without_reading_it_all(workspace: Workspace) -> None:
    workspace.write_bytes("long.pdf", sample_documents.pdf([f"page {n}" for n in range(400)]))
    started = time.process_time()
    assert Pages(workspace).count("long.pdf") == 400
    assert "page 399" in read(workspace, "long.pdf", 400)
    assert time.process_time() - started < 2


def test_a_pdf_sealed_with_a_password_says_so(workspace: Workspace) -> None:
    workspace.write_bytes("sealed.pdf", sample_documents.encrypted_pdf("secret"))
    with pytest.raises(ToolFailed, match=r"'sealed.pdf' is encrypted and needs a password"):
        read(workspace, "sealed.pdf")


def test_a_pdf_that_anybody_may_open_is_read(workspace: Workspace) -> None:
    workspace.write_bytes("open.pdf", sample_documents.encrypted_pdf(""))
    assert read(workspace, "open.pdf") == "sealed text"


def test_a_scanned_pdf_has_no_text(workspace: Workspace) -> None:
    workspace.write_bytes("scan.pdf", sample_documents.blank_pdf(2))
    assert read(workspace, "scan.pdf") == "scan.pdf, page 1 of 2:\n(no text on this page)"


def test_a_pdf_of_too_many_pages_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.documents_text.MAX_PDF_PAGES", 3)
    workspace.write_bytes("long.pdf", sample_documents.pdf(["x"] * 4))
    with pytest.raises(ToolFailed, match="has 4 pages; at most 3"):
        read(workspace, "long.pdf")


def test_a_broken_pdf_never_breaks_more_than_the_call(workspace: Workspace) -> None:
    whole = sample_documents.pdf(["some text", "more text"])
    cases = [whole[:length] for length in range(0, len(whole), 37)]
    cases += [
        whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        for place in range(9, len(whole), 23)
    ]
    outcomes = {"read": 0, "refused": 0}
    for number, data in enumerate(cases):
        workspace.write_bytes(f"{number}.pdf", data)
        try:
            read(workspace, f"{number}.pdf")
            outcomes["read"] += 1
        except ToolError:
            outcomes["refused"] += 1
    assert all(outcomes.values()), outcomes


# -- Word ------------------------------------------------------------------------------------------


def test_reads_a_word_file_in_its_order(workspace: Workspace) -> None:
    document = docx.Document()
    document.add_heading("Report")
    document.add_paragraph("Costs rose by 5 %.")
    table = document.add_table(rows=2, cols=2)
    for row, column, text in ((0, 0, "city"), (0, 1, "sum"), (1, 0, "Berlin"), (1, 1, "7")):
        table.cell(row, column).text = text
    document.add_paragraph("The end.")
    out = io.BytesIO()
    document.save(out)
    workspace.write_bytes("report.docx", out.getvalue())
    assert read(workspace, "report.docx") == (
        "Report\nCosts rose by 5 %.\ncity | sum\nBerlin | 7\nThe end."
    )


def test_reads_insertions_and_links_but_not_what_was_struck(workspace: Workspace) -> None:
    body = (
        "<w:p><w:r><w:t>kept</w:t></w:r><w:ins><w:r><w:t> added</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText> struck</w:delText></w:r></w:del>"
        "<w:hyperlink><w:r><w:t> linked</w:t></w:r></w:hyperlink></w:p>"
        "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"
    )
    workspace.write_bytes("changes.docx", sample_documents.word_file(body))
    assert read(workspace, "changes.docx") == "kept added linked\na\tb\nc"


def test_a_long_word_file_has_pages(workspace: Workspace) -> None:
    body = "".join(f"<w:p><w:r><w:t>paragraph {n}</w:t></w:r></w:p>" for n in range(1_000))
    workspace.write_bytes("long.docx", sample_documents.word_file(body))
    count = Pages(workspace).count("long.docx")
    assert count > 3
    assert read(workspace, "long.docx", count).endswith("paragraph 999")


def test_a_zip_bomb_is_refused_unpacked(workspace: Workspace) -> None:
    bomb = sample_documents.packed({"word/document.xml": b" " * (64 << 20)})
    assert len(bomb) < 1 << 20
    workspace.write_bytes("bomb.docx", bomb)
    started = time.process_time()
    with pytest.raises(ToolFailed, match=r"would unpack to 67,108,864 bytes .* zip bomb"):
        read(workspace, "bomb.docx")
    assert time.process_time() - started < 1


def test_a_zip_of_very_many_parts_is_refused(workspace: Workspace) -> None:
    parts = {f"word/{number}.xml": b"" for number in range(6_000)}
    workspace.write_bytes("many.docx", sample_documents.packed(parts))
    with pytest.raises(ToolFailed, match=r"in 6,000 parts; it is refused"):
        read(workspace, "many.docx")


def test_a_bomb_of_entities_stays_small(workspace: Workspace) -> None:
    entities = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
    )
    data = sample_documents.word_file(
        "<w:p><w:r><w:t>before &a11; after</w:t></w:r></w:p>",
        before=f"<!DOCTYPE x [{entities}]>",
    )
    workspace.write_bytes("entities.docx", data)
    started = time.process_time()
    try:
        text = read(workspace, "entities.docx")
    except ToolFailed:
        text = ""
    assert len(text) < 1_000
    assert time.process_time() - started < 1


def test_a_word_file_reads_no_other_file(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    data = sample_documents.word_file(
        "<w:p><w:r><w:t>text &x; text</w:t></w:r></w:p>",
        before=f'<!DOCTYPE x [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>',
    )
    workspace.write_bytes("outside.docx", data)
    try:
        assert "the secret" not in read(workspace, "outside.docx")
    except ToolFailed as error:
        assert "the secret" not in str(error)  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"plain text", "is no readable Word file"),
        (b"PK\x03\x04 and nothing more", "is no readable Word file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is encrypted or an old Word file"),
        (sample_documents.packed({"a.txt": b"x"}), "is no readable Word file"),
        (sample_documents.word_file("<w:p><w:broken>"), "is no readable Word file"),
        (sample_documents.word_file(""), "has no text"),
    ],
)
def test_what_is_no_word_file_is_refused(workspace: Workspace, data: bytes, message: str) -> None:
    workspace.write_bytes("bad.docx", data)
    with pytest.raises(ToolFailed, match=f"'bad.docx' {message}") as caught:
        read(workspace, "bad.docx")
    assert "\n" not in str(caught.value)


# -- HTML ------------------------------------------------------------------------------------------

_PAGE = """<!doctype html><html><head><title>Prices</title><style>p {color: red}</style>
<script>alert("x")</script></head><body><!-- a comment --><h1>Our  prices</h1>
<p>One <b>big</b>
apple.</p>after<br>a break<ul><li>first<li>second</ul>
<table><tr><th>fruit<th>price</tr><tr><td>apple<td>3 &euro;</tr></table>
<pre>kept
  as it is</pre><p hidden>unseen 1</p><div style="display: none">unseen 2</div>
<span aria-hidden="true">unseen 3</span></body></html>"""


def test_reads_a_page_as_a_person_sees_it(workspace: Workspace) -> None:
    workspace.write_bytes("page.html", _PAGE.encode())
    assert read(workspace, "page.html").splitlines() == [
        "Prices",
        "Our prices",
        "One big apple.",
        "after",
        "a break",
        "- first",
        "- second",
        "fruit | price",
        "apple | 3 €",
        "kept",
        "as it is",
    ]


def test_a_page_says_which_encoding_it_has(workspace: Workspace) -> None:
    page = '<meta charset="shift_jis"><p>これは日本語のページです</p>'
    workspace.write_bytes("page.htm", page.encode("shift_jis"))
    assert read(workspace, "page.htm") == "これは日本語のページです"


@pytest.mark.parametrize(
    "data",
    [
        b"<div>" * 50_000 + b"deep",
        b"<table><tr><td>" * 20_000 + b"deep",
        b"\x00<p>x",
        b"<![if foo]><p>x</p><![endif]>",
        b"<p>" + b"x" * 1_000_000,
        bytes(range(256)) * 100,
        b"<a b='" + b"c" * 100_000,
    ],
)
def test_an_odd_page_is_read_or_refused(workspace: Workspace, data: bytes) -> None:
    workspace.write_bytes("odd.html", data)
    started = time.process_time()
    try:
        assert read(workspace, "odd.html")
    except ToolFailed as error:
        assert "odd.html" in str(error)  # noqa: PT017 - either way is right
    assert time.process_time() - started < 10


def test_a_page_without_text_says_so(workspace: Workspace) -> None:
    workspace.write_bytes("empty.html", b"<html><body><img src=x></body></html>")
    with pytest.raises(ToolFailed, match="'empty.html' has no text"):
        read(workspace, "empty.html")


# -- beside ----------------------------------------------------------------------------------------


def test_read_file_and_search_read_documents_too(workspace: Workspace) -> None:
    workspace.write_bytes("a.pdf", sample_documents.pdf(["the deadline is May 1"]))
    tools = {tool.name: tool for tool in files.get_tools(ToolContext(workspace))}
    assert tools["read_file"].invoke({"path": "a.pdf"}) == "the deadline is May 1"
    found = tools["search_text"].invoke({"text": "Deadline", "path": "a.pdf"})
    assert found.endswith("a.pdf:1: the deadline is May 1")


def test_a_missing_document_is_named(workspace: Workspace) -> None:
    with pytest.raises(ToolRetry, match="there is no 'gone.pdf'"):
        read(workspace, "gone.pdf")
