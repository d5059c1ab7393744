"""A job's process that chooses among the plain methods: `python -P plain_job.py FOLDER`.

The catalogue's files of four methods are replaced by `plain_methods.py`, here and, with
`use_plain_methods`, in the process of the test that loads what was registered.
"""

import sys
from pathlib import Path
from types import ModuleType

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


if __name__ == "__main__":
    sys.modules.update(modules())
    for other in others():
        del method_catalogue.METHODS[other]
    from agent.job import main

    sys.exit(main())
