"""A job's process that chooses among the plain methods: `python -P plain_job.py FOLDER`.

DIE_BEFORE=report kills it once, when all is measured; `pointer` between registering a version and
using it; `registered` between that and the last report.

The catalogue's files of these methods are replaced by `plain_methods.py`.
"""

import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from tests.tools.tuning import plain_methods as plain  # noqa: E402
from tools.tuning import method_catalogue  # noqa: E402

COMMAND = (sys.executable, "-P", str(Path(__file__)))
STANDS_FOR = {
    "majority": ("Majority", plain.Majority),
    "nearest": ("Nearest", plain.Shortest),
    "linear_head": ("LinearHead", plain.Words),
    "contrastive": ("Contrastive", plain.Backwards),
    "lora": ("Lora", plain.Slow),
}


def modules() -> dict[str, ModuleType]:
    """The replaced files, by the names under which they are imported."""
    found = {}
    for name, (title, method) in STANDS_FOR.items():
        module = ModuleType(f"tools.tuning.methods.{name}")
        setattr(module, title, method)
        found[module.__name__] = module
    return found


def others() -> list[str]:
    """Methods that no plain one stands for."""
    return [name for name in method_catalogue.METHODS if name not in STANDS_FOR]


def die_before(what: str, folder: Path) -> None:
    """Once for each job."""
    from tools.tuning.skill_store import SkillStore
    from tools.tuning.tuning import _Tuning

    owner, name = {
        "report": (_Tuning, "_report"),
        "pointer": (SkillStore, "_point"),
        "registered": (_Tuning, "tell"),
    }[what]
    plain: Any = getattr(owner, name)
    mark = folder / "died"

    def dying(*given: Any, **named: Any) -> Any:
        is_it = name != "tell" or given[1]["type"] == "registered"
        if is_it and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*given, **named)

    setattr(owner, name, dying)


if __name__ == "__main__":
    sys.modules.update(modules())
    for other in others():
        del method_catalogue.METHODS[other]
    from agent.job import main

    if what := os.environ.get("DIE_BEFORE"):
        die_before(what, Path(sys.argv[1]))
    sys.exit(main())
