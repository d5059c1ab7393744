"""The installed command in a process from its start, without the fork of `commands.py`.

Other users, places, languages and streams need that.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent import scripted_cli
from tests.house.commands import Commands, Ended

TUNEWARD = str(Path(sys.executable).with_name("tuneward"))


def started(command: Commands, *words: str, prefix: tuple[str, ...] = (), **environ: Any) -> Ended:
    """Run `prefix` and `words` to their end, in the folder and with the home of `command`."""
    done = subprocess.run(
        [*prefix, *words],
        cwd=command.folder,
        env={**os.environ, "TUNEWARD_HOME": str(command.home), **environ},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, 0.0)


def scripted(command: Commands, replies: list[Any], *words: str) -> list[str]:
    """The words that start the command with a scripted model in place of a loaded one."""
    return scripted_cli.command(command.folder, replies, *words)


def powerless(*words: str) -> list[str]:
    """The command without root's right to write everywhere."""
    if os.geteuid() != 0:
        return list(words)
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
