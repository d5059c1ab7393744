"""Which writing a text is in, and whether that is a writing of the model's language."""

from collections.abc import Iterable
from functools import cache

import regex  # type: ignore[import-untyped]  # the package ships no types

LANGUAGES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ca", "cs", "da", "de", "en", "es", "et", "fi", "fr", "gl"), ("Latin",)),
    **dict.fromkeys(("hr", "hu", "id", "it", "la", "lt", "lv", "ms", "nb", "nl"), ("Latin",)),
    **dict.fromkeys(("nn", "no", "pl"), ("Latin",)),
    **dict.fromkeys(("pt", "ro", "sk", "sl", "sq", "sv", "sw", "tr", "vi"), ("Latin",)),
    **dict.fromkeys(("be", "bg", "mk", "mn", "ru", "uk"), ("Cyrillic",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("Arabic",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("Devanagari",)),
    "el": ("Greek",),
    "gu": ("Gujarati",),
    "he": ("Hebrew",),
    "hy": ("Armenian",),
    "ja": ("Han", "Hiragana", "Katakana"),
    "ka": ("Georgian",),
    "ko": ("Hangul", "Han"),
    "ku": ("Latin", "Arabic"),
    "my": ("Myanmar",),
    "sr": ("Cyrillic", "Latin"),
    "th": ("Thai",),
    "zh": ("Han",),
}
"""Language codes to the scripts that they are written in."""
_SCRIPTS = sorted({script for scripts in LANGUAGES.values() for script in scripts})
_LETTER = regex.compile(r"\p{L}")


def scripts_of(languages: Iterable[str]) -> tuple[str, ...]:
    """The scripts of `en`, `en-GB` and the like together; empty where one is not listed."""
    plain = [language.lower().replace("_", "-").partition("-")[0] for language in languages]
    if not all(language in LANGUAGES for language in plain):
        return ()
    return tuple(dict.fromkeys(script for language in plain for script in LANGUAGES[language]))


def is_written_in(text: str, scripts: Iterable[str]) -> bool:
    """At least half of the letters are of these scripts; true of a text without letters."""
    if text.isascii():
        return "Latin" in scripts or not _LETTER.search(text)
    letters = len(_LETTER.findall(text))
    return 2 * sum(_count(text, script) for script in scripts) >= letters


def main_scripts(texts: Iterable[str]) -> tuple[str, ...]:
    """The scripts of the language that most of the letters could be of; Latin where none are."""
    counts = dict.fromkeys(_SCRIPTS, 0)
    for text in texts:
        for script in ("Latin",) if text.isascii() else _SCRIPTS:
            counts[script] += _count(text, script)
    if counts["Hiragana"] + counts["Katakana"] > counts["Han"] / 4:
        return LANGUAGES["ja"]
    best = max(counts, key=lambda script: (counts[script], script == "Latin"))
    return (best,)


def _count(text: str, script: str) -> int:
    return len(_pattern(script).findall(text))


@cache
def _pattern(script: str) -> regex.Pattern:
    return regex.compile(rf"(?V1)[\p{{L}}&&\p{{Script={script}}}]")
