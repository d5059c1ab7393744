"""Nothing that a file or a model wrote can move the cursor, hide, or reorder what is shown."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.safe_text import cells, safe_text

HOSTILE: dict[str, tuple[str, str]] = {
    "colour": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "clear screen": ("\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
    "title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "link (OSC 8)": ("\x1b]8;;http://x\x1b\\a", r"\x1b]8;;http://x\x1b\a"),
    "clipboard (OSC 52)": ("\x1b]52;c;eA==\x07", r"\x1b]52;c;eA==\x07"),
    "DCS": ("\x1bPq\x1b\\", r"\x1bPq\x1b" + "\\"),
    "C1 CSI": ("\x9b31m", r"\x9b31m"),
    "C1 next line": ("a\x85b", r"a\x85b"),
    "carriage return": ("safe\revil", r"safe\revil"),
    "backspace": ("rm\x08\x08ls", r"rm\x08\x08ls"),
    "delete": ("a\x7f", r"a\x7f"),
    "bell": ("\x07", r"\x07"),
    "NUL": ("a\x00b", r"a\x00b"),
    "vertical tab": ("a\x0bb", r"a\x0bb"),
    "right to left override": ("txt.\u202eexe", r"txt.\u202eexe"),
    "isolate": ("\u2066a\u2069", r"\u2066a\u2069"),
    "right to left mark": ("a\u200fb", r"a\u200fb"),
    "zero width space": ("pass\u200bword", r"pass\u200bword"),
    "word joiner": ("a\u2060b", r"a\u2060b"),
    "joiner between letters": ("a\u200db", r"a\u200db"),
    "byte order mark": ("\ufeffa", r"\ufeffa"),
    "soft hyphen": ("a\u00adb", r"a\xadb"),
    "line separator": ("a\u2028b", r"a\u2028b"),
    "tag characters": ("a\U000e0041\U000e007f", r"a\U000e0041\U000e007f"),
    "variation selector": ("a\ufe00", r"a\ufe00"),
    "hidden selectors": ("a\U000e0101", r"a\U000e0101"),
    "Hangul filler": ("\u3164", r"\u3164"),
    "blank Braille": ("\u2800", r"\u2800"),
    "lone surrogate": ("a\ud800b", r"a\ud800b"),
    "private use": ("\ue000", r"\ue000"),
    "noncharacter": ("\ufffe", r"\ufffe"),
    "mark at the start": ("\u0301a", r"\u0301a"),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE.keys())
def test_shows_what_it_is(text: str, shown: str) -> None:
    assert safe_text(text) == shown
    assert safe_text(text, one_line=True) == shown


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "C:\\files\\a.txt",
        "Grüße, naïve café",
        "e\u0301",
        "日本語のテキスト",
        "统计行数，写到“报告.txt”。",
        "한국어",
        "नमस्ते",
        "ประเทศไทย",
        "שלום",
        "👍🏽",
        "👨‍👩‍👧",
        "❤️",
        "1️⃣",
        "🇩🇪",
        "🫨",
        "a\u00a0b",
        "　",
    ],
)
def test_leaves_writing_and_emoji_alone(text: str) -> None:
    assert safe_text(text) == text
    assert safe_text(text, one_line=True) == text
    assert safe_text(text, width=80) == text


def test_lines_stay_lines_unless_the_field_has_one() -> None:
    assert safe_text("a\r\nb\n\tc") == "a\nb\n    c"
    assert safe_text("a\r\nb\n\tc", one_line=True) == r"a\r\nb\n\tc"


def test_a_fake_prompt_cannot_start_a_line_of_its_own() -> None:
    assert "\n" not in safe_text("report.txt\nAllow? [y/N] y", one_line=True)


def test_a_pile_of_marks_is_counted_not_drawn() -> None:
    assert safe_text("e" + "\u0301" * 10_000) == "e" + "\u0301" * 4 + "[9996 more marks]"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("short", 5, "short"),
        ("x" * 100, 22, "xxxxx... 95 more bytes"),
        ("日本語" * 50, 30, "日本語日本語... 432 more bytes"),
        ("日本語" * 50, 29, "日本語日本... 435 more bytes"),
        ("x" * 100, 3, "..."),
        ("x" * 100, 1, "."),
    ],
)
def test_cuts_to_the_width_and_counts_the_rest(text: str, width: int, shown: str) -> None:
    result = safe_text(text, width=width)
    assert cells(result) <= width
    assert result == shown


def test_each_line_is_cut_for_itself() -> None:
    lines = safe_text("x" * 99 + "\nshort\n" + "y" * 99, width=30).split("\n")
    assert lines[1] == "short"
    assert all(cells(line) <= 30 for line in lines)
    assert all(line.endswith(" more bytes") for line in (lines[0], lines[2]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abc", 3), ("日本", 4), ("👨‍👩‍👧", 2), ("e\u0301", 1), ("❤️", 2), ("", 0)],
)
def test_counts_cells_as_a_terminal_does(text: str, expected: int) -> None:
    assert cells(text) == expected


def test_a_huge_line_costs_little_where_little_is_shown() -> None:
    started = time.process_time()
    result = safe_text("日\x1b" * 5_000_000, width=80)
    assert time.process_time() - started < 2
    assert cells(result) <= 80


_BAD = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_ANY = st.text(
    st.characters(codec=None) | st.sampled_from("\u200d\ufe0f\u202e\x1b\r\n\t\u0301👨👩1")
)


@given(_ANY, st.booleans())
def test_nothing_harmful_is_left(text: str, one_line: bool) -> None:
    shown = safe_text(text, one_line=one_line)
    allowed = {"\u200d"} if one_line else {"\u200d", "\n"}
    assert all(unicodedata.category(char) not in _BAD for char in shown if char not in allowed), (
        ascii(shown)
    )
    shown.encode("utf-8")
    assert safe_text(shown, one_line=one_line) == shown


@given(_ANY, st.integers(0, 60))
def test_no_line_is_wider_than_asked(text: str, width: int) -> None:
    for line in safe_text(text, width=width).split("\n"):
        assert cells(line) <= width
