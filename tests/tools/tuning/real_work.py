"""A job's process that does the real work and dies once, at a step of its last fit.

    DIE_AT=7 python -P real_work.py FOLDER

The state of a fit is kept after every third step, so that the next attempt goes on from there.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-P", str(Path(__file__)))


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from agent.job import main as work_on_job
    from tools.tuning.methods import training

    save_if_due = training._Run._save_if_due

    def save_often(this: Any) -> None:
        if this.place.step % 3 == 0:
            this._save()
        save_if_due(this)
        if "/final-" in str(this.bench.checkpoints):
            die_at(this.place.step, this.bench.checkpoints.parents[1])

    setattr(training._Run, "_save_if_due", save_often)  # noqa: B010

    return work_on_job(work=work)


def work(spec: Any, folder: Path, home: Path, on_event: Callable[[Any], None]) -> Any:
    """The job, with the named method against one control."""
    from tests.tools.tuning.words_method import Words
    from tools.tuning.method_catalogue import method_class
    from tools.tuning.tuning import run

    # Words decide here, so the control of the nearest examples would be as good as any.
    method = Words if spec.method == Words.name else method_class(spec.method)
    classes = {"majority": method_class("majority"), spec.method: method}
    return run(spec, folder, home, on_event, classes=classes)


def die_at(step: int, folder: Path) -> None:
    """Once for each job."""
    mark = folder / "died"
    if str(step) == os.environ.get("DIE_AT") and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
