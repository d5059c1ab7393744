"""Failures that a person can act on, as one line and an exit code; all others are bugs."""

import errno
import os

from agent.errors import AgentError, GoalError, Interrupted, SettingsError, UsageError
from memory.errors import DiskFull as StoreFull
from memory.errors import StoreError
from models.errors import Cancelled, DeviceLost, ModelError, ModelUnavailable, OutOfMemory
from models.errors import DiskFull as ModelFull
from tools.tuning.errors import (
    BudgetSpent,
    DataError,
    JobError,
    MethodUnsuitable,
    SkillError,
    Stopped,
    TuningError,
)

_MODEL: tuple[tuple[type[ModelError], str], ...] = (
    (ModelFull, "disk_full"),
    (ModelUnavailable, "unavailable"),
    (OutOfMemory, "oom"),
    (DeviceLost, "device_lost"),
    (ModelError, "unavailable"),  # last: what is left says what the model or its server did
)
_TUNING: tuple[tuple[type[TuningError], str, int], ...] = (
    (DataError, "", 2),  # begins with the place in the file
    (MethodUnsuitable, "usage: ", 2),
    (JobError, "usage: ", 2),
    (SkillError, "unavailable: ", 3),
    (BudgetSpent, "budget_tuning: ", 124),
    (Stopped, "interrupted: ", 130),
    (TuningError, "failed: ", 1),
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATH = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
)
"""What only the person can mend. A file that is missing is not here: that may be our own bug."""
LONGEST_SHOWN = 200


def explained(error: Exception) -> tuple[str, int] | None:
    """The last line on stderr and the exit code; None where `error` is a bug."""
    if isinstance(error, Interrupted | Cancelled):
        return f"interrupted: {error}", 130
    if isinstance(error, GoalError):
        return str(error), error.exit_code
    if isinstance(error, UsageError):
        return f"usage: {error}", error.exit_code
    if isinstance(error, SettingsError):
        lines = str(error).splitlines()
        if len(lines) > 1:
            lines.append(f"unavailable: {len(lines)} settings are wrong; the lines above say where")
            return "\n".join(lines), error.exit_code
        return f"unavailable: {error}", error.exit_code
    if isinstance(error, AgentError) and error.exit_code != AgentError.exit_code:
        return str(error), error.exit_code
    for kind, status in _MODEL:
        if isinstance(error, kind):
            return f"{status}: {error}", 3
    for tuning_kind, before, code in _TUNING:
        if isinstance(error, tuning_kind):
            return f"{before}{error}", code
    if isinstance(error, MemoryError):
        return "oom: there is not enough memory; free some, or take less at once", 3
    if isinstance(error, StoreError):
        status = "disk_full" if isinstance(error, StoreFull) else "unavailable"
        return f"{status}: {error}", 3
    if isinstance(error, OSError):
        return _of_the_machine(error)
    return None


def _of_the_machine(error: OSError) -> tuple[str, int] | None:
    if error.errno in _FULL:
        return f"disk_full: {error}; free some disk space and give the command again", 3
    if error.errno == errno.ENOENT and error.filename is None:
        return "unavailable: the current folder is gone; change to one that exists", 3
    if error.errno in _PATH and isinstance(error.filename, str | bytes):
        path = os.fsdecode(error.filename)
        shown = path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}..."
        why = f"{shown} cannot be used ({error.strerror})"
        return f"unavailable: {why}; check the path and whether you may use it", 3
    return None
