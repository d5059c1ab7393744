"""Where words go: results to stdout, all else to stderr, the outcome on stderr's last line."""

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

INTERNAL_ERROR = 5


def result(text: str) -> None:
    """A line of the result, made safe to show."""
    from agent.safe_text import safe_text

    print(safe_text(text))


def json_result(value: object) -> None:
    """The result for a program: one JSON document on one line."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under a head, columns as wide as the text in them (CJK counts two cells)."""
    from agent.safe_text import cells, safe_text

    lines = [list(head), *([safe_text(cell, one_line=True) for cell in row] for row in rows)]
    widths = [max(cells(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        padded = [cell + " " * (widths[i] - cells(cell)) for i, cell in enumerate(line)]
        print("  ".join(padded).rstrip())


def note(text: str) -> None:
    """Something to know that is no result."""
    from agent.safe_text import safe_text

    with suppress(OSError):  # nobody can be told; the exit code still says it
        print(safe_text(text), file=sys.stderr, flush=True)


def last_line(text: str) -> None:
    """How it ended and what to do next; nothing is printed after it."""
    with suppress(OSError):  # whoever read the results may be gone
        sys.stdout.flush()
    note(text)
