"""Keeps stdout for results: what a tool, a library or a child process prints goes to stderr."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import UnsupportedOperation
from typing import TextIO

_kept: list[TextIO] = []


def results() -> TextIO:
    """Where results go, also while `only_results` holds."""
    return _kept[-1] if _kept else sys.stdout


@contextmanager
def only_results() -> Iterator[None]:
    """Let nothing but `results()` reach stdout."""
    stdout = sys.stdout
    try:
        number = stdout.fileno()
    except (UnsupportedOperation, AttributeError):  # no file: a notebook's, or a test's
        with redirect_stdout(sys.stderr):
            _kept.append(stdout)
            try:
                yield
            finally:
                _kept.pop()
        return
    stdout.flush()
    kept = open(os.dup(number), "w", encoding=stdout.encoding, errors=stdout.errors)  # noqa: PTH123, SIM115
    os.dup2(sys.stderr.fileno(), number)
    _kept.append(kept)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _kept.pop()
        os.dup2(kept.fileno(), number)
        with suppress(OSError):  # of a reader that is gone, the writer has heard already
            kept.close()
