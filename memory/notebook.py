"""What the agent knows about its notes: where they come from, how far to trust them, their worth.

A note's facts are its metadata: `kind` (note, lesson or chunk), `origin` (user, run or document),
`run`, `source`, `trust`, `created` (seconds since 1970), `uses`, `helped` and `failed` (runs that
used the note and passed or failed their checks).
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.documents import Document

from memory.errors import BadNote, StoreError
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
LAST_TIME = 253_402_214_400
"""Seconds from 1970 to the last day of the year 9999, beyond which no calendar goes."""
MAX_NOTE = 2_000
"""Characters of a note; longer texts are documents."""
_log = logging.getLogger(__name__)


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
        """Keep a note; it takes the place of one with the same text. The id.

        A note of a person is never replaced by anybody else's: it stays, and its id is given.

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
            if old.metadata.get("origin") == "user" and origin != "user":
                return str(old.id)  # a person's own note stays theirs
            id = old.id
            facts |= {name: old.metadata.get(name, 0) for name in ("uses", "helped", "failed")}
        [made] = self.memory.add_texts([text], [facts], ids=[id])
        try:
            self._evict(kind)
        except StoreError as error:  # the note is kept; the next one tries again
            _log.warning("the oldest notes of the memory were not cleared away: %s", error)
        return made

    def _same(self, text: str, kind: Kind, trust: Trust, id: str | None) -> Document | None:
        if id is not None:
            return next(iter(self.memory.get_by_ids([id])), None)
        # Only among its equals: an untrusted text must not take the place of a trusted one.
        near = self.memory.similarity_search(text, k=FETCHED, filter={"kind": kind, "trust": trust})
        # Not by likeness: "room 5 is red" and "room 6 is red" are nearly the same vector. Not by
        # words alone: "-5" is not "5", and "C++" is not "C".
        return next((note for note in near if _folded(note.page_content) == _folded(text)), None)

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
        created = _number(facts, "created")
        age = max(0.0, self._now() - created)
        score = near + RECENCY * 0.5 ** (age / HALF_LIFE) + WORTH * (_worth(facts) - 0.5)
        texts = {name: str(facts.get(name, "")) for name in ("kind", "origin", "trust", "source")}
        return Recalled(
            id=str(note.id),
            text=note.page_content,
            run=str(facts.get("run", "")),
            created=created,
            score=score,
            **texts,
        )

    def outcome(self, ids: Iterable[str], *, passed: bool | None) -> None:
        """Remember that a run used these notes, and whether its checks held (None: it had none)."""
        counted = ["uses"] if passed is None else ["uses", "helped" if passed else "failed"]
        self.memory.derive_metadata(
            list(ids),
            lambda note: {name: int(_number(note.metadata, name)) + 1 for name in counted},
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
        gone = [id for id in ids if self.memory.ids_beginning(id) == [id]]
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
        """Ids of notes and lessons that begin so; only the one where it is the whole id."""
        found = self.memory.get_by_ids(self.memory.ids_beginning(beginning))
        return [str(note.id) for note in found if note.metadata.get("kind") in ("note", "lesson")]

    def _evict(self, kind: Kind) -> None:
        cap = self._caps.get(kind)
        if cap is None or self.memory.count({"kind": kind}) <= cap:
            return
        notes = sorted(
            self.memory.scan({"kind": kind}),
            key=lambda note: (_worth(note.metadata), _number(note.metadata, "created")),
        )
        self.memory.delete([str(note.id) for note in notes[: len(notes) - int(cap * KEPT)]])
        self.memory.compact()


def _folded(text: str) -> str:
    """The text with each stretch of white space as one blank."""
    return " ".join(text.split())


def _number(facts: Mapping[str, Any], name: str) -> float:
    """A count or a time; 0 where it is none, as in notes that were not added here."""
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and 0 <= value <= LAST_TIME else 0.0


def _worth(facts: Mapping[str, Any]) -> float:
    """Share of the runs that used the note and passed, by Laplace's rule: 0.5 without any."""
    helped, failed = _number(facts, "helped"), _number(facts, "failed")
    return (helped + 1) / (helped + failed + 2)
