"""Says which inputs are the same text, however they are written."""

import hashlib
import unicodedata

from tools.tuning.examples import Input, TextInput

_BETWEEN = "\x1f"


def fingerprint(value: Input) -> str:
    """A hash that is equal for texts that differ only in case, spaces or the width of letters.

    64 hex digits, the same on every machine and in every run.
    """
    if isinstance(value, TextInput):
        plain = _plain(value.text) + _BETWEEN + _plain(value.pair)
    else:
        plain = _plain(" ".join(value.tokens))
    return hashlib.sha256(plain.encode()).hexdigest()


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())
