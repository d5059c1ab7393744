"""What torch keeps beside the weights: states of random numbers, and errors of full memory."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from models.errors import OutOfMemory

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turns the many ways of running out of memory into `OutOfMemory`."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory((str(error) or "no more memory").splitlines()[0]) from error
    except RuntimeError as error:
        if _NO_MEMORY.search(str(error)):
            raise OutOfMemory(str(error).splitlines()[0]) from error
        raise


def free_memory() -> None:
    """Gives cached blocks back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def cuda_devices(tensors: Iterable[Tensor]) -> list[int]:
    """Numbers of the GPUs that the tensors lie on."""
    return sorted({t.device.index or 0 for t in tensors if t.device.type == "cuda"})


def random_states(cuda: Iterable[int]) -> dict[str, Tensor]:
    """The states of torch's random numbers, of the processor and of these GPUs."""
    states = {"cpu": torch.get_rng_state()}
    return states | {str(device): torch.cuda.get_rng_state(device) for device in cuda}


def set_random_states(states: Mapping[str, Tensor]) -> None:
    """Go on as from there."""
    for device, state in states.items():
        if device == "cpu":
            torch.set_rng_state(state)
        else:
            torch.cuda.set_rng_state(state, int(device))


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Random numbers from this seed, the caller's own left as they were."""
    with torch.random.fork_rng(devices=cuda_devices([torch.empty(0, device=device)])):
        torch.manual_seed(seed)
        yield
