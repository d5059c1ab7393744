"""Finds the files that paths lead to, and names each by a path that stays the same: its source.

A source is the whole path, since one memory serves every folder that a person works in. People and
the model see it relative to their folder where it lies in there (`shown_source`).

Covered: folders that cannot be listed, pipes and devices, names that are no text. Links in folders
are not followed, so that a folder from elsewhere cannot bring in files from outside it.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_UNPLACED = ".../"
"""Before a relative source, as earlier versions kept them: of which folder is not known."""


@dataclass
class Sources:
    """What a list of paths leads to. A source is a whole path."""

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
    """
    found = Sources()
    for given in paths:
        path = _whole(root / Path(given).expanduser())
        source = _text_of(path)
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
            for file in _files_in(path, found):
                found.files.setdefault(_text_of(file), file)
        elif stat.S_ISREG(mode):
            found.files[source] = path
            found.named.add(source)
        else:
            found.failed[source] = "it is neither a file nor a folder"
    return found


def source_of(named: str, folder: Path) -> str:
    """The source that is meant by a path as it is shown to those who work in `folder`.

    Raises:
        ValueError: no path can be this.
    """
    if named.startswith(_UNPLACED):
        return named.removeprefix(_UNPLACED)
    return _text_of(_whole(folder / named))


def shown_source(source: str, folder: Path) -> str:
    """A source for those who work in `folder`: relative to it where it lies in there."""
    if not source.startswith("/"):
        return source if "://" in source else f"{_UNPLACED}{source}"
    base = _text_of(_whole(folder)).rstrip("/")
    return source.removeprefix(f"{base}/")


def is_below(source: str, folders: Iterable[str]) -> bool:
    """Whether the source is one of these or lies in one of them."""
    return any(
        source == folder or source.startswith(folder if folder.endswith("/") else f"{folder}/")
        for folder in folders
    )


def is_gone(source: str) -> bool:
    """Whether there is certainly no file any more, not even a hidden or linked one."""
    try:
        return not stat.S_ISREG(Path(source).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:  # it cannot be looked at
        return False


def _text_of(path: Path) -> str:
    """As text that can be stored."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


def _whole(path: Path) -> Path:
    """Absolute, without `..` and links; a file that is a link itself keeps its own name."""
    path = Path(os.path.normpath(path.absolute()))
    beside = Path(os.path.realpath(path.parent), path.name)
    try:
        return path.resolve() if path.is_dir() else beside
    except OSError:  # too long a name, or one that may not be looked at
        return beside


def _files_in(folder: Path, found: Sources) -> Iterator[Path]:
    """Regular files that are not hidden, at any depth, sorted."""

    def failed(error: OSError) -> None:
        name = _text_of(Path(error.filename))
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
