"""Which folder a goal file works in: what it may choose, and what is too much to hand over."""

from pathlib import Path

from agent.goal import MAX_PATH_CHARS
from agent.source_text import Problems
from agent.yaml_tree import Node

_SYSTEM_FOLDERS = tuple(
    f"/{name}" for name in ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "run", "sbin")
) + ("/sys", "/usr", "/System")
"""A goal file cannot choose these or what is below them."""
_SHARED_FOLDERS = tuple(
    f"/{name}" for name in ("", "home", "root", "tmp", "var", "opt", "srv", "mnt", "media")
) + ("/Users", "/Library", "/private")
"""Nor these, though folders below them may be somebody's own."""


def choose_folder(root: Node, own: Path, given: Path | None, problems: Problems) -> Path | None:
    """The folder to work in; None where it is wrong, which is then reported.

    Args:
        root: the goal file's tree.
        own: the goal file's folder.
        given: the person's own choice, which may be any folder.
    """
    if given is not None:
        return _existing(Path(given), (1, 1), problems)
    node = root.get("workspace")
    if node is None:
        return own.resolve()
    if node.broken or node.kind != "scalar" or not node.text.strip():
        return None  # the model says what is wrong
    if "{{" in node.text:
        problems.add(node, "the workspace cannot hold an input; write the folder out")
        return None
    if len(node.text) > MAX_PATH_CHARS:
        problems.add(node, f"the path is longer than {MAX_PATH_CHARS} characters; shorten it")
        return None
    folder = _existing(own / node.text, node, problems)
    if folder is not None and _too_wide(folder, own.resolve()):
        problems.add(
            node,
            f"{folder} is too much to hand over; name one folder of yours, or pass --workspace",
        )
        return None
    return folder


def _existing(path: Path, where: Node | tuple[int, int], problems: Problems) -> Path | None:
    try:
        folder = path.resolve()
        if folder.is_dir():
            return folder
        problems.add(where, f"the workspace {folder} is not a folder; create it first")
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long
        problems.add(where, f"the workspace cannot be used: {error}; name another folder")
    return None


def _too_wide(folder: Path, own: Path) -> bool:
    """Whether a file would hand over more than one folder of the person who runs it."""
    if folder.is_relative_to(own):
        return False
    home = Path.home().resolve()
    if home.is_relative_to(folder) or str(folder) in _SHARED_FOLDERS:
        return True
    if folder.is_relative_to(home) and str(home) != "/":
        return folder.relative_to(home).parts[0].startswith(".")
    return any(folder.is_relative_to(system) for system in _SYSTEM_FOLDERS)
