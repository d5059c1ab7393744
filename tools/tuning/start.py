"""The skill that a job begins from (`--from`), and what its weights may be used for.

Rows that are held out now may be among those that the skill learned; begun from it, a method would
know them by heart and win by that. So the race never begins from it: only the last fit does, and
not even that where sealed rows are among the examples kept with the skill. Of a skill that came
without examples nobody can say; that stands on the card then.

Covered: the same file again (the same rows are sealed), a file that has grown, other files with
rows in common. Not covered: rows in common beyond the kept examples (`kept_examples.MOST`), and
what the skill's own start had learned.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.tuning.errors import SkillError
from tools.tuning.examples import Example, TextInput
from tools.tuning.fingerprint import fingerprint
from tools.tuning.kept_examples import FILE, SHOWN, text_of
from tools.tuning.skill_files import check_file
from tools.tuning.skill_store import Skill, SkillStore


@dataclass(frozen=True, slots=True)
class Start:
    """What the last fit of a job begins from."""

    name: str = ""
    """The skill and its version, for people; empty without `--from`."""
    method: str = ""
    """That made the skill."""
    folder: Path | None = None
    """Of the skill's version; None where the fit begins anew."""
    note: str = ""
    """What a reader of the card should know of it."""


def start_of(skill: Skill | None, sealed: Sequence[Example]) -> Start:
    """Whether the last fit may begin from the skill.

    Args:
        skill: the one that `--from` names; None without one.
        sealed: the rows that the figures of the card will be of.

    Raises:
        SkillError: the examples kept with the skill are broken.
    """
    if skill is None:
        return Start()
    name, method = f"`{skill.name}` version {skill.version}", skill.card.method
    learned = _learned(skill) if sealed else set()
    if learned is None:
        note = (
            f"{name} came without its examples: a fit that began from it may have learned sealed "
            "rows before, and its figures on them are then too good"
        )
        return Start(name, method, skill.folder, note)
    known = sum(_key(text_of(example.input)) in learned for example in sealed)
    if known:
        note = (
            f"{known} of {len(sealed)} sealed rows are among the examples of {name}, so the last "
            "fit began anew"
        )
        return Start(name, method, None, note)
    return Start(name, method, skill.folder)


def skill_to_begin_from(store: SkillStore, name: str | None) -> Skill | None:
    """The version in use of that skill, verified; None without a name.

    Raises:
        SkillError: it is not there, or broken.
    """
    if name is None:
        return None
    skill = store.get(name)
    skill.check()
    return skill


def _learned(skill: Skill) -> set[str] | None:
    """The texts of the examples kept with the skill; None where it came without any."""
    if not (skill.folder / FILE).exists():
        return None
    path = check_file(skill.folder, FILE)
    try:
        return {_key(str(json.loads(line)["text"])) for line in path.read_bytes().splitlines()}
    except (ValueError, KeyError, TypeError) as error:
        raise SkillError(f"{path} is broken: {error}; tune the skill again") from error


def _key(text: str) -> str:
    """Equal for a text and for what is kept of it."""
    kept = text[:SHOWN].encode("utf-8", "replace").decode("utf-8")
    return fingerprint(TextInput(kept))
