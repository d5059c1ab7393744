"""What a tuning job came to, as its state keeps it."""

from dataclasses import asdict, dataclass
from typing import Any

from tools.tuning.skill_store import Skill, SkillStore


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to."""

    skill: str
    version: int
    method: str
    settings: dict[str, Any]
    metric: str
    dev: float | None
    test: float | None
    low: float | None
    high: float | None
    """The 95 % interval of the figure on the sealed rows."""
    controls: dict[str, float]
    seconds: float
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def of(cls, skill: Skill, seconds: float, why: str) -> "Outcome":
        """By the card of the skill that was registered."""
        card, test, dev = skill.card, skill.card.test, skill.card.dev
        best = test or dev
        return cls(
            skill=skill.name,
            version=skill.version,
            method=card.method,
            settings=card.settings,
            metric=best.metric if best else "",
            dev=dev.value if dev else None,
            test=test.value if test else None,
            low=test.low if test else None,
            high=test.high if test else None,
            controls=dict(test.controls) if test else {},
            seconds=round(seconds, 3),
            why=why,
        )


def made_by(store: SkillStore, name: str, job: str) -> Skill | None:
    """The version that an earlier attempt of the job registered before it was killed."""
    for version in store.versions(name):
        skill = store.get(name, version)
        if skill.card.job == job:
            return skill
    return None
