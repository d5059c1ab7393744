"""Cuts Markdown at its headings: each part keeps the headings above it and its line numbers."""

from memory.chunks import Section, lines

MAX_CHARACTERS = 4_000_000
"""A longer text is not parsed; it is plain lines. The parser takes a second for about 2 MB."""
SEPARATOR = " > "


def markdown_sections(text: str) -> list[Section]:
    """One section for the text under each heading, the heading itself in its `heading`.

    A heading without text of its own is kept only in those of the parts below it, or, where there
    are none, as a section that is just the heading.
    """
    rows = text.split("\n")
    headings = _headings(text) if len(text) <= MAX_CHARACTERS else []
    sections = []
    path: list[tuple[int, str]] = []
    ends = [start for start, _, _, _ in headings[1:]] + [len(rows)]
    if (before := "\n".join(rows[: headings[0][0] if headings else len(rows)])).strip():
        sections.append(lines(before))
    for (start, body, level, title), end in zip(headings, ends, strict=True) if headings else ():
        path = [*((depth, name) for depth, name in path if depth < level), (level, title)]
        under = "\n".join(rows[body:end])
        if under.strip():
            heading = SEPARATOR.join(name for _, name in path if name)
            sections.append(lines(under, first=body + 1, heading=heading))
        elif not _goes_on(headings, start, level):
            sections.append(lines(SEPARATOR.join(name for _, name in path), first=start + 1))
    return sections


def _goes_on(headings: list[tuple[int, int, int, str]], start: int, level: int) -> bool:
    """Whether the heading in line `start` has one below it, which then carries it along."""
    following = next((h for h in headings if h[0] > start), None)
    return following is not None and following[2] > level


def _headings(text: str) -> list[tuple[int, int, int, str]]:
    """(its line, the line after it, level, title) of each heading, lines counted from 0."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").disable("inline")  # only blocks matter, and these are quick
    skipped = _front_matter(text)
    tokens = parser.parse("\n" * skipped + "\n".join(text.split("\n")[skipped:]))
    return [
        (token.map[0], token.map[1], int(token.tag[1:]), " ".join(content.content.split()))
        for token, content in zip(tokens, tokens[1:], strict=False)
        if token.type == "heading_open" and token.level == 0 and token.map is not None
    ]


def _front_matter(text: str) -> int:
    """Lines of YAML at the top, between two lines of `---`, which are no heading."""
    rows = text.split("\n", 200)
    if rows[0].rstrip() != "---":
        return 0
    return next((i + 1 for i, row in enumerate(rows[1:], 1) if row.rstrip() == "---"), 0)
