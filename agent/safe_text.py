"""Makes text that came from a file or a model harmless to print: the one door to the terminal.

Covered: terminal escapes (C0, DEL, C1), direction overrides, invisible and tag characters, lone
surrogates, private and unassigned code points, piles of combining marks, and, in one-line fields,
line breaks. Each becomes visible as `\\x1b` or `\\u202e`. Not covered: letters that look alike, and
text that lies in plain words.
"""

import unicodedata

from wcwidth import wcswidth

from agent.patterns import clusters, has_marks

_JOINER = "\u200d"
_EMOJI_STYLE = "\ufe0f"
_KEYCAP = "\u20e3"
_MAX_MARKS = 4
"""Combining marks shown on one letter; scripts that people write need three at most."""

_INVISIBLE = frozenset(
    chr(point)
    for first, last in (
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x180B, 0x180F),  # Mongolian variation selectors
        (0x2800, 0x2800),  # blank Braille pattern
        (0x3164, 0x3164),  # Hangul filler
        (0xFE00, 0xFE0F),  # variation selectors
        (0xFFA0, 0xFFA0),  # half-width Hangul filler
        (0xE0000, 0xE0FFF),  # tags and supplementary variation selectors
    )
    for point in range(first, last + 1)
)
"""Characters without a shape that Unicode does not class as control or format."""
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def safe_text(text: str, *, width: int | None = None, one_line: bool = False) -> str:
    """The text with everything that could move the cursor, hide or reorder it made visible.

    Args:
        text: anything, however hostile.
        width: at most so many terminal cells a line; what is cut is counted: `... 812 more bytes`.
        one_line: line breaks and tabs are escaped too, so the result is one line.
    """
    if one_line:
        return _line(text, width)
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_line(line.replace("\t", "    "), width) for line in lines)


def cells(text: str) -> int:
    """How many terminal cells a line of safe text takes."""
    return len(text) if text.isascii() else sum(_cells(cluster) for cluster in clusters(text))


def _line(line: str, width: int | None) -> str:
    if width is None:
        if line.isprintable() and not has_marks(line) and _INVISIBLE.isdisjoint(line):
            return line
        return "".join(map(_escaped, clusters(line)))
    shown: list[str] = []
    sizes: list[int] = []
    ends: list[int] = []  # how much of `line` is shown up to each piece
    used = taken = 0
    for cluster in clusters(line):
        taken += len(cluster)
        piece = _escaped(cluster)
        shown.append(piece)
        sizes.append(cells(piece))
        ends.append(taken)
        used += sizes[-1]
        if used > width:
            return _cut(line, shown, sizes, ends, width)
    return "".join(shown)


def _cut(line: str, shown: list[str], sizes: list[int], ends: list[int], width: int) -> str:
    """As many of the pieces as fit in `width` together with the count of what is left out."""
    used = sum(sizes)
    while shown:
        used -= sizes.pop()
        shown.pop()
        ends.pop()
        rest = len(line[ends[-1] if ends else 0 :].encode("utf-8", "surrogatepass"))
        tail = f"... {rest} more bytes"
        if used + len(tail) <= width:
            return "".join(shown) + tail
    return "..."[:width]


def _escaped(cluster: str) -> str:
    """One visible character as it is, or its harmful parts as `\\u....`."""
    if len(cluster) == 1 and cluster.isprintable() and not unicodedata.combining(cluster):
        return cluster if cluster not in _INVISIBLE else _code(cluster)
    parts: list[str] = []
    marks = 0
    for i, char in enumerate(cluster):
        if _joins_emoji(cluster, i):
            parts.append(char)
        elif _is_harmful(char):
            parts.append(_code(char))
        elif unicodedata.category(char) in ("Mn", "Me"):
            marks += 1
            if i == 0:  # nothing to stand on: it would change the character before this text
                parts.append(_code(char))
            elif marks <= _MAX_MARKS:
                parts.append(char)
        else:
            parts.append(char)
    if marks > _MAX_MARKS:
        parts.append(f"[{marks - _MAX_MARKS} more marks]")
    return "".join(parts)


def _joins_emoji(cluster: str, i: int) -> bool:
    """Joiner or emoji style inside an emoji: the only place where they are harmless."""
    char = cluster[i]
    if char == _JOINER:
        return 0 < i < len(cluster) - 1 and _is_symbol(cluster[i + 1])
    if char == _EMOJI_STYLE:
        return i > 0 and (_is_symbol(cluster[i - 1]) or cluster[i + 1 : i + 2] == _KEYCAP)
    return False


def _is_symbol(char: str) -> bool:
    return unicodedata.category(char) in ("So", "Sm", "Po", "Sk") or _is_new_emoji(char)


def _is_new_emoji(char: str) -> bool:
    """Blocks of pictures and ideographs where each Unicode version adds; older Pythons lag."""
    return "\U0001f000" <= char <= "\U0001faff" or "\U00020000" <= char <= "\U0003fffd"


def _is_harmful(char: str) -> bool:
    category = unicodedata.category(char)
    if category == "Cn":
        return not _is_new_emoji(char)
    return category in _HARMFUL or char in _INVISIBLE


def _code(char: str) -> str:
    """`\\n`, `\\x1b`, `\\u202e` or `\\U000e0041`."""
    return char.encode("unicode_escape").decode("ascii")


def _cells(cluster: str) -> int:
    size = wcswidth(cluster)
    return size if size >= 0 else sum(max(wcswidth(char), 1) for char in cluster)
