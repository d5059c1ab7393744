"""What makes vectors comparable: two embedders with one fingerprint give the same vectors."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Fingerprint:
    """The identity of an embedder; a memory is tied to the one that made its vectors."""

    model: str
    """Name of the model, such as `minilm-l6` or a hub id; a class name where none is known."""
    revision: str
    """Commit, content hash or version of the model; empty where none is known."""
    dimension: int
    """Numbers in a vector."""
    normalised: bool
    """Whether the embedder's vectors have length 1 by themselves."""

    def __str__(self) -> str:
        revision = f"@{self.revision[:12]}" if self.revision else ""
        return f"{self.model}{revision} ({self.dimension} numbers)"

    def as_dict(self) -> dict[str, Any]:
        """For storing; `Fingerprint(**stored)` is the way back."""
        return asdict(self)
