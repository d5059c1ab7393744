"""What a caller wants to add: texts with an id and metadata each, all checked beforehand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memory.errors import BadNote
from memory.note import checked_id, checked_metadata, checked_text, new_id

Metadata = Mapping[str, Any]


class NewNotes:
    """Texts with a checked id and metadata each; metadata as JSON text."""

    def __init__(
        self,
        texts: Iterable[str],
        metadatas: Sequence[Metadata] | None,
        ids: Sequence[str | None] | None,
    ) -> None:
        """Raises:
        BadNote: something cannot be kept, or the lists are of unequal length.
        """
        self.texts = [checked_text(text, f"text {number}") for number, text in enumerate(texts)]
        for name, values in (("metadatas", metadatas), ("ids", ids)):
            if values is not None and len(values) != len(self.texts):
                raise BadNote(f"{len(values)} {name} for {len(self.texts)} texts")
        self.made_up = ids is None or all(id is None for id in ids)
        """Whether no id is there yet for certain."""
        self.ids = [
            new_id() if id is None else checked_id(id, f"text {number}")
            for number, id in enumerate(ids or [None] * len(self.texts))
        ]
        self.metadatas = [
            checked_metadata({} if metadata is None else metadata, f"text {number}")
            for number, metadata in enumerate(metadatas or [{}] * len(self.texts))
        ]

    def last_of_each_id(self) -> list[int]:
        """Positions to keep: of texts with one id the last."""
        return sorted({id: number for number, id in enumerate(self.ids)}.values())
