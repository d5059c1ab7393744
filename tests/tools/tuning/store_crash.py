"""Kills a process at every system call of registering a second version: `store_crash.py FOLDER`.

For each k a child registers version 2 beside version 1 in a home of its own and dies just before
its k-th call, until one gets through. Prints how many points there are.
"""

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.memory.crash_points import at_every_point  # noqa: E402
from tests.tools.tuning.cards import card, weights  # noqa: E402
from tools.tuning.skill_store import SkillStore  # noqa: E402


def main(folder: Path) -> None:
    def begin(point: int) -> Callable[[], object]:
        store = SkillStore(folder / f"{point:03}")
        store.register("sentiment", card(), weights(1.0))
        return lambda: store.register("sentiment", card(), weights(2.0))

    at_every_point(begin)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
