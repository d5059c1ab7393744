"""Lets a fit on an encoder begin as an earlier skill, where that was made by the same method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from tools.tuning.errors import SkillError
from tools.tuning.methods.base import METHOD_FILE, Bench, Method, Progress
from tools.tuning.methods.encoder_files import check_base
from tools.tuning.methods.facts import read_facts

SHAPING = ("alpha", "r", "shapes")
"""Settings with which the skill's weights would mean something else."""

M = TypeVar("M", bound=Method)


def skill_to_begin_as(method: M, facts: Mapping[str, Any], bench: Bench) -> M | None:
    """The skill of `bench.start`, loaded; says so, or why the fit begins anew.

    Args:
        method: that is to be fitted.
        facts: of the base model at hand, as a skill notes them down.

    Returns:
        None where there is no start, or where its method, labels, base model or settings are
        others.
    """
    if bench.start is None:
        return None
    try:
        skill = _loaded(method, bench.start, facts, bench)
    except SkillError as error:
        bench.on_progress(Progress("encode", note=f"begins anew: {error}"))
        return None
    bench.on_progress(Progress("encode", note=f"begins as {bench.start.name}"))
    return skill


def take_over(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy a skill's weights into the module. A saved tagger has more kinds of token than its base
    (`tagger_files.py`); those are left out."""
    own = module.state_dict()
    module.load_state_dict(
        {
            name: weight if weight.shape == own[name].shape else weight[: len(own[name])]
            for name, weight in weights.items()
        }
    )


def _loaded(method: M, folder: Path, facts: Mapping[str, Any], bench: Bench) -> M:
    """Raises SkillError where the skill is of another kind, or broken."""
    made_by = read_facts(folder / METHOD_FILE).get("method")
    if made_by != method.name:
        raise SkillError(f"the skill was made by {made_by}")
    skill = type(method).load(folder, bench)
    if skill.task != method.task:
        raise SkillError(f"the skill knows other labels: {', '.join(skill.task.labels[:12])}")
    check_base(facts, skill.base_facts(), str(facts.get("asked")))
    for name in SHAPING:
        if skill.settings.get(name) != method.settings.get(name):
            raise SkillError(f"the skill has {name} {skill.settings.get(name)}")
    return skill
