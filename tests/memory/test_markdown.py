"""Markdown cut at its headings, with the line numbers of the file."""

import time

import pytest

from memory.chunks import cut
from memory.markdown import MAX_CHARACTERS, markdown_sections

TEXT = """Before all.

# Handbook

Welcome.

## Refunds ##

Paid within 14 days.

```sh
# no heading, a comment
```

Setext too
----------

Under it.

## Empty
### Deep

Deep text.

# Last
"""
REFUNDS = "Paid within 14 days.\n\n```sh\n# no heading, a comment\n```"


def found(text: str) -> dict[str, str]:
    """Heading and text to position, of every chunk."""
    return {chunk.text: chunk.position for s in markdown_sections(text) for chunk in cut(s)}


def test_each_part_has_its_headings_and_lines() -> None:
    assert found(TEXT) == {
        "Before all.": "line 1",
        "Handbook\nWelcome.": "line 5",
        f"Handbook > Refunds\n{REFUNDS}": "lines 9-13",
        "Handbook > Setext too\nUnder it.": "line 18",
        "Handbook > Empty > Deep\nDeep text.": "line 23",
        "Last": "line 25",
    }


def test_front_matter_is_no_heading() -> None:
    text = "---\ntitle: Refunds\n---\n# Real\n\ntext"
    assert found(text) == {"---\ntitle: Refunds\n---": "lines 1-3", "Real\ntext": "line 6"}


def test_a_rule_at_the_top_is_no_front_matter() -> None:
    assert found("---\n# Real\n\ntext")["Real\ntext"] == "line 4"


def test_a_heading_in_a_quote_or_list_parts_nothing() -> None:
    text = "# Real\n\n> # quoted\n> text\n\n- # listed\n"
    assert list(found(text)) == ["Real\n> # quoted\n> text\n\n- # listed"]


def test_a_level_that_comes_back_up_drops_the_deeper_headings() -> None:
    text = "# A\n\n### B\n\nb\n\n## C\n\nc\n\n# D\n\nd\n"
    assert list(found(text)) == ["A > B\nb", "A > C\nc", "D\nd"]


@pytest.mark.parametrize("text", ["", "\n\n", "no heading at all", "#no heading", "#", "# "])
def test_text_without_headings_is_one_section_at_most(text: str) -> None:
    assert len(markdown_sections(text)) <= 1


@pytest.mark.parametrize(
    "text",
    ["[" * 50_000, "> " * 20_000 + "x", "- " * 20_000 + "x", "# a\n" * 20_000, "*a " * 50_000],
    ids=["brackets", "quotes", "lists", "headings", "stars"],
)
def test_hostile_text_is_cut_in_a_moment(text: str) -> None:
    started = time.process_time()
    markdown_sections(text)
    assert time.process_time() - started < 15


def test_an_enormous_text_is_not_parsed() -> None:
    (section,) = markdown_sections("# A\n\ntext\n" * (MAX_CHARACTERS // 9))
    assert section.heading == ""
