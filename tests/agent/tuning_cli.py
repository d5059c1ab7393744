"""The command `tuneward` whose tuning jobs do the stand-in's work: `python -P tuning_cli.py WORDS`.

The settings of the stand-in come from the environment: WALK='{"hang_at": 6}'.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-P", str(Path(__file__)))


def put_in_stand_in(replace: Callable[[object, str, object], object]) -> None:
    """Let jobs do the stand-in's work; `replace` is `setattr` or a monkeypatch's."""
    from tests.tools.tuning import stand_in
    from tools.tuning import job_runner
    from tools.tuning.job_spec import JobSpec

    start = job_runner.JobRunner.start

    def with_settings(runner: job_runner.JobRunner, spec: JobSpec) -> object:
        how = json.loads(os.environ.get("WALK", "{}"))
        return start(runner, spec.model_copy(update={"settings": {**spec.settings, **how}}))

    replace(job_runner, "CHILD", stand_in.COMMAND)
    replace(job_runner.JobRunner, "start", with_settings)


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from agent.cli import main as tuneward

    put_in_stand_in(setattr)
    return tuneward(sys.argv[1:])


class Done:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.last = err.rstrip("\n").rpartition("\n")[2]


if __name__ == "__main__":
    sys.exit(main())
