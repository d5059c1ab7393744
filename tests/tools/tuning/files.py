"""Small data files for the tests of reading."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REVIEWS = [
    ("a fine film", "good"),
    ("dull and long", "bad"),
    ("it made me laugh", "good"),
    ("I want my money back", "bad"),
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(folder: Path, rows: Iterable[dict[str, Any]], name: str = "data.jsonl") -> Path:
    return write(folder, name, "".join(json.dumps(row) + "\n" for row in rows))


def csv(folder: Path, rows: Iterable[tuple[str, ...]], name: str = "data.csv") -> Path:
    return write(folder, name, "".join(",".join(row) + "\n" for row in rows))


def reviews(count: int = 40) -> list[dict[str, Any]]:
    """Different texts, half of them good."""
    return [
        {
            "text": f"{'lovely' if i % 2 else 'awful'} film number {i}",
            "label": ("bad", "good")[i % 2],
        }
        for i in range(count)
    ]
