"""Which way of opening is taken, and that neither leaves descriptors behind."""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.hostile_paths import REFUSED, filled, lay_out
from tools import beneath
from tools.beneath import FILE_FLAGS, ByComponent, Openat2, Opener, best_opener
from tools.errors import ToolError
from tools.workspace import Workspace


@pytest.fixture(autouse=True)
def _choose_anew() -> Iterator[None]:
    best_opener.cache_clear()
    yield
    best_opener.cache_clear()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_an_old_kernel_or_a_filter_leads_to_the_other_way(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(self: Openat2, root: int, parts: object, flags: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Openat2, "open", refused)
    assert isinstance(best_opener(), ByComponent)


def test_another_system_takes_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isinstance(best_opener(), ByComponent)


@pytest.mark.skipif(isinstance(best_opener(), ByComponent), reason="this kernel has no openat2")
def test_a_kernel_that_is_not_sure_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("a")
    opener = Openat2()
    real, answers = opener._syscall, iter([errno.EAGAIN, errno.EINTR])

    def unsure(*arguments: object) -> int:
        number = next(answers, None)
        if number is None:
            return int(real(*arguments))
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(opener, "_syscall", unsure)
    root = os.open(tmp_path, beneath.FOLDER_FLAGS)
    try:
        file = opener.open(root, ("a.txt",), FILE_FLAGS)
        assert os.read(file, 1) == b"a"
        os.close(file)
    finally:
        os.close(root)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize("opener", [best_opener(), ByComponent()], ids=["kernel", "component"])
def test_no_descriptor_is_left_open(tmp_path: Path, opener: Opener) -> None:
    workspace = Workspace(lay_out(tmp_path), versions=tmp_path / "versions", opener=opener)

    def all_paths() -> None:
        for path in [*(filled(p, tmp_path) for p in REFUSED), "notes.txt", "a/b.txt", "gone"]:
            for attempt in (workspace.read_bytes, workspace.size, workspace.is_folder):
                try:
                    attempt(path)
                except ToolError:
                    continue
        workspace.write_bytes("out/x.txt", b"x")
        workspace.write_bytes("out/x.txt", b"y")
        workspace.delete("out/x.txt")
        workspace.files()

    all_paths()
    before = open_descriptors()
    for _ in range(3):
        all_paths()
    assert open_descriptors() == before


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_workspace_gives_its_descriptor_back(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    held = workspace._folder._held
    os.fstat(held)
    del workspace
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held)
