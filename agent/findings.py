"""What `tuneward doctor` found, one thing each."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    area: str
    verdict: Verdict
    text: str
    remedy: str = ""
    """The command or change that mends it."""
