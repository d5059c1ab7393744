"""Turns a file's bytes into text, whatever encoding a person's program wrote."""

from charset_normalizer import from_bytes

SAMPLE_BYTES = 256 << 10
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_USUAL = ("gb18030", "cp1252")
_DOUBTFUL = 0.12
"""Share of odd characters above which the usual two are given up."""


def decode(data: bytes) -> str | None:
    """The text, without a byte order mark; None where `data` is no text."""
    encoding = encoding_of(data)
    return None if encoding is None else data.decode(encoding, errors="replace")


def encoding_of(data: bytes) -> str | None:
    """The name of the encoding that `data` is in; None where `data` is no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    sample = data[:SAMPLE_BYTES]
    if b"\0" in sample:
        return _unmarked_utf16(sample)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _legacy(sample)
    return "utf-8"


def _legacy(sample: bytes) -> str | None:
    """A short text gives a guesser nothing to go by, so the usual ones are asked first."""
    best = from_bytes(sample, cp_isolation=list(_USUAL)).best()
    if best is None or best.chaos > _DOUBTFUL:
        best = from_bytes(sample).best() or best
    return best.encoding if best is not None else None


def _unmarked_utf16(sample: bytes) -> str | None:
    """UTF-16 of mostly western text has a NUL in every other place; anything else is binary."""
    half = max(1, len(sample) // 2)
    if len(sample) % 2 == 0 and sample[1::2].count(0) > 0.4 * half and 0 not in sample[::2]:
        return "utf-16-le"
    if len(sample) % 2 == 0 and sample[::2].count(0) > 0.4 * half and 0 not in sample[1::2]:
        return "utf-16-be"
    return None
