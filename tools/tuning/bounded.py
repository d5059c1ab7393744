"""Takes items off a stream by number and by size, so that long ones do not fill the memory."""

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def take(items: Iterator[T], *, most: int, size: int, size_of: Callable[[T], int]) -> list[T]:
    """The next items; at most so many, and none after those whose sizes together reach `size`."""
    taken: list[T] = []
    left = size
    while len(taken) < most and left > 0 and (item := next(items, None)) is not None:
        taken.append(item)
        left -= size_of(item)
    return taken
