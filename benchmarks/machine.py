"""What every benchmark prints first: the date, the machine and the versions that matter."""

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

MEASURED = ("torch", "transformers", "llguidance", "langchain-core", "polars")


def heading() -> str:
    """Two lines; figures mean nothing without them."""
    load = os.getloadavg()[0]
    libraries = ", ".join(f"{name} {version(name)}" for name in MEASURED)
    return (
        f"{date.today()}, {_processor()}, {os.cpu_count()} cores, {platform.system()}"
        f" {platform.release().split('-')[0]}, load {load:.1f} at the start\n"
        f"Python {platform.python_version()}, {libraries}"
    )


def _processor() -> str:
    """The name on the chip, as far as the system tells."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)
