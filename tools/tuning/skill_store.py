"""Where skills are kept: `home/skills/NAME/VERSION/`, and beside the versions which one is used.

    store = SkillStore(home)
    store.register("sentiment", card, lambda folder: method.save(folder))
    store.get("sentiment").load(bench).predict([TextInput("a fine film")])

A version never changes once it is there. It is made in a folder of its own, looked over, and comes
into its place by one rename; then `current.json` is replaced. A process that dies at any point
leaves the version that was used before in use, and what it had made is found by `take_up`. Every
version is verified when it is loaded.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from memory import durable
from tools.tuning import skill_files
from tools.tuning.errors import MethodUnsuitable, SkillError
from tools.tuning.job_spec import check_skill_name
from tools.tuning.method_catalogue import method_class
from tools.tuning.methods.base import Bench, Method
from tools.tuning.skill_card import CARD_FILE, SkillCard

POINTER = "current.json"
LOCK = ".lock"
DRAFT = ".new-"
"""Beginning of the names of versions that are being made."""


@dataclass(frozen=True, slots=True)
class Skill:
    """One version of a skill."""

    name: str
    version: int
    folder: Path
    card: SkillCard

    def check(self) -> None:
        """Raises SkillError where a file is not as it was registered."""
        with _the_way_out(self.name):
            skill_files.check_manifest(self.folder)

    def load(self, bench: Bench) -> Method:
        """The method, ready to predict.

        Raises:
            SkillError: a file has changed, or the base model or tokenizer is another one.
            ModelUnavailable: the base model cannot be loaded.
        """
        self.check()
        with _the_way_out(self.name):
            try:
                method = method_class(self.card.method).load(self.folder, bench)
            except MethodUnsuitable as error:
                raise SkillError(f"{error}; a newer version may know it") from error
            if (method.name, method.task) != (self.card.method, self.card.task):
                raise SkillError(
                    f"its card speaks of {self.card.method} and its files of {method.name}, or "
                    "their tasks differ"
                )
        return method


@dataclass(frozen=True, slots=True)
class _Pointer:
    """Which version of a skill is used, and which ones were before, the latest last."""

    version: int
    earlier: tuple[int, ...] = ()


class SkillStore:
    """The skills of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "skills"

    def names(self) -> list[str]:
        """All skills by name, sorted; they may be broken, `get` tells."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if not path.name.startswith(".") and (path / POINTER).is_file()
        )

    def versions(self, name: str) -> list[int]:
        """The versions that are kept, ascending."""
        folder = self.folder / check_skill_name(name)
        return sorted(
            int(path.name)
            for path in (folder.iterdir() if folder.is_dir() else ())
            if path.name.isdigit() and (path / skill_files.MANIFEST).is_file()
        )

    def get(self, name: str, version: int | None = None) -> Skill:
        """The version that is used, or the one that is named.

        Raises:
            SkillError: there is no such skill or version, or its card is broken.
        """
        if version is None:
            version = self._pointer(name).version
        folder = self.folder / check_skill_name(name) / str(version)
        if not folder.is_dir():
            kept = ", ".join(map(str, self.versions(name))) or "none"
            raise SkillError(f"skill `{name}` has no version {version}; it has {kept}")
        with _the_way_out(name):
            path = skill_files.check_file(folder, CARD_FILE)
            card = SkillCard.from_json(path.read_bytes(), where=str(path))
        return Skill(name, version, folder, card)

    def register(
        self,
        name: str,
        card: SkillCard,
        write: Callable[[Path], None],
        *,
        promote: bool = True,
    ) -> Skill:
        """Keep a new version.

        Args:
            card: `name`, `version`, `size_bytes` and, where empty, `created` are filled in.
            write: puts the method's files into the folder that it is given.
            promote: use this version from now on.

        Raises:
            SkillError: a file is not plain data, or a tensor holds NaN or Inf.
            DiskFull, WriteFailed: nothing was registered.
        """
        check_skill_name(name)
        with self.drafting() as draft:
            write(draft)
            size = sum((draft / each).stat().st_size for each in skill_files.names_in(draft))
            made = card.created or datetime.now(UTC).isoformat(timespec="seconds")
            card = card.model_copy(update={"name": name, "size_bytes": size, "created": made})
            return self._take_in(name, card, draft, promote=promote)

    def take_in(self, name: str, draft: Path, *, promote: bool = True) -> Skill:
        """Keep a whole version that came from elsewhere; `draft` is a folder of `drafting`."""
        path = draft / CARD_FILE
        card = SkillCard.from_json(path.read_bytes(), where=CARD_FILE)
        return self._take_in(name, card, draft, promote=promote)

    def promote(self, name: str, version: int) -> Skill:
        """Use that version from now on.

        Raises:
            SkillError: there is none, or it is broken.
        """
        skill = self.get(name, version)
        skill.check()
        with self.locked():
            self._point(name, version)
        return skill

    def take_up(self, name: str, version: int) -> Skill:
        """Use a version whose maker died between registering and using it.

        A later one that is in use stays so.

        Raises:
            SkillError: there is none, or it is broken.
        """
        skill = self.get(name, version)
        skill.check()
        with self.locked():
            try:
                is_older = self._pointer(name).version < version
            except SkillError:  # none yet, or a broken one
                is_older = True
            if is_older:
                self._point(name, version)
        return skill

    def rollback(self, name: str) -> Skill:
        """Use the version again that was used before; says which.

        Raises:
            SkillError: there was none, or it is broken.
        """
        with self.locked():
            now = self._pointer(name)
            if not now.earlier:
                raise SkillError(
                    f"skill `{name}` has had no version before {now.version}; "
                    f"`tuneward skills remove {name}` removes it"
                )
            skill = self.get(name, now.earlier[-1])
            skill.check()
            self._write_pointer(name, _Pointer(now.earlier[-1], now.earlier[:-1]))
        return skill

    def remove(self, name: str) -> None:
        """Remove a skill with all its versions.

        Raises:
            SkillError: there is none.
        """
        folder = self.folder / check_skill_name(name)
        if not folder.is_dir():
            raise self._unknown(name)
        with self.locked(), durable.open_folder(self.folder) as store:
            gone = self.folder / f"{DRAFT}{secrets.token_hex(8)}"
            folder.rename(gone)
            durable.sync_folder(store, name)
        shutil.rmtree(gone, ignore_errors=True)

    def _take_in(self, name: str, card: SkillCard, draft: Path, *, promote: bool) -> Skill:
        folder = self.folder / check_skill_name(name)
        durable.make_folders(folder)
        with self.locked(), durable.open_folder(folder) as open_folder:
            numbers = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
            version = max(numbers, default=0) + 1
            card = card.model_copy(update={"name": name, "version": version})
            durable.replace(draft / CARD_FILE, card.to_json())
            skill_files.write_manifest(draft)
            skill_files.check_content(draft)
            place = folder / str(version)
            draft.rename(place)
            durable.sync_folder(open_folder, place.name)
            if promote or not (folder / POINTER).exists():
                self._point(name, version)
        return Skill(name, version, place, card)

    def _point(self, name: str, version: int) -> None:
        try:
            now = self._pointer(name)
        except SkillError:
            self._write_pointer(name, _Pointer(version))
            return
        if now.version != version:
            self._write_pointer(name, _Pointer(version, (*now.earlier, now.version)))

    def _pointer(self, name: str) -> _Pointer:
        path = self.folder / check_skill_name(name) / POINTER
        if not path.is_file():
            raise self._unknown(name)
        try:
            stored = json.loads(path.read_text("utf-8"))
            return _Pointer(int(stored["version"]), tuple(int(v) for v in stored["earlier"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            kept = self.versions(name)
            raise SkillError(
                f"{path} is broken ({error}); name a version that is kept: "
                f"`tuneward skills rollback {name} --to {kept[-1] if kept else 1}`"
            ) from error

    def _write_pointer(self, name: str, pointer: _Pointer) -> None:
        text = json.dumps({"version": pointer.version, "earlier": list(pointer.earlier)}) + "\n"
        durable.replace(self.folder / name / POINTER, text.encode())

    def _unknown(self, name: str) -> SkillError:
        known = self.names()
        there = f"there are {', '.join(known[:20])}" if known else "there are none yet"
        return SkillError(f"there is no skill `{name}`; {there}: `tuneward tune` makes one")

    @contextlib.contextmanager
    def locked(self, name: str = LOCK) -> Iterator[None]:
        """Only one process at a time changes which versions there are.

        Args:
            name: of the file that is locked.
        """
        durable.make_folders(self.folder)
        file = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    @contextlib.contextmanager
    def drafting(self) -> Iterator[Path]:
        """An empty folder for a version; what is still in it afterwards is removed."""
        durable.make_folders(self.folder)
        self._sweep()
        draft = self.folder / f"{DRAFT}{secrets.token_hex(8)}"
        draft.mkdir(mode=0o700)
        # The lock tells `_sweep` that its maker is alive.
        with durable.open_folder(draft) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            try:
                yield draft
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what dead makers left."""
        for path in self.folder.glob(f"{DRAFT}*"):
            with contextlib.suppress(OSError), durable.open_folder(path) as held:
                if time.time() - path.stat().st_mtime < durable.LEFTOVER_SECONDS:
                    continue
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _the_way_out(name: str) -> Iterator[None]:
    """Says of a broken skill which one it is and what to do."""
    try:
        yield
    except SkillError as error:
        raise SkillError(
            f"skill `{name}` cannot be used: {error} (`tuneward skills rollback {name}` goes back "
            "to the version before)"
        ) from error
