"""The state of an unfinished fit: whole or absent, and only taken up by the same fit."""

import errno
from pathlib import Path

import pytest
import torch

from memory import durable
from memory.errors import DiskFull, WriteFailed
from tools.tuning.methods import checkpoint
from tools.tuning.methods.checkpoint import State, identity_of

STATE = State(
    {"weight/a": torch.arange(4.0), "random/cpu": torch.arange(3, dtype=torch.uint8)}, {"step": 7}
)


def test_comes_back_bit_for_bit(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "new" / "folder", STATE, "fit")
    found = checkpoint.read(tmp_path / "new" / "folder", "fit")
    assert found is not None
    assert found.facts == STATE.facts
    assert set(found.tensors) == set(STATE.tensors)
    assert all(torch.equal(found.tensors[name], STATE.tensors[name]) for name in STATE.tensors)


def test_another_fit_or_a_broken_file_is_as_good_as_none(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path, "fit") is None
    checkpoint.write(tmp_path, STATE, "fit")
    assert checkpoint.read(tmp_path, "another") is None
    (tmp_path / checkpoint.FILE).write_bytes(b"rubbish")
    assert checkpoint.read(tmp_path, "fit") is None


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EIO, WriteFailed)])
def test_a_failed_write_leaves_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    checkpoint.write(tmp_path, STATE, "fit")

    def refuse(file: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(durable, "sync", refuse)
    with pytest.raises(error):
        checkpoint.write(tmp_path, State({"weight/a": torch.zeros(4)}, {"step": 8}), "fit")
    monkeypatch.undo()
    found = checkpoint.read(tmp_path, "fit")
    assert found is not None
    assert found.facts == {"step": 7}
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE]


def test_identity_tells_everything_apart() -> None:
    parts = [("a", {"lr": 1}), ("a", {"lr": 2}), ("b", {"lr": 1}), ("a", "{'lr': 1}"), ("\ud800",)]
    assert len({identity_of(*some) for some in parts}) == len(parts)
    assert identity_of("ab", "c") != identity_of("a", "bc")
