"""docs/methods.md says which settings a method has: as many as the code, with the same defaults."""

import json
from pathlib import Path

from tools.tuning.method_catalogue import METHODS, method_class
from tools.tuning.methods.base import Method

PAGE = Path(__file__).resolve().parents[3] / "docs" / "methods.md"


def shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def row_of(method: type[Method]) -> str:
    """The method's row of the table."""
    words = method.words()
    cells = []
    for name, default in method.defaults().items():
        others = [shown(word) for word in words.get(name, ()) if word != default]
        cells.append(
            f"`{name}` {shown(default)}" + (f" (or {', '.join(others)})" if others else "")
        )
    return f"| `{method.name}` | {', '.join(cells) or 'none'} |"


def test_the_table_of_settings_is_that_of_the_code() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    start = lines.index("| method | settings and defaults |") + 2
    assert lines[start : start + len(METHODS)] == [row_of(method_class(name)) for name in METHODS]
