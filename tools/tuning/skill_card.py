"""The evidence card of a skill: what it is, what it was made of, and how good it was measured.

`card.json` lies beside the weights. Figures are of held-out data only; `test` was sealed until the
method had been chosen.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError

from tools.tuning.errors import SkillError
from tools.tuning.task import Task

CARD_FILE = "card.json"
CARD_LIMIT = 2_000_000
"""Bytes of a card; more is no card."""

Line = Annotated[str, StringConstraints(max_length=2_000)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class Fact(BaseModel):
    """What the parts of a card have in common: they never change and take no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Role = Literal["train", "dev", "test"]
"""What a file of examples was used for."""


class DataFact(Fact):
    """A file that the skill was made of."""

    role: Role
    name: Line
    """The file's name without its folder."""
    sha256: Sha256
    rows: Count


class ClassFact(Fact):
    """How one class, or one entity type, was recognised."""

    label: Line
    precision: FiniteFloat
    recall: FiniteFloat
    f1: FiniteFloat
    support: Count
    """How many of it there were."""


class SplitScores(Fact):
    """What was measured on one held-out split; all figures in [0, 1]."""

    rows: Count
    metric: Line
    """The task's main metric: accuracy, micro_f1 or entity_f1."""
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    """The 95 % interval of `value`."""
    others: dict[str, FiniteFloat] = {}
    """Further metrics by name: macro_f1, precision, recall ..."""
    classes: tuple[ClassFact, ...] = ()
    controls: dict[str, FiniteFloat] = {}
    """`metric` of the methods that every skill must beat, by name."""

    def named(self, metric: str) -> float | None:
        """The figure of that name."""
        return self.value if metric == self.metric else self.others.get(metric)


class SkillCard(Fact):
    """Everything that is known about a skill's version beside its weights."""

    format: Literal[1] = 1
    name: Line
    version: Count = 0
    """Set by the store when it is registered."""
    description: Line
    """What it does, in a sentence that the planner reads."""
    task: Task
    method: Line
    settings: dict[str, Any] = {}
    """Of the method, complete."""
    base: dict[str, Any] = {}
    """Name, digest and tokenizer digest of the model below; empty for methods without one."""
    data: tuple[DataFact, ...] = ()
    seeds: tuple[int, ...] = ()
    dev: SplitScores | None = None
    test: SplitScores | None = None
    seed_spread: FiniteFloat | None = None
    """Standard deviation of the main metric over the seeds."""
    template_spread: FiniteFloat | None = None
    """The same over prompt templates, for methods that have some."""
    milliseconds_per_row: FiniteFloat | None = None
    size_bytes: Count = 0
    """Of all files of the version; set by the store."""
    licence: Line = "not stated"
    job: Line = ""
    """The tuning job that made it."""
    created: Line = ""
    """UTC, ISO 8601; set by the store where empty."""
    made_with: dict[str, str] = {}
    """Versions of the libraries, by name."""
    notes: tuple[Line, ...] = ()
    """What a user should know: leaks that were found, methods that were skipped."""

    def scores(self, split: str) -> SplitScores | None:
        """What was measured on `dev` or `test`."""
        return {"dev": self.dev, "test": self.test}.get(split)

    def to_json(self) -> bytes:
        """The text of `card.json`."""
        plain = self.model_dump(mode="json")
        text = json.dumps(plain, ensure_ascii=False, indent=2, allow_nan=False)
        return (text + "\n").encode()

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> "SkillCard":
        """The card in that text.

        Raises:
            SkillError: it is none; `where` names the file in the message.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(step) for step in first["loc"]) or "the whole"
            raise SkillError(
                f"{where} is no skill's card: {place}: {first['msg']}; take another copy"
            ) from None
