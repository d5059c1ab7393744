"""The workspace reads and writes what lies in it, keeps old versions, and says no in one line."""

import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from memory.errors import DiskFull
from tests.tools.hostile_paths import NOT_WRITABLE, REFUSED, SECRET, everything, filled, lay_out
from tools.beneath import ByComponent, Opener, best_opener
from tools.errors import ToolError, ToolFailed
from tools.held_folder import MAX_FILES
from tools.workspace import Workspace, WorkspaceError


@pytest.fixture(scope="module", params=["the kernel's way", "by component"])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Both ways of opening; every hostile path is tried with each."""
    if request.param == "by component":
        return ByComponent()
    if isinstance(best_opener(), ByComponent):
        pytest.skip("this kernel has no openat2")
    return best_opener()


@pytest.fixture
def workspace(tmp_path: Path, opener: Opener) -> Workspace:
    (tmp_path / "ws").mkdir()
    return Workspace(tmp_path / "ws", versions=tmp_path / "versions", opener=opener)


def old_versions(workspace: Workspace) -> list[tuple[str, bytes]]:
    assert workspace.versions is not None
    kept = workspace.versions
    return [(v.path, (kept.folder / v.file).read_bytes()) for v in kept.all()]


# -- paths that lead nowhere -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile_place(tmp_path_factory: pytest.TempPathFactory, opener: Opener) -> Path:
    """The folder that holds a hostile workspace; shared, since no test may change it."""
    top = tmp_path_factory.mktemp("hostile")
    lay_out(top)
    return top


@pytest.mark.parametrize("path", REFUSED)
def test_refuses_to_read_and_write(hostile_place: Path, opener: Opener, path: str) -> None:
    top = hostile_place
    workspace = Workspace(top / "ws", versions=top / "versions", opener=opener)
    before = everything(top)
    path = filled(path, top)
    attempts: list[Callable[[], object]] = [
        lambda: workspace.read_bytes(path),
        lambda: workspace.size(path),
        lambda: workspace.write_bytes(path, b"x"),
        lambda: workspace.append_bytes(path, b"x"),
        lambda: workspace.delete(path),
        lambda: workspace.move(path, "out/moved.txt"),
        lambda: workspace.copy(path, "out/copied.txt"),
        lambda: workspace.move("notes.txt", path),
        lambda: workspace.copy("notes.txt", path),
    ]
    for attempt in attempts:
        with pytest.raises(WorkspaceError) as caught:
            attempt()
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 400
        assert SECRET not in message
    assert not workspace.exists(path)
    assert everything(top) == before


def test_the_corpus_is_dangerous_where_nothing_guards(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    leaks = 0
    for path in REFUSED:
        try:
            target = root / filled(path, tmp_path)
            leaks += target.is_file() and SECRET in target.read_text()
        except (OSError, ValueError):
            continue
    assert leaks >= 10


@pytest.mark.parametrize("path", NOT_WRITABLE)
def test_refuses_to_write_what_steers_programs_or_looks_alike(tmp_path: Path, path: str) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    (root / "notes.txt").write_text("notes")
    workspace = Workspace(root)
    before = everything(tmp_path)
    for attempt in (
        lambda: workspace.write_bytes(path, b"x"),
        lambda: workspace.append_bytes(path, b"x"),
        lambda: workspace.move("notes.txt", path),
        lambda: workspace.copy("notes.txt", path),
    ):
        with pytest.raises(WorkspaceError):
            attempt()
    assert everything(tmp_path) == before


def test_a_protected_file_can_be_read_but_not_removed(tmp_path: Path) -> None:
    (tmp_path / "tuneward.yaml").write_text("mode: ask")
    workspace = Workspace(tmp_path)
    assert workspace.read_text("tuneward.yaml") == "mode: ask"
    with pytest.raises(WorkspaceError, match="protected"):
        workspace.delete("tuneward.yaml")
    with pytest.raises(WorkspaceError, match="protected"):
        workspace.move("tuneward.yaml", "other.yaml")


def test_the_caller_can_protect_more(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    workspace = Workspace(tmp_path, protected=[tmp_path / "goal.yaml", tmp_path / "checks"])
    for path in ("goal.yaml", "checks/gold.py", "./checks//deep/x.py", f"{tmp_path}/goal.yaml"):
        with pytest.raises(WorkspaceError, match="protected"):
            workspace.write_bytes(path, b"x")
    assert workspace.write_bytes("goal.yaml.txt", b"x")


def test_listing_passes_over_what_cannot_be_opened(tmp_path: Path, opener: Opener) -> None:
    workspace = Workspace(lay_out(tmp_path), opener=opener)
    (workspace.root / ".git").mkdir()
    (workspace.root / ".git" / "config").write_text("x")
    (workspace.root / "bad\nname.txt").write_text("x")
    Path(os.fsdecode(os.fsencode(workspace.root) + b"/\xff.txt")).write_text("x")
    assert workspace.files() == ["a/b.txt", "notes.txt"]
    assert workspace.folders() == ["a", "out"]


def test_a_workspace_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"'.*/nowhere' does not exist; make it or name"):
        Workspace(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(WorkspaceError, match="is no folder"):
        Workspace(tmp_path / "file")


def test_a_workspace_may_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "short").symlink_to(tmp_path / "real")
    workspace = Workspace(tmp_path / "short")
    workspace.write_bytes("x.txt", b"x")
    assert (tmp_path / "real" / "x.txt").read_bytes() == b"x"
    assert workspace.read_bytes(str(tmp_path / "real" / "x.txt")) == b"x"


@pytest.mark.parametrize("replacement", ["link", "folder", "nothing"])
def test_a_workspace_that_is_replaced_is_left_alone(
    tmp_path: Path, workspace: Workspace, replacement: str
) -> None:
    workspace.write_bytes("notes.txt", b"notes")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "notes.txt").write_text(SECRET)
    workspace.root.rename(tmp_path / "moved away")
    if replacement == "link":
        workspace.root.symlink_to(tmp_path / "outside")
    elif replacement == "folder":
        shutil.copytree(tmp_path / "outside", workspace.root)
    attempts: list[Callable[[], object]] = [
        lambda: workspace.read_bytes("notes.txt"),
        lambda: workspace.write_bytes("new.txt", b"x"),
        lambda: workspace.delete("notes.txt"),
        lambda: workspace.move("notes.txt", "b.txt"),
        workspace.files,
        workspace.state,
    ]
    for attempt in attempts:
        with pytest.raises(ToolFailed, match="removed or replaced"):
            attempt()
    assert (tmp_path / "outside" / "notes.txt").read_text() == SECRET
    assert sorted(p.name for p in (tmp_path / "moved away").iterdir()) == ["notes.txt"]


def test_a_pipe_does_not_make_it_wait(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "pipe")
    started = time.monotonic()
    with pytest.raises(WorkspaceError, match="no regular file"):
        workspace.read_bytes("pipe")
    assert time.monotonic() - started < 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_not_read(workspace: Workspace) -> None:
    os.mknod(workspace.root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with pytest.raises(WorkspaceError, match="no regular file"):
        workspace.read_bytes("zero")
    with pytest.raises(WorkspaceError, match="special file"):
        workspace.write_bytes("zero", b"x")


def test_writing_to_a_hard_link_leaves_the_other_name_alone(
    tmp_path: Path, workspace: Workspace
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text(SECRET)
    for name in ("written", "appended", "deleted", "moved over"):
        os.link(outside, workspace.root / name)
    workspace.write_bytes("written", b"x")
    workspace.append_bytes("appended", b"x")
    workspace.delete("deleted")
    workspace.write_bytes("new", b"x")
    workspace.move("new", "moved over")
    assert outside.read_text() == SECRET


# -- reading ---------------------------------------------------------------------------------------


def test_lists_by_ending_in_any_case(workspace: Workspace) -> None:
    for path in ("b.CSV", "a/c.csv", "a/d.txt"):
        workspace.write_bytes(path, b"x")
    assert workspace.files() == ["a/c.csv", "a/d.txt", "b.CSV"]
    assert workspace.files((".csv", ".tsv")) == ["a/c.csv", "b.CSV"]
    assert workspace.sizes() == {"a/c.csv": 1, "a/d.txt": 1, "b.CSV": 1}


def test_a_missing_file_brings_up_the_likely_one(workspace: Workspace) -> None:
    for path in ("data/reviews.csv", "summary.txt"):
        workspace.write_bytes(path, b"x")
    with pytest.raises(WorkspaceError, match="did you mean 'data/reviews.csv'"):
        workspace.read_bytes("reviews.csv")
    with pytest.raises(WorkspaceError, match="did you mean 'summary.txt'"):
        workspace.read_bytes("sumary.txt")
    with pytest.raises(WorkspaceError, match="is a folder; name a file in it"):
        workspace.read_bytes("data")


def test_a_file_over_the_limit_is_not_read(workspace: Workspace) -> None:
    with (workspace.root / "huge.log").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(ToolFailed, match=r"10,737,418,240 bytes; at most 67,108,864"):
        workspace.read_text("huge.log")
    assert workspace.size("huge.log") == 10 << 30
    with pytest.raises(ToolFailed, match="too many to keep|at most"):
        workspace.delete("huge.log")
    assert workspace.exists("huge.log")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "naïve 汉字 🙂"),
        ("utf-8-sig", "with a mark"),
        ("utf-16", "wide text"),
        ("utf-16-le", "wide without a mark"),
        ("utf-16-be", "wide, the other way round"),
        ("utf-32", "wider"),
        ("cp1252", "Größe: 5 €, naïve café, señor"),
        ("shift_jis", "これは日本語のテキストです。東京は日本の首都です。"),
        ("gb18030", "这是中文文本。北京是中国的首都，人口很多。"),
    ],
)
def test_reads_text_in_the_encoding_that_it_has(
    workspace: Workspace, encoding: str, text: str
) -> None:
    workspace.write_bytes("x.txt", text.encode(encoding))
    assert workspace.read_text("x.txt") == text


def test_says_what_is_no_text(workspace: Workspace) -> None:
    workspace.write_bytes("photo.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(ToolFailed, match=r"'photo.png' is not a text file"):
        workspace.read_text("photo.png")


# -- writing ---------------------------------------------------------------------------------------


def test_writes_files_and_the_folders_on_the_way(workspace: Workspace) -> None:
    assert workspace.write_bytes("./out//deep/x.txt", b"one")
    assert (workspace.root / "out" / "deep" / "x.txt").read_bytes() == b"one"
    assert workspace.written == {"out/deep/x.txt"}
    assert old_versions(workspace) == []


def test_keeps_the_version_that_it_replaces(workspace: Workspace) -> None:
    (workspace.root / "notes.txt").write_text("the user's")
    workspace.write_bytes("notes.txt", b"the agent's")
    workspace.write_bytes("notes.txt", b"the agent's, again")
    assert workspace.read_bytes("notes.txt") == b"the agent's, again"
    assert old_versions(workspace) == [("notes.txt", b"the user's"), ("notes.txt", b"the agent's")]


def test_another_run_goes_on_counting_versions(tmp_path: Path, workspace: Workspace) -> None:
    workspace.write_bytes("a.txt", b"1")
    workspace.write_bytes("a.txt", b"2")
    again = Workspace(workspace.root, versions=tmp_path / "versions")
    again.write_bytes("a.txt", b"3")
    assert old_versions(again) == [("a.txt", b"1"), ("a.txt", b"2")]


def test_writing_the_same_again_changes_nothing(workspace: Workspace) -> None:
    (workspace.root / "x.txt").write_text("same")
    before = (workspace.root / "x.txt").stat()
    first = workspace.state()
    assert not workspace.write_bytes("x.txt", b"same")
    second = workspace.state()
    assert not workspace.write_bytes("x.txt", b"same")
    after = (workspace.root / "x.txt").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert workspace.written == {"x.txt"}
    assert first != second == workspace.state()
    assert old_versions(workspace) == []


def test_keeps_the_permissions_of_a_file(workspace: Workspace) -> None:
    script = workspace.root / "script.sh"
    script.write_text("echo")
    script.chmod(0o750)
    workspace.write_bytes("script.sh", b"echo hello")
    assert script.stat().st_mode & 0o7777 == 0o750


def test_appends_and_keeps_what_was_not_its_own(workspace: Workspace) -> None:
    (workspace.root / "log.txt").write_text("old\n")
    workspace.append_bytes("log.txt", b"one\n")
    workspace.append_bytes("log.txt", b"two\n")
    workspace.append_bytes("new.txt", b"three\n")
    assert workspace.read_bytes("log.txt") == b"old\none\ntwo\n"
    assert workspace.read_bytes("new.txt") == b"three\n"
    assert old_versions(workspace) == [("log.txt", b"old\n")]


def test_copies(workspace: Workspace) -> None:
    workspace.write_bytes("a.txt", b"a")
    (workspace.root / "b.txt").write_text("b")
    workspace.copy("a.txt", "b.txt")
    assert workspace.read_bytes("b.txt") == b"a"
    assert old_versions(workspace) == [("b.txt", b"b")]
    assert workspace.written == {"a.txt", "b.txt"}
    with pytest.raises(WorkspaceError, match="are the same file"):
        workspace.copy("a.txt", "./a.txt")


def test_moves(workspace: Workspace) -> None:
    workspace.write_bytes("a.txt", b"a")
    (workspace.root / "b.txt").write_text("b")
    workspace.move("a.txt", "b.txt")
    workspace.move("b.txt", "deep/er/c.txt")
    assert workspace.files() == ["deep/er/c.txt"]
    assert workspace.read_bytes("deep/er/c.txt") == b"a"
    assert old_versions(workspace) == [("b.txt", b"b")]
    assert workspace.written == {"deep/er/c.txt"}
    with pytest.raises(WorkspaceError, match="is a folder"):
        workspace.move("deep/er/c.txt", "deep")


def test_deletes_and_keeps_the_last_version(workspace: Workspace) -> None:
    (workspace.root / "a.txt").write_text("a")
    workspace.delete("a.txt")
    assert workspace.files() == []
    assert old_versions(workspace) == [("a.txt", b"a")]
    with pytest.raises(WorkspaceError, match="there is no 'a.txt'"):
        workspace.delete("a.txt")


def test_a_full_disk_leaves_the_workspace_as_it_was(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.root / "notes.txt").write_text("the user's")
    write = os.write

    def full(file: int, data: bytes) -> int:
        if b"new" in bytes(data):
            write(file, data[:3])
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull, match="no room to write 'notes.txt'"):
        workspace.write_bytes("notes.txt", b"new content")
    with pytest.raises(DiskFull):
        workspace.write_bytes("other.txt", b"new content")
    assert [p.name for p in workspace.root.iterdir()] == ["notes.txt"]
    assert workspace.read_bytes("notes.txt") == b"the user's"
    assert workspace.written == set()


def test_no_old_version_no_change(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace.root / "notes.txt").write_text("the user's")
    write = os.write

    def full(file: int, data: bytes) -> int:
        if b"the user's" in bytes(data):
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    for attempt in (
        lambda: workspace.write_bytes("notes.txt", b"x"),
        lambda: workspace.delete("notes.txt"),
    ):
        with pytest.raises(DiskFull):
            attempt()
    assert workspace.read_bytes("notes.txt") == b"the user's"


def test_a_folder_that_may_not_be_written_is_reported(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", forbidden)
    with pytest.raises(ToolFailed, match="could not write 'x.txt': Permission denied"):
        workspace.write_bytes("x.txt", b"x")
    assert list(workspace.root.iterdir()) == []


def test_a_file_that_is_too_large_is_not_written(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.workspace.MAX_WRITE_BYTES", 10)
    with pytest.raises(ToolFailed, match="11 bytes are too many"):
        workspace.write_bytes("x.txt", b"x" * 11)
    workspace.write_bytes("x.txt", b"x" * 6)
    with pytest.raises(ToolFailed, match="would be larger than 10 bytes"):
        workspace.append_bytes("x.txt", b"x" * 6)
    assert workspace.size("x.txt") == 6


# -- state -----------------------------------------------------------------------------------------


def test_the_state_tells_every_change(workspace: Workspace) -> None:
    changes: list[Callable[[], object]] = [
        lambda: workspace.write_bytes("a.txt", b"1"),
        lambda: workspace.write_bytes("a.txt", b"2"),
        lambda: workspace.copy("a.txt", "b/c.txt"),
        lambda: workspace.move("b/c.txt", "b/d.txt"),
        lambda: workspace.delete("b/d.txt"),
        lambda: (workspace.root / "a.txt").write_text("by someone else"),
    ]
    for change in changes:
        before = workspace.state()
        assert workspace.state() == before
        change()
        assert workspace.state() != before


def test_a_digest_tells_the_content(workspace: Workspace) -> None:
    workspace.write_bytes("a.txt", b"x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert workspace.digest("a.txt") == digest
    assert workspace.digest("nothing.txt") is None


def test_ten_thousand_files_are_listed_at_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for number in range(10_000):
        folder = workspace.root / f"f{number % 100}"
        if number < 100:
            folder.mkdir()
        os.close(os.open(folder / f"{number}.txt", os.O_CREAT | os.O_WRONLY))
    started = time.process_time()
    assert len(workspace.files()) == 10_000
    assert len(workspace.folders()) == 100
    assert workspace.state() == workspace.state()
    assert time.process_time() - started < 2


def test_a_listing_ends_somewhere(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FILES == 20_000
    monkeypatch.setattr("tools.held_folder.MAX_FILES", 5)
    for number in range(8):
        workspace.write_bytes(f"{number}.txt", b"x")
    assert workspace.files() == [f"{number}.txt" for number in range(5)]


def test_errors_are_ones_that_the_model_is_shown() -> None:
    assert issubclass(WorkspaceError, ToolError)
