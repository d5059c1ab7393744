"""Paths that must lead nowhere: the corpus behind the workspace's tests.

`REFUSED` holds paths that no file may be read or written under. `lay_out` builds the links, pipes
and twins that some of them need, beside and inside a workspace.
"""

import os
import socket
from pathlib import Path

SECRET = "the secret of the house"

_UP = [
    "..", "../secret.txt", "../../etc/passwd", "a/../../secret.txt", "a/..", "./../secret.txt",
    "out/../../secret.txt", "../ws/notes.txt", "../ws-evil/secret.txt",
    "a/b/c/../../../../secret.txt",
    "//../secret.txt", "..//secret.txt", "../", "a/./../../secret.txt",
]  # fmt: skip
_ABSOLUTE = [
    "/etc/passwd", "/", "//etc/passwd", "/proc/self/root/etc/passwd", "/proc/self/cwd/notes.txt",
    "/proc/self/environ", "/proc/self/fd/0", "/proc/1/root/etc/passwd", "/dev/null", "/dev/zero",
    "/dev/stdin", "/dev/fd/0", "/sys/kernel/notes", "/home/user/.ssh/id_rsa", "/tmp",
    "{root}-evil/secret.txt", "{root}/../secret.txt", "{root}/link", "{outside}/secret.txt",
    "{root}/folder-link/secret.txt", "{outside}", "//{root}-evil/secret.txt",
]  # fmt: skip
_HOME = ["~", "~/secret.txt", "~root/.ssh/id_rsa", "a/~/x", "~/.bashrc"]
_HIDDEN = [
    ".git/config", ".git/hooks/pre-commit", ".bashrc", ".profile", ".ssh/authorized_keys", ".env",
    ".github/workflows/ci.yml", "out/.git/config", ".hidden", "a/.b/c.txt", "...",
    ".tuneward-x.tmp",
    ".gitlab-ci.yml", ".vscode/tasks.json", ".netrc", ".pre-commit-config.yaml", ".GIT/config",
]  # fmt: skip
_CHARACTERS = [
    "a\0b", "notes.txt\0.png", "\0", "a\nb.txt", "notes.txt\n", "\tx.txt", "a\rb", "a\x1b[31mb",
    "\x1b]0;title\x07", "a\x7fb", "a\x85b", "a\x9bb", "gpj.\u202eexe", "a\u2028b", "a\u2066b",
    "x\U000e0041y", "a\ud800b", "\udcff", "\ufeffa.txt", "a\u200fb",
]  # fmt: skip
_LENGTH = [
    "x" * 256, "é" * 128, "a/" * 33 + "x", "a/" * 3_000 + "x", "x" * 100_000, ("y" * 200 + "/") * 6,
    "汉" * 86, "🙂" * 64,
]  # fmt: skip
_EMPTY = ["", " ", "\t", ".", "./", "./.", "notes.txt/", "out/"]
_LINKS = [
    "link", "link-to-link", "loop", "loop-a", "dangling", "folder-link", "folder-link/secret.txt",
    "folder-link/new.txt", "folder-link/deeper/new.txt", "up-link/secret.txt", "up-link",
    "proc-root", "proc-root/etc/passwd", "proc-fd/0", "self-link/notes.txt", "a/link",
    "a/folder-link/secret.txt",
    "inside-link", "inside-folder-link/notes.txt", "link/", "folder-link/", "absolute-link",
]  # fmt: skip
_SPECIAL = ["pipe", "socket", "notes.txt/x", "notes.txt/x/y", "pipe/x", "out"]

REFUSED = [
    *_UP, *_ABSOLUTE, *_HOME, *_HIDDEN, *_CHARACTERS, *_LENGTH, *_EMPTY, *_LINKS, *_SPECIAL
]  # fmt: skip

NOT_WRITABLE = [
    "tuneward.yaml", "Tuneward.YAML", "tuneward.yml", "out/tuneward.yaml", "grants.yaml",
    "GRANTS.yaml", "a/b/grants.yml", "Jenkinsfile", "jenkinsfile", "azure-pipelines.yml",
    "bitbucket-pipelines.yml", "sitecustomize.py", "lib/usercustomize.py", "tuneward.yaml/x",
    "\u200b.git/config", "tune\u200dward.yaml", "ｔuneward.yaml", "out\\x.txt", "..\\secret.txt",
    " x.txt", "x.txt ", "x.", "a /x", "x..",
]  # fmt: skip
"""Legal to look up, but nothing may be written there."""


def lay_out(top: Path) -> Path:
    """A workspace `top/ws` with hostile entries, and secrets beside it."""
    root = top / "ws"
    for folder in (root, root / "a", root / "out", top / "ws-evil", top / "outside"):
        folder.mkdir(parents=True)
    for place in (top, top / "ws-evil", top / "outside"):
        (place / "secret.txt").write_text(SECRET)
    (root / "notes.txt").write_text("notes")
    (root / "a" / "b.txt").write_text("b")
    links = {
        "link": top / "secret.txt",
        "absolute-link": root / "notes.txt",
        "link-to-link": Path("link"),
        "loop": Path("loop"),
        "loop-a": Path("loop-b"),
        "loop-b": Path("loop-a"),
        "dangling": top / "nothing.txt",
        "folder-link": top / "outside",
        "up-link": Path(".."),
        "proc-root": Path("/proc/self/root"),
        "proc-fd": Path("/proc/self/fd"),
        "self-link": Path(),
        "a/link": Path("../../secret.txt"),
        "a/folder-link": Path("../../outside"),
        "inside-link": Path("notes.txt"),
        "inside-folder-link": Path(),
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "socket"))
    return root


def filled(path: str, top: Path) -> str:
    """The path with `{root}` and `{outside}` filled in."""
    return path.replace("{root}", str(top / "ws")).replace("{outside}", str(top / "outside"))


def everything(top: Path) -> dict[str, tuple[int, str]]:
    """Every entry below `top`, with its kind, mode and content: what must not change."""
    found = {}
    for folder, names, files in os.walk(top):
        for name in names + files:
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if path.is_symlink():
                content = str(path.readlink())
            else:
                content = path.read_text() if path.is_file() else ""
            found[str(path.relative_to(top))] = mode, content
    return found
