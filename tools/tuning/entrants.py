"""Who takes part in a race: the controls, and every method that there is or the named one."""

from collections.abc import Mapping
from typing import Any

from tools.tuning.errors import MethodUnsuitable
from tools.tuning.job_spec import AUTO
from tools.tuning.method_catalogue import CONTROLS, METHODS, method_class
from tools.tuning.methods.base import Method
from tools.tuning.race import Candidate
from tools.tuning.task import Task


def candidates(
    task: Task,
    rows: int,
    name: str,
    settings: Mapping[str, Any] | None = None,
    classes: Mapping[str, type[Method]] | None = None,
) -> list[Candidate]:
    """Who takes part: the controls, and all methods or the named one, each with its grid.

    Args:
        name: `auto` or a method's name.
        settings: of the named method; its grid is then left out.
        classes: the methods by name; the catalogue's where left out.

    Raises:
        MethodUnsuitable: the named method cannot serve the task.
        ValueError: it knows no such setting.
    """
    known = dict(classes) if classes is not None else {}
    names = list(classes if classes is not None else METHODS)

    def found(each: str) -> type[Method]:
        return known.get(each) or method_class(each)

    if name != AUTO:
        if why := found(name).unsuitable(task, rows):
            raise MethodUnsuitable(f"method {name}: {why}")
        names = [each for each in CONTROLS if each in names and each != name] + [name]
    entrants: list[Candidate] = []
    for method in map(found, names):
        grid = method.grid(task, rows) or [{}]
        if settings and method.name == name:
            grid = [dict(settings)]
        if method.name in CONTROLS and name != method.name:
            grid = grid[:1]
        entrants += [Candidate(method, each, level) for level, each in enumerate(grid)]
    for candidate in entrants:
        candidate.method.complete(candidate.settings)
    return entrants
