"""A bench over a tiny random encoder, made once; tiny models compute on one thread."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.models.tiny_encoder import write_encoder
from tools.tuning.methods.base import Bench


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoders") / "tiny", window=64)


@pytest.fixture
def tiny_bench(tiny_folder: Path, home: Path) -> Bench:
    return Bench(home, base=str(tiny_folder), device="cpu")


@pytest.fixture(autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """One thread for tiny tensors: on a busy machine, threads that wait for each other took ten
    times as long. Real weights keep all threads."""
    before = torch.get_num_threads()
    if request.node.get_closest_marker("weights") is None:
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
