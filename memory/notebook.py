"""What the agent knows about its notes: where they come from, how far to trust them, their worth.

A note's facts are its metadata: `kind` (note, lesson or chunk), `origin` (user, run or document),
`run`, `source`, `trust`, `created` (seconds since 1970), `uses`, `helped` and `failed` (runs that
used the note and passed or failed their checks).
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.documents import Document

from memory.errors import BadNote
from memory.store import FaissMemory

Kind = Literal["note", "lesson", "chunk"]
Origin = Literal["user", "run", "document"]
Trust = Literal["trusted", "untrusted"]

CAPS: Mapping[Kind, int] = {"note": 5_000, "lesson": 1_000}
"""Notes of a kind; above it the least worth go. Chunks go with their documents."""
KEPT = 0.9
"""Share of the cap that an eviction leaves, so that it happens rarely."""
NEAR = 0.2
"""Cosine below which a note has nothing to do with what is asked."""
HALF_LIFE = 30 * 86_400.0
"""Seconds after which a note counts half as recent."""
RECENCY, WORTH = 0.1, 0.2
"""Weights beside the similarity, whose weight is 1."""
FETCHED = 4
"""Candidates looked at for each note that is wanted."""
_WORD = re.compile(r"\w+")
MAX_NOTE = 2_000
"""Characters of a note; longer texts are documents."""


@dataclass(frozen=True)
class Recalled:
    """A note with its facts and how well it fits."""

    id: str
    text: str
    kind: str
    origin: str
    trust: str
    source: str
    run: str
    created: float
    score: float


class Notebook:
    """Notes and lessons in a memory."""

    def __init__(
        self,
        memory: FaissMemory,
        *,
        caps: Mapping[Kind, int] = CAPS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.memory = memory
        self._caps = caps
        self._now = now

    def add(
        self,
        text: str,
        *,
        kind: Kind = "note",
        origin: Origin = "user",
        trust: Trust = "trusted",
        run: str = "",
        source: str = "",
        key: str = "",
    ) -> str:
        """Keep a note; it takes the place of one with the same words. The id.

        Args:
            key: notes of a kind with the same key replace each other, whatever they say.

        Raises:
            BadNote: the text is empty or longer than `MAX_NOTE`.
            StoreError: see `memory/errors.py`.
        """
        if len(text) > MAX_NOTE:
            raise BadNote(
                f"a note has at most {MAX_NOTE} characters, not {len(text)};"
                " put longer texts in a file and `tuneward memory ingest` it"
            )
        facts: dict[str, Any] = {
            **{"kind": kind, "origin": origin, "trust": trust, "run": run, "source": source},
            **{"created": self._now(), "uses": 0, "helped": 0, "failed": 0},
        }
        id = hashlib.sha256(f"{kind}\0{key}".encode()).hexdigest()[:32] if key else None
        old = self._same(text, kind, trust, id)
        if old is not None:
            id = old.id
            facts |= {name: old.metadata.get(name, 0) for name in ("uses", "helped", "failed")}
        [made] = self.memory.add_texts([text], [facts], ids=[id])
        self._evict(kind)
        return made

    def _same(self, text: str, kind: Kind, trust: Trust, id: str | None) -> Document | None:
        if id is not None:
            return next(iter(self.memory.get_by_ids([id])), None)
        # Only among its equals: an untrusted text must not take the place of a trusted one.
        near = self.memory.similarity_search(text, k=FETCHED, filter={"kind": kind, "trust": trust})
        words = _words(text)
        # Not by likeness: "room 5 is red" and "room 6 is red" are nearly the same vector.
        return next((note for note in near if _words(note.page_content) == words), None)

    def recall(
        self,
        query: str,
        *,
        limit: int = 8,
        kinds: Sequence[Kind] = ("note", "lesson"),
        trusted_only: bool = False,
    ) -> list[Recalled]:
        """The notes that fit best: by likeness, and less so by age and by what came of them."""
        wanted: dict[str, Any] = {"kind": {"$in": list(kinds)}}
        if trusted_only:
            wanted["trust"] = "trusted"
        hits = self.memory.similarity_search_with_score(query, k=limit * FETCHED, filter=wanted)
        found = [self._recalled(note, near) for note, near in hits if near >= NEAR]
        return sorted(found, key=lambda one: -one.score)[:limit]

    def _recalled(self, note: Document, near: float) -> Recalled:
        facts = note.metadata
        age = max(0.0, self._now() - float(facts.get("created", 0.0)))
        score = near + RECENCY * 0.5 ** (age / HALF_LIFE) + WORTH * (_worth(facts) - 0.5)
        texts = {name: str(facts.get(name, "")) for name in ("kind", "origin", "trust", "source")}
        return Recalled(
            id=str(note.id),
            text=note.page_content,
            run=str(facts.get("run", "")),
            created=float(facts.get("created", 0.0)),
            score=score,
            **texts,
        )

    def outcome(self, ids: Iterable[str], *, passed: bool | None) -> None:
        """Remember that a run used these notes, and whether its checks held (None: it had none)."""
        counted = ["uses"] if passed is None else ["uses", "helped" if passed else "failed"]
        self.memory.update_metadata(
            {
                str(note.id): {name: int(note.metadata.get(name, 0)) + 1 for name in counted}
                for note in self.memory.get_by_ids(list(dict.fromkeys(ids)))
            }
        )

    def forget(
        self,
        *,
        ids: Sequence[str] = (),
        source: str | None = None,
        older_than: float | None = None,
        kind: Kind | None = None,
    ) -> int:
        """Delete notes by id, or all that come from a source or are older; how many those were.

        Args:
            older_than: seconds.
            kind: only notes of this kind.
        """
        gone = [str(note.id) for note in self.memory.get_by_ids(list(ids))]
        wanted: dict[str, Any] = {}
        if source is not None:
            wanted["source"] = source
        if older_than is not None:
            wanted["created"] = {"$lt": self._now() - older_than}
        if wanted:
            if kind is not None:
                wanted["kind"] = kind
            gone += [str(note.id) for note in self.memory.scan(wanted)]
        self.memory.delete(gone)
        return len(set(gone))

    def ids_beginning(self, beginning: str) -> list[str]:
        """Ids of notes and lessons that begin so."""
        if not beginning:
            return []
        found = self.memory.scan({"kind": {"$in": ["note", "lesson"]}})
        return [str(note.id) for note in found if str(note.id).startswith(beginning)]

    def _evict(self, kind: Kind) -> None:
        cap = self._caps.get(kind)
        if cap is None or self.memory.count({"kind": kind}) <= cap:
            return
        notes = sorted(
            self.memory.scan({"kind": kind}),
            key=lambda note: (_worth(note.metadata), float(note.metadata.get("created", 0.0))),
        )
        self.memory.delete([str(note.id) for note in notes[: len(notes) - int(cap * KEPT)]])
        self.memory.compact()


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _worth(facts: Mapping[str, Any]) -> float:
    """Share of the runs that used the note and passed, by Laplace's rule: 0.5 without any."""
    helped, failed = float(facts.get("helped", 0)), float(facts.get("failed", 0))
    return (helped + 1) / (helped + failed + 2)
