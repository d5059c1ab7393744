"""Finds the files that paths lead to, and names each by a path that stays the same: its source.

Covered: folders that cannot be listed, pipes and devices, names that are no text. Links in folders
are not followed, so that a folder from elsewhere cannot bring in files from outside it.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Sources:
    """What a list of paths leads to. A source is a path relative to the root, with `/`."""

    files: dict[str, Path] = field(default_factory=dict)
    """Each regular file by its source, in the order of the paths, sorted within a folder."""
    named: set[str] = field(default_factory=set)
    """Sources that were named themselves and not only found in a folder."""
    asked: list[str] = field(default_factory=list)
    """The paths themselves, as sources."""
    missing: list[str] = field(default_factory=list)
    """Those of them where nothing is."""
    failed: dict[str, str] = field(default_factory=dict)
    """What could not be looked at, and why; what is below it may still be there."""


def find_sources(paths: Iterable[str | Path], root: Path) -> Sources:
    """The files at the paths and in the folders at the paths; hidden ones only where named.

    Args:
        paths: relative ones are taken from `root`.
        root: files below it have a relative source, others their whole path.
    """
    found = Sources()
    for given in paths:
        path = _whole(root / Path(given).expanduser())
        source = source_of(path, root)
        found.asked.append(source)
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            found.missing.append(source)
            continue
        except OSError as error:
            found.failed[source] = error.strerror or str(error)
            continue
        if stat.S_ISDIR(mode):
            for file in _files_in(path, root, found):
                found.files.setdefault(source_of(file, root), file)
        elif stat.S_ISREG(mode):
            found.files[source] = path
            found.named.add(source)
        else:
            found.failed[source] = "it is neither a file nor a folder"
    return found


def source_of(path: Path, root: Path) -> str:
    """The path relative to `root`, or whole where it is not below; text that can be stored."""
    base = _whole(root)
    named = path.relative_to(base) if path.is_relative_to(base) else path
    return os.fsencode(named.as_posix()).decode("utf-8", "replace")


def _whole(path: Path) -> Path:
    """Absolute, without `..`; links are kept, so that the source is the path as it was given."""
    return Path(os.path.normpath(path.absolute()))


def is_below(source: str, folders: Iterable[str]) -> bool:
    """Whether the source is one of these or lies in one of them; `.` is the root."""
    return any(
        source == folder
        or source.startswith(folder if folder.endswith("/") else f"{folder}/")
        or (folder == "." and not source.startswith("/"))
        for folder in folders
    )


def _files_in(folder: Path, root: Path, found: Sources) -> Iterator[Path]:
    """Regular files that are not hidden, at any depth, sorted."""

    def failed(error: OSError) -> None:
        name = source_of(Path(error.filename), root)
        found.failed[name] = f"the folder cannot be listed ({error.strerror})"

    for place, folders, files in os.walk(folder, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(place, name)
            if not name.startswith(".") and _is_plain(path):
                yield path


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # it went away
        return False
