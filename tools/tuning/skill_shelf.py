"""The skills of one home as a run sees them: which there are, what they say, and their figures.

Skills are loaded when they are first asked, and the last few stay loaded. A broken one is not
offered; who names it all the same is told why.
"""

import json
from collections import OrderedDict
from pathlib import Path

from tools.tuning.errors import SkillError
from tools.tuning.methods.base import Bench, Method
from tools.tuning.shipped_skills import skills_of
from tools.tuning.skill_card import SkillCard
from tools.tuning.skill_store import POINTER, Skill

LOADED = 2
"""Skills that stay in memory at once."""


class SkillShelf:
    """What a run may use of the skill store."""

    def __init__(self, home: Path, *, device: str | None = None) -> None:
        self.home = home
        self.store = skills_of(home)
        self._device = device
        self._known: dict[str, tuple[bytes, Skill]] = {}
        self._loaded: OrderedDict[tuple[str, int], Method] = OrderedDict()

    def names(self, task: str = "") -> list[str]:
        """Skills that can be read; with `task` only those of that kind."""
        found = []
        for name in self.store.names():
            try:
                card = self.get(name).card
            except SkillError:
                continue
            if task in ("", card.task.kind):
                found.append(name)
        return found

    def labels(self, name: str) -> list[str]:
        """Classes or entity types of a skill; none where it cannot be read."""
        try:
            return list(self.get(name).card.task.labels)
        except SkillError:
            return []

    def get(self, name: str) -> Skill:
        """The version in use. Before each call of a run all are asked for, so cards are kept.

        Raises:
            SkillError: there is no such skill, or it is broken.
        """
        try:
            pointer = (self.store.folder / name / POINTER).read_bytes()
        except OSError:
            return self.store.get(name)  # says what is wrong
        known = self._known.get(name)
        if known is None or known[0] != pointer:
            known = self._known[name] = pointer, self.store.get(name)
        return known[1]

    def method(self, name: str) -> tuple[Skill, Method]:
        """The skill, verified and ready to answer.

        Raises:
            SkillError: it is broken, or its base model is another one here.
            ModelUnavailable: its base model cannot be loaded.
        """
        skill = self.get(name)
        key = skill.name, skill.version
        if key not in self._loaded:
            while len(self._loaded) >= LOADED:
                self._loaded.popitem(last=False)
            self._loaded[key] = skill.load(Bench(self.home, device=self._device))
        self._loaded.move_to_end(key)
        return skill, self._loaded[key]

    def lines(self) -> list[str]:
        """One line a skill, for the overview that a run begins with."""
        return [f"{name}: {about(self.get(name).card)}" for name in self.names()]

    def state(self) -> str:
        """Changes when a skill comes, goes, or gets another version."""
        found = []
        for name in self.store.names():
            try:
                found.append((name, (self.store.folder / name / POINTER).read_text("utf-8")))
            except (OSError, ValueError):
                continue
        return json.dumps(found) if found else ""

    def figure(self, name: str, metric: str, split: str) -> float:
        """What was measured of the version in use.

        Raises:
            SkillError: there is no such skill, split or figure.
        """
        card = self.get(name).card
        scores = card.scores(split)
        if scores is None:
            raise SkillError(f"skill `{name}` was not measured on {split}")
        value = scores.named(metric)
        if value is None:
            known = ", ".join([scores.metric, *scores.others])
            raise SkillError(f"skill `{name}` has no figure {metric!r}; it has {known}")
        return value


def about(card: SkillCard) -> str:
    """What a skill does and how well, in a line; a card may come from elsewhere."""
    scores = card.test or card.dev
    split = "test" if card.test else "dev"
    measured = f" ({scores.metric} {scores.value:.2f} on {split})" if scores else ""
    return f"{_one_line(card.description)}{measured}"


def _one_line(text: str) -> str:
    plain = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(plain.split())[:200]
