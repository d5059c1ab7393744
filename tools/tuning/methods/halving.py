"""Reads rows without gradients in as many pieces as the memory wants."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from models.errors import OutOfMemory
from tools.tuning.methods.device_state import free_memory, memory_errors

T = TypeVar("T")
Answer = TypeVar("Answer")


def in_pieces(rows: Sequence[T], read: Callable[[Sequence[T]], Answer]) -> list[Answer]:
    """What `read` gives for all rows at once or, where memory runs out, for halves, in order.

    Raises:
        OutOfMemory: not even one row fits.
    """
    try:
        with memory_errors():
            return [read(rows)]
    except OutOfMemory:
        if len(rows) == 1:
            raise
    # Outside of `except`, whose traceback would hold on to the memory of the failed try.
    free_memory()
    half = len(rows) // 2
    return [*in_pieces(rows[:half], read), *in_pieces(rows[half:], read)]
