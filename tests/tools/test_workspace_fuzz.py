"""The workspace under made-up paths, and while someone swaps folders for links under it."""

import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memory import durable
from tests import long_list
from tests.tools.hostile_paths import REFUSED, SECRET, everything, filled, lay_out
from tools.beneath import ByComponent, Opener, best_opener
from tools.errors import ToolError
from tools.workspace import Workspace

OPENERS = [best_opener(), ByComponent()]
IDS = ["the kernel's way", "by component"]

_PARTS = st.sampled_from(
    ["..", ".", "", "a", "b.txt", "notes.txt", "out", "link", "folder-link", "up-link", "proc-root"]
    + ["self-link", "loop", "pipe", "secret.txt", "~", ".git", "new", "etc", "\0", "tuneward.yaml"]
)
_PATHS = st.one_of(
    st.lists(_PARTS, min_size=1, max_size=6).map("/".join),
    st.lists(_PARTS, min_size=1, max_size=6).map(lambda parts: "/" + "/".join(parts)),
    st.tuples(
        st.sampled_from(["{root}", "{outside}", "{root}-evil", "/proc/self/cwd"]), _PARTS
    ).map("/".join),
    st.sampled_from(REFUSED).flatmap(lambda p: st.sampled_from([p, p + "/x", "a/" + p, p.upper()])),
    st.text(max_size=40),
    st.text(st.characters(codec=None), max_size=8),
)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)


@contextmanager
def _hostile_place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        lay_out(top)
        yield top


@pytest.mark.stress("paths")
@pytest.mark.parametrize("opener", OPENERS, ids=IDS)
def test_no_path_leads_outside(opener: Opener) -> None:
    with _hostile_place() as top:
        outside = {
            name: what for name, what in everything(top).items() if not name.startswith("ws/")
        }
        workspace = Workspace(top / "ws", opener=opener)
        attempts: list[Callable[[str], object]] = [
            lambda path: SECRET.encode() not in workspace.read_bytes(path) or pytest.fail(path),
            lambda path: workspace.write_bytes(path, b"x"),
            lambda path: workspace.copy("a/b.txt", path),
            lambda path: workspace.append_bytes(path, b"y"),
            lambda path: workspace.move(path, "out/x.txt"),
            lambda path: workspace.delete(path),
        ]

        @settings(max_examples=5_000 if long_list.in_full() else 150)
        @given(path=_PATHS, attempt=st.sampled_from(attempts))
        def tries(path: str, attempt: Callable[[str], object]) -> None:
            message = ""
            try:
                attempt(filled(path, top))
            except ToolError as error:
                message = str(error)
            assert message == "" or message.isprintable()
            for listed in workspace.files():
                assert workspace.relative(listed) == listed
                assert workspace.exists(listed)
            now = {n: what for n, what in everything(top).items() if not n.startswith("ws/")}
            assert now == outside

        tries()


@pytest.mark.stress("races")
@pytest.mark.parametrize("opener", OPENERS, ids=IDS)
def test_a_link_swapped_in_meanwhile_leads_nowhere(opener: Opener) -> None:
    rounds = 20_000 if long_list.in_full() else 1_000
    with _hostile_place() as top, _swapping(top) as swaps:
        workspace = Workspace(top / "ws", opener=opener)
        outcomes = {"read": 0, "written": 0, "refused": 0}
        for number in range(rounds):
            try:
                if number % 2:
                    assert SECRET not in workspace.read_text("swapped/secret.txt")
                    outcomes["read"] += 1
                else:
                    workspace.write_bytes("swapped/new.txt", b"%d" % number)
                    outcomes["written"] += 1
            except ToolError:
                outcomes["refused"] += 1
        seen = next(swaps)
        assert (top / "outside" / "secret.txt").read_text() == SECRET
        assert [path.name for path in (top / "outside").iterdir()] == ["secret.txt"]
    # The race took place: swaps happened, some calls met the folder and some the link.
    assert seen > 100
    assert all(outcomes.values()), outcomes


def test_the_race_is_lost_by_checking_first() -> None:
    with _hostile_place() as top, _swapping(top):
        path = top / "ws" / "swapped" / "secret.txt"
        for _ in range(200_000):
            try:
                if not path.parent.is_symlink() and SECRET in path.read_text():
                    return
            except OSError:
                continue
    pytest.fail("the control never lost the race, so the race proves nothing")


@contextmanager
def _swapping(top: Path) -> Iterator[Iterator[int]]:
    """While it lasts, `ws/swapped` is by turns a harmless folder and a link to secrets."""
    swapped, folder, link = (top / "ws" / name for name in ("swapped", "real", "evil"))
    folder.mkdir()
    (folder / "secret.txt").write_text("harmless")
    link.symlink_to(top / "outside")
    count = itertools.count()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for other in (folder, link):
                try:
                    other.rename(swapped)
                except OSError:  # a writer found nothing there and made a folder
                    swapped.rename(top / "ws" / f"made-{next(count)}")
                    continue
                next(count)
                swapped.rename(other)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


class WorkspaceMachine(RuleBasedStateMachine):
    """Any order of changes leaves what a plain dictionary says, and loses nothing of the user's."""

    NAMES = st.sampled_from(["a.txt", "b.txt", "d/a.txt", "d/e/b.txt"])

    def __init__(self) -> None:
        super().__init__()
        self._top = tempfile.TemporaryDirectory()
        top = Path(self._top.name)
        (top / "ws").mkdir()
        self.workspace = Workspace(top / "ws", versions=top / "versions")
        self.model: dict[str, bytes] = {}
        self.users: set[tuple[str, bytes]] = set()

    def teardown(self) -> None:
        self._top.cleanup()

    @rule(name=NAMES, data=st.binary(max_size=8))
    def user_writes(self, name: str, data: bytes) -> None:
        path = self.workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.model[name] = data
        self.workspace.written.discard(name)
        self.users = {(n, d) for n, d in self.users if n != name} | {(name, data)}

    @rule(name=NAMES, data=st.binary(max_size=8))
    def write(self, name: str, data: bytes) -> None:
        self.workspace.write_bytes(name, data)
        self.model[name] = data

    @rule(name=NAMES, data=st.binary(max_size=8))
    def append(self, name: str, data: bytes) -> None:
        self.workspace.append_bytes(name, data)
        self.model[name] = self.model.get(name, b"") + data

    @rule(name=NAMES, to=NAMES)
    def copy(self, name: str, to: str) -> None:
        if name in self.model and name != to:
            self.workspace.copy(name, to)
            self.model[to] = self.model[name]

    @rule(name=NAMES, to=NAMES)
    def move(self, name: str, to: str) -> None:
        if name in self.model and name != to:
            self.workspace.move(name, to)
            self.model[to] = self.model.pop(name)

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        if name in self.model:
            self.workspace.delete(name)
            del self.model[name]

    @invariant()
    def files_are_as_expected(self) -> None:
        found = {path: self.workspace.read_bytes(path) for path in self.workspace.files()}
        assert found == self.model

    @invariant()
    def nothing_of_the_users_is_lost(self) -> None:
        assert self.workspace.versions is not None
        folder = self.workspace.versions.folder
        kept = {(folder / v.file).read_bytes() for v in self.workspace.versions.all()}
        assert all(data in kept | set(self.model.values()) for _, data in self.users)

    @invariant()
    def no_temp_file_is_left(self) -> None:
        for _, _, files in os.walk(self.workspace.root):
            assert not any(name.startswith(durable.TEMP_PREFIX) for name in files)


TestWorkspaceMachine = WorkspaceMachine.TestCase
TestWorkspaceMachine.settings = settings(max_examples=30, stateful_step_count=15)
