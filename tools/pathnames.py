"""Which path names are legal in a workspace, and which files in it may not be written."""

import re
import unicodedata
from pathlib import Path, PurePosixPath

from tools.errors import WorkspaceError

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1_000
MAX_DEPTH = 32

# Controls, line separators, direction overrides, tags and halves of characters: a name that holds
# one cannot be shown faithfully.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
    "\U000e0000-\U000e007f]"
)

PROTECTED_NAMES = frozenset(
    {
        "tuneward.yaml",
        "tuneward.yml",
        "grants.yaml",
        "grants.yml",
        "jenkinsfile",
        "azure-pipelines.yml",
        "azure-pipelines.yaml",
        "bitbucket-pipelines.yml",
        "sitecustomize.py",
        "usercustomize.py",
    }
)
"""Files that steer this program or run code elsewhere. Hidden names are out of reach anyway."""


def split_path(path: str, root: Path) -> tuple[str, ...]:
    """The components of a path below `root`; empty for `root` itself.

    Raises:
        WorkspaceError: the path is illegal, hidden or leaves the workspace.
    """
    if not isinstance(path, str) or not path.strip():
        raise WorkspaceError("the path is empty; name a file, such as notes.txt")
    shown = show(path)
    if found := _UNSHOWABLE.search(path):
        raise WorkspaceError(
            f"the path {shown} holds the character U+{ord(found[0]):04X}, which no path may hold"
        )
    if len(path.encode()) > MAX_PATH_BYTES + len(str(root)):
        raise WorkspaceError(f"the path {shown} is longer than {MAX_PATH_BYTES} bytes")
    pure = PurePosixPath(path)
    if pure.is_absolute():
        try:
            pure = pure.relative_to(root)
        except ValueError:
            raise WorkspaceError(
                f"the path {shown} is outside the workspace; give a path relative to the workspace"
            ) from None
    parts = pure.parts
    if ".." in parts:
        raise WorkspaceError(f"the path {shown} holds '..'; give a path relative to the workspace")
    if len(parts) > MAX_DEPTH:
        raise WorkspaceError(f"the path {shown} is more than {MAX_DEPTH} folders deep")
    for part in parts:
        if len(part.encode()) > MAX_NAME_BYTES:
            raise WorkspaceError(
                f"the name {show(part)} is longer than {MAX_NAME_BYTES} bytes; choose a shorter one"
            )
        if part.startswith("."):
            raise WorkspaceError(f"{shown} is hidden ({show(part)}); hidden files are out of reach")
        if part.startswith("~"):
            raise WorkspaceError(
                f"the name {show(part)} starts with '~'; no home folder exists here"
            )
    return parts


def is_listed(name: str) -> bool:
    """Whether a folder's entry can be named by a path at all."""
    return not (name.startswith((".", "~")) or _UNSHOWABLE.search(name))


def check_writable(parts: tuple[str, ...]) -> None:
    """Refuse names that steer programs and names that are hard to tell apart.

    Raises:
        WorkspaceError: says which name, and why.
    """
    for part in parts:
        if _plain(part) in PROTECTED_NAMES or _plain(part).startswith("."):
            raise WorkspaceError(f"{show(part)} is protected and cannot be written or removed")
        if "\\" in part:
            raise WorkspaceError(f"the name {show(part)} holds a backslash; use '/'")
        if part != part.strip() or part.endswith("."):
            raise WorkspaceError(
                f"the name {show(part)} starts or ends with a space or ends with a dot; drop it"
            )


def show(path: str) -> str:
    """The path quoted, escaped and shortened for a message."""
    return repr(path if len(path) <= 120 else path[:100] + "...")


def _plain(name: str) -> str:
    """The name as file systems that ignore case and invisible characters see it."""
    visible = (c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", "".join(visible)).casefold().strip()
