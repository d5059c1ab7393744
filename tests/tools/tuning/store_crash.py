"""Kills a process at every system call of registering a second version: `store_crash.py FOLDER`.

For each k a child registers version 2 beside version 1 in a home of its own and dies just before
its k-th call, until one gets through. Prints how many points there are.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from tests.memory import crash_points  # noqa: E402
from tests.tools.tuning.cards import card, weights  # noqa: E402
from tools.tuning.skill_store import SkillStore  # noqa: E402


def main(folder: Path) -> None:
    setattr(crash_points, "CALLS", (*crash_points.CALLS, "rename", "rmdir"))  # noqa: B010
    for point in range(400):
        store = SkillStore(folder / f"{point:03}")
        store.register("sentiment", card(), weights(1.0))
        child = os.fork()
        if child == 0:
            crash_points.kill_before(point)
            store.register("sentiment", card(), weights(2.0))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status) != 0:
                sys.exit("the writer failed")
            print(point + 1)
            return
    sys.exit("the writer never got through")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
