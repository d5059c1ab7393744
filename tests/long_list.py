"""Long lists of cases: CI runs a sample of each, `scripts/stress NAME` runs all of it.

@pytest.mark.stress("paths")
@pytest.mark.parametrize("path", sample(hostile_paths()))
def test_refuses(path: str) -> None: ...
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import pytest

T = TypeVar("T")

_in_full = False


def run_in_full() -> None:
    """From now on `sample` gives whole lists."""
    global _in_full
    _in_full = True


def in_full() -> bool:
    """True where the whole list is wanted; for tests that make their cases themselves."""
    return _in_full


def sample(cases: Iterable[T], count: int = 20) -> Sequence[T]:
    """All cases where wanted in full, else `count` of them: evenly spread, always the same."""
    everything = list(cases)
    if _in_full or len(everything) <= count:
        return everything
    return [everything[i * len(everything) // count] for i in range(count)]


def select(items: list[pytest.Item], wanted: str) -> list[pytest.Item]:
    """The tests of the long list `wanted`; `all` and `list` mean every one.

    Raises:
        pytest.UsageError: there is no such list.
    """
    names = {item: mark.args[0] for item in items if (mark := item.get_closest_marker("stress"))}
    known = sorted(set(names.values()))
    if wanted == "list":
        print("\n".join(["long lists:", *known]))
        return []
    if wanted != "all" and wanted not in known:
        raise pytest.UsageError(f"no long list {wanted!r}; there are: {', '.join(known) or 'none'}")
    return [item for item, name in names.items() if wanted in ("all", name)]
