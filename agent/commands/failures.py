"""Failures that a person can act on, as one line and an exit code; all others are bugs."""

import errno

from agent.errors import AgentError, GoalError, Interrupted, SettingsError, UsageError
from memory.errors import DiskFull as StoreFull
from memory.errors import StoreError
from models.errors import Cancelled, DeviceLost, ModelError, ModelUnavailable, OutOfMemory
from models.errors import DiskFull as ModelFull

_MODEL: tuple[tuple[type[ModelError], str], ...] = (
    (ModelFull, "disk_full"),
    (ModelUnavailable, "unavailable"),
    (OutOfMemory, "oom"),
    (DeviceLost, "device_lost"),
)


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
    if isinstance(error, StoreError):
        status = "disk_full" if isinstance(error, StoreFull) else "unavailable"
        return f"{status}: {error}", 3
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"disk_full: {error}; free some disk space and give the command again", 3
    return None
