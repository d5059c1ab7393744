"""Durable writes: whole or not at all, whatever happens in between."""

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from memory import durable
from memory.errors import DiskFull, WriteFailed
from tests.memory.crash_points import NEW, OLD

ROOT = Path(__file__).parents[2]


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(durable.TEMP_PREFIX)]


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_writes_a_file_and_the_folders_on_the_way(tmp_path: Path) -> None:
    durable.replace(tmp_path / "a" / "b" / "notes.json", b"{}")
    assert (tmp_path / "a" / "b" / "notes.json").read_bytes() == b"{}"
    assert leftovers(tmp_path / "a" / "b") == []


def test_state_files_are_for_their_owner_only(tmp_path: Path) -> None:
    durable.replace(tmp_path / "state" / "grants.yaml", b"")
    assert (tmp_path / "state" / "grants.yaml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_replaces_a_file_by_pieces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    durable.replace(path, (piece for piece in (b"one ", b"two ", b"", b"three")))
    assert path.read_bytes() == b"one two three"


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    points = crash_at_every_call(tmp_path, "durable")
    contents = Counter((tmp_path / str(k) / "file").read_bytes() for k in range(points))
    assert set(contents) == {OLD, NEW}
    assert points >= 8


def test_the_kills_would_tear_a_plain_write(tmp_path: Path) -> None:
    points = crash_at_every_call(tmp_path, "naive")
    contents = {(tmp_path / str(k) / "file").read_bytes() for k in range(points)}
    assert contents - {OLD, NEW}


def crash_at_every_call(folder: Path, how: str) -> int:
    script = Path(__file__).parent / "crash_points.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), how],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    done = python(
        """if True:
        import resource, sys
        from pathlib import Path
        from memory import durable
        from memory.errors import DiskFull
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            durable.replace(Path(sys.argv[1]), b"x" * 5000)
        except DiskFull as error:
            print("DiskFull:", error)
        """,
        str(path),
    )
    assert "DiskFull: no room to write 'file'" in done.stdout, done.stderr
    assert path.read_bytes() == b"before"
    assert leftovers(tmp_path) == []


@pytest.mark.system
def test_a_really_full_disk_is_reported_as_one(tmp_path: Path) -> None:
    script = (
        f"mount -t tmpfs -o size=64k none {tmp_path} && echo before > {tmp_path}/file && "
        f"cd {ROOT} && {sys.executable} -c '"
        "from pathlib import Path; from memory import durable, errors\n"
        f'path = Path("{tmp_path}") / "file"\n'
        "try: durable.replace(path, bytes(1 << 20))\n"
        "except errors.DiskFull as error:\n"
        "    print(error, path.read_text(), len(list(path.parent.iterdir())))'"
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare on this machine")
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert "no room to write 'file'" in done.stdout, done.stderr
    assert "before\n 1" in done.stdout


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_kind_of_no_room_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "write", failing(number))
    with pytest.raises(DiskFull):
        durable.replace(path, b"after")
    assert path.read_bytes() == b"before"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
def test_a_failing_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing(errno.EIO))
        with pytest.raises(WriteFailed, match="[Ii]nput/output error"):
            durable.replace(path, b"after")
    assert path.read_bytes() == b"before"
    assert leftovers(tmp_path) == []


def failing(number: int):  # type: ignore[no-untyped-def]  # stands in for calls of any kind
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_says_when_the_disk_did_not_confirm_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Iterator[bool] = iter([True, False])
    fsync = os.fsync

    def second_fails(file: int) -> None:
        if not next(calls):
            raise OSError(errno.EIO, "Input/output error")
        fsync(file)

    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(WriteFailed, match="did not confirm"):
        durable.replace(tmp_path / "file", b"after")


def test_a_failing_producer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        durable.replace(path, pieces())
    assert path.read_bytes() == b"before"
    assert leftovers(tmp_path) == []


def test_does_not_write_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"safe")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    durable.replace(tmp_path / "link", b"new")
    assert (tmp_path / "outside").read_bytes() == b"safe"
    assert not (tmp_path / "link").is_symlink()


def test_appends_lines(tmp_path: Path) -> None:
    durable.append(tmp_path / "log" / "index.jsonl", b"1\n")
    durable.append(tmp_path / "log" / "index.jsonl", b"2\n")
    assert (tmp_path / "log" / "index.jsonl").read_bytes() == b"1\n2\n"


def test_a_line_that_did_not_fit_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "index.jsonl"
    durable.append(path, b"first\n")
    write = os.write
    rooms = iter([3, 0])

    def narrow(file: int, data: bytes) -> int:
        room = next(rooms)
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:room])

    monkeypatch.setattr(os, "write", narrow)
    with pytest.raises(DiskFull):
        durable.append(path, b"second\n")
    assert path.read_bytes() == b"first\n"


def test_sweeps_what_dead_writers_left_and_nothing_else(tmp_path: Path) -> None:
    long_ago = time.time() - 2 * durable.LEFTOVER_SECONDS
    for name in ("dead", "alive"):
        file = tmp_path / f"{durable.TEMP_PREFIX}{name}{durable.TEMP_SUFFIX}"
        file.write_bytes(b"half")
        os.utime(file, (long_ago, long_ago))
    young = tmp_path / f"{durable.TEMP_PREFIX}young{durable.TEMP_SUFFIX}"
    young.write_bytes(b"half")
    (tmp_path / "notes.tmp").write_bytes(b"the user's")
    with (tmp_path / f"{durable.TEMP_PREFIX}alive{durable.TEMP_SUFFIX}").open() as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        with durable.open_folder(tmp_path) as folder:
            assert durable.sweep(folder) == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".tuneward-alive.tmp", ".tuneward-young.tmp", "notes.tmp"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(WriteFailed, match=str(tmp_path / "gone")),
        durable.open_folder(tmp_path / "gone"),
    ):
        pass
