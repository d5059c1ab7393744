"""Cuts Markdown at its headings: each part keeps the headings above it and its line numbers."""

from dataclasses import dataclass
from itertools import zip_longest

from memory.chunks import Section, lines

MAX_CHARACTERS = 4_000_000
"""A longer text is not parsed; it is plain lines. The parser takes some two seconds a megabyte."""
SEPARATOR = " > "


def markdown_sections(text: str) -> list[Section]:
    """One section for the text under each heading, the heading itself in its `heading`.

    A heading without text of its own is kept only in those of the parts below it, or, where there
    are none, as a section that is just the heading.
    """
    rows = text.split("\n")
    headings = _headings(text) if len(text) <= MAX_CHARACTERS else []
    first = headings[0].line if headings else len(rows)
    before = "\n".join(rows[:first])
    sections = [lines(before)] if before.strip() else []
    path: list[_Heading] = []
    for heading, following in zip_longest(headings, headings[1:]):
        path = [*(above for above in path if above.level < heading.level), heading]
        titles = SEPARATOR.join(above.title for above in path if above.title)
        under = "\n".join(rows[heading.end : following.line if following else len(rows)])
        if under.strip():
            sections.append(lines(under, first=heading.end + 1, heading=titles))
        elif following is None or following.level <= heading.level:
            sections.append(lines(titles, first=heading.line + 1))
    return sections


@dataclass(frozen=True, slots=True)
class _Heading:
    """Lines are counted from 0."""

    line: int
    end: int
    """The line after it; a heading may be underlined."""
    level: int
    title: str


def _headings(text: str) -> list[_Heading]:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").disable("inline")  # only blocks matter, and these are quick
    skipped = _front_matter(text)
    tokens = parser.parse("\n" * skipped + "\n".join(text.split("\n")[skipped:]))
    return [
        _Heading(token.map[0], token.map[1], int(token.tag[1:]), " ".join(content.content.split()))
        for token, content in zip(tokens, tokens[1:], strict=False)
        if token.type == "heading_open" and token.level == 0 and token.map is not None
    ]


def _front_matter(text: str) -> int:
    """Lines of YAML at the top, between two lines of `---`, which are no heading."""
    rows = text.split("\n", 200)
    if rows[0].rstrip() != "---":
        return 0
    return next((i + 1 for i, row in enumerate(rows[1:], 1) if row.rstrip() == "---"), 0)
