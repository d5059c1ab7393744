"""Finds the existing name that a wrong one probably meant."""

import difflib
from collections.abc import Callable, Sequence

MAX_NAMES = 2_000


def did_you_mean(wrong: str, names: Callable[[], Sequence[str]]) -> str:
    """`; did you mean 'x'?` where something close exists, else what there is, else nothing."""
    known = list(names())
    if not known:
        return ""
    same_name = [n for n in known if n.rpartition("/")[2] == wrong.rpartition("/")[2]]
    close = same_name or difflib.get_close_matches(wrong, known[:MAX_NAMES], n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if len(known) <= 10:
        return "; there is " + ", ".join(repr(n) for n in known)
    return ""
