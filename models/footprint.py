"""How much memory a model needs, beside what this machine has (`tuneward model show`).

Weights in bf16 are two bytes each. In 4-bit only the linear layers shrink (4.127 bits a weight with
nf4 and double quantisation); embeddings and norms stay bf16. The key-value cache is two vectors per
layer, KV head and token.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from models.catalogue import Shape

WORKING_BYTES = 700_000_000
"""Activations, the CUDA context and the allocator's slack, on top of weights and cache."""
NF4_BYTES = 4.127 / 8


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has, in bytes."""

    memory: int
    memory_free: int
    gpu: str | None = None
    gpu_memory: int = 0
    gpu_free: int = 0
    disk_free: int = 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model needs in one number type, in bytes."""

    kind: str
    weights: int
    cache: int
    """The key-value cache of a full window."""

    @property
    def total(self) -> int:
        """Weights, one full cache and working memory."""
        return self.weights + self.cache + WORKING_BYTES


def linear_weights(shape: Shape) -> int:
    """Weights in the linear layers of all blocks, the ones that 4-bit shrinks."""
    attention = shape.hidden * shape.head_dim * 2 * (shape.heads + shape.kv_heads)
    return shape.layers * (attention + 3 * shape.hidden * shape.intermediate)


def cache_bytes(shape: Shape, tokens: int, bytes_per_number: int = 2) -> int:
    """The key-value cache of one sequence of so many tokens."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * tokens * bytes_per_number


def footprints(parameters: int, shape: Shape, tokens: int) -> list[Footprint]:
    """One line each for fp32 (what a CPU computes in), bf16 and 4-bit."""
    linear = min(linear_weights(shape), parameters)
    in_4bit = round(linear * NF4_BYTES) + 2 * (parameters - linear)
    return [
        Footprint("fp32", 4 * parameters, cache_bytes(shape, tokens, 4)),
        Footprint("bf16", 2 * parameters, cache_bytes(shape, tokens)),
        Footprint("4bit", in_4bit, cache_bytes(shape, tokens)),
    ]


def machine(home: Path) -> Machine:
    """Looks at this machine without importing torch: /proc, and nvidia-smi where there is one."""
    memory, free = machine_memory()
    gpu, gpu_memory, gpu_free = _gpu()
    place = next(p for p in [home, *home.absolute().parents] if p.exists())
    return Machine(memory, free, gpu, gpu_memory, gpu_free, shutil.disk_usage(place).free)


def machine_memory() -> tuple[int, int]:
    """Main memory in all and free, in bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return total, int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # macOS has no /proc; it gives memory back when asked
        return total, round(total * 0.7)


def _gpu() -> tuple[str | None, int, int]:
    """Name, total and free memory of the first GPU."""
    if shutil.which("nvidia-smi") is None:
        return None, 0, 0
    query = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,memory.free",
        "--format=csv,noheader,nounits",
    ]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        name, total, free = (part.strip() for part in done.stdout.splitlines()[0].split(","))
        return name, int(total) << 20, int(free) << 20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None, 0, 0
