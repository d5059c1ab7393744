"""Training examples that stay with a skill, so that an answer can be explained by the nearest ones.

At most `MOST` of them, each label about equally often. They stay on this machine: an export leaves
them out unless it is told otherwise. Their vectors are made when an explanation is first asked for.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memory import durable
from tools.tuning.errors import SkillError
from tools.tuning.examples import Example, Input, TagExample, TextInput
from tools.tuning.neighbours import Neighbours, normalised
from tools.tuning.skill_files import check_file
from tools.tuning.skill_store import Skill
from tools.tuning.tagging import entities

if TYPE_CHECKING:
    from models.fingerprint import Fingerprint

FILE = "examples.jsonl"
MOST = 1_000
NEAREST = 3
SHOWN = 500
"""Characters of a text that are kept; an explanation shows no more."""
BATCH = 256


class Embedder(Protocol):
    """What makes the vectors; `models.embedder.TextEmbedder` is one."""

    fingerprint: "Fingerprint"

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row for each text."""


@dataclass(frozen=True, slots=True)
class Near:
    """A training example near to an input."""

    text: str
    labels: tuple[str, ...]
    """Its labels; of a sentence, the types of its entities."""
    line: int
    """Of the training file."""
    similarity: float
    """Cosine, in [-1, 1]."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "labels": list(self.labels),
            "line": self.line,
            "similarity": round(self.similarity, 4),
        }


def write_examples(folder: Path, examples: Sequence[Example]) -> None:
    """Put some of the examples beside a skill's weights, before it is registered."""
    lines = []
    for example in chosen(examples, MOST):
        facts = {
            "text": text_of(example.input)[:SHOWN],
            "labels": _labels(example),
            "line": example.line,
        }
        lines.append(json.dumps(facts, ensure_ascii=False) + "\n")
    (folder / FILE).write_bytes("".join(lines).encode("utf-8", "replace"))


def chosen(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many, in their order: of each label in turn, evenly over the file."""
    if len(examples) <= most:
        return list(examples)
    by_label: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        by_label["|".join(_labels(example))].append(place)
    taken: list[int] = []
    left = sorted(by_label.values(), key=len)
    for number, places in enumerate(left):
        share = (most - len(taken)) // (len(left) - number)
        count = min(len(places), share)
        taken += [places[i * len(places) // count] for i in range(count)]
    return [examples[place] for place in sorted(taken)]


def text_of(given: Input) -> str:
    """An input as one text."""
    if isinstance(given, TextInput):
        return f"{given.text} {given.pair}".strip()
    return " ".join(given.tokens)


class Explainer:
    """Finds the kept examples of one skill that are nearest to an input."""

    def __init__(self, skill: Skill, embedder: Embedder) -> None:
        """Raises SkillError where the skill has no examples with it (an import may have none)."""
        if not (skill.folder / FILE).exists():
            raise SkillError(
                f"skill `{skill.name}` came without its training examples, so there are no nearest "
                "ones to show"
            )
        path = check_file(skill.folder, FILE)
        data = path.read_bytes()
        try:
            lines = [json.loads(line) for line in data.splitlines()]
            self._examples = [(str(x["text"]), tuple(x["labels"]), int(x["line"])) for x in lines]
        except (ValueError, KeyError, TypeError) as error:
            raise SkillError(f"{path} is broken: {error}; tune the skill again") from error
        self._embedder = embedder
        self._vectors = self._made_once(skill, sha256(data).hexdigest())
        self._neighbours = Neighbours(self._vectors, [labels for _, labels, _ in self._examples])

    def nearest(self, inputs: Sequence[Input], count: int = NEAREST) -> list[list[Near]]:
        """For each input the nearest examples, the most similar first."""
        queries = self._embedder.vectors([text_of(each)[:SHOWN] for each in inputs])
        found = self._neighbours.many(queries, count)
        scaled, kept = normalised(queries), normalised(self._vectors)
        return [
            [
                Near(*self._examples[place], similarity=float(scaled[row] @ kept[place]))
                for place in reversed(places)
            ]
            for row, places in enumerate(found)
        ]

    def _made_once(self, skill: Skill, data: str) -> NDArray[np.float32]:
        """The examples' vectors; a cache beside the versions, deleting it costs seconds."""
        key = sha256(f"{data} {self._embedder.fingerprint}".encode()).hexdigest()[:16]
        path = skill.folder.parent / f".vectors-{key}"
        size = 4 * len(self._examples)
        if path.is_file() and path.stat().st_size and path.stat().st_size % size == 0:
            stored = np.frombuffer(path.read_bytes(), np.float32).reshape(len(self._examples), -1)
            if np.isfinite(stored).all():
                return stored
        texts = [text for text, _, _ in self._examples]
        vectors = self._embedder.vectors(texts)
        durable.replace(path, np.ascontiguousarray(vectors, np.float32).tobytes())
        return vectors


def _labels(example: Example) -> list[str]:
    if isinstance(example, TagExample):
        return sorted({entity.type for entity in entities(example.tags)})
    return list(example.labels)
