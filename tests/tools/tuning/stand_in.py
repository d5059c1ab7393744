"""A job's process with a small work in place of tuning: `python -P stand_in.py FOLDER`.

It walks at random for so many steps and keeps its state every few, so that
any step done twice, left out or done from another state shows in the last number. The spec's
settings say where it dies, for the tests that kill it.
"""

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from memory import durable  # noqa: E402
from models.errors import DeviceLost, OutOfMemory  # noqa: E402
from tools.tuning.errors import DataError, Diverged, NotBetter  # noqa: E402
from tools.tuning.job_folder import Job  # noqa: E402
from tools.tuning.job_spec import JobSpec  # noqa: E402
from tools.tuning.methods.base import Progress  # noqa: E402

COMMAND = (sys.executable, "-P", str(Path(__file__)))
ERRORS: dict[str, Exception] = {
    "data": DataError("one class only; at least two are needed", path="train.csv", line=7),
    "not_better": NotBetter("nothing beat `nearest` (0.81)"),
    "oom": OutOfMemory("does not fit, even in pieces of an eighth"),
    "device": DeviceLost("the GPU stopped answering"),
    "bug": ZeroDivisionError("a bug"),
}


def walk(spec: JobSpec, folder: Path, home: Path, on_event: Callable[[Any], None]) -> object:
    """The work."""
    job, how = Job(folder), spec.settings
    bench = job.bench(spec)
    path = folder / "checkpoints" / "walk.json"
    state: dict[str, Any] = {"step": 0, "place": 0.0}
    if path.exists():
        state = json.loads(path.read_text())
    chance = random.Random(spec.seed)
    if "random" in state:
        version, numbers, rest = state["random"]
        chance.setstate((version, tuple(numbers), rest))
    steps = how.get("steps", 20)
    while state["step"] < steps:
        bench.check()
        state["place"] = state["place"] * 0.9 + chance.random() - 0.5
        state["step"] += 1
        step = state["step"]
        on_event(Progress("tune", step, steps, loss=abs(state["place"])))
        if step % how.get("save_every", 4) == 0:
            state["random"] = chance.getstate()
            durable.replace(path, json.dumps(state).encode())
        happens(step, how, job, bench.batch_halvings)
    return {"place": state["place"], "pieces": 2**bench.batch_halvings}


def happens(step: int, how: dict[str, Any], job: Job, halvings: int) -> None:
    """What the settings say for this step."""
    if step == how.get("die_at") and first_time(job, "died"):
        os.kill(os.getpid(), getattr(signal, how.get("signal", "SIGKILL")))
    if step == how.get("hang_at") and first_time(job, "hung"):
        while not (job.folder / "go").exists() and not (how.get("polite") and job.stop_wanted()):
            time.sleep(0.01)
    if step == how.get("fail_at") and first_time(job, "failed"):
        if how["error"] == "nan":
            raise Diverged(f"the loss became NaN at step {step}", step=step)
        raise ERRORS[how["error"]]
    if step == how.get("fill_at") and halvings < how.get("fits_after", 1):
        take_memory(job, how["memory"])
    if step == how.get("disk_full_at") and first_time(job, "full"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        durable.replace(job.folder / "checkpoints" / "large", b"x" * 200_000)


def first_time(job: Job, what: str) -> bool:
    """True once for each job."""
    path = job.folder / what
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def take_memory(job: Job, size: int) -> None:
    """Hold so many bytes until the heartbeat has said it, then die as the kernel would do it."""
    held = b"x" * size
    while (last := job.heartbeat()) is None or last.memory < size:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
    assert held


if __name__ == "__main__":
    from agent.job import main

    sys.exit(main(work=walk))
