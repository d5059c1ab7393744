"""The skills that come with Tuneward: archives in `shipped/`, taken in when a home is first asked.

    store = skills_of(home)               # a SkillStore that has them

From then on a shipped skill is like any other: shown, tuned on from, exported, removed. What was
removed stays so. A newer archive comes as a new version, used where the shipped one was in use.
"""

import contextlib
import json
from pathlib import Path

from memory import durable
from memory.errors import StoreError
from models.digest import file_sha256
from tools.tuning.errors import SkillError
from tools.tuning.skill_archive import SUFFIX, import_skill
from tools.tuning.skill_store import SkillStore

FOLDER = Path(__file__).with_name("shipped")
NOTE = ".shipped.json"
"""Which archive was taken in as which version, so that each is taken in once."""


def skills_of(home: Path) -> SkillStore:
    """The skills of a home, those that come with Tuneward among them.

    A home that cannot be written has its own skills only.
    """
    store = SkillStore(home)
    with contextlib.suppress(OSError, StoreError, SkillError):
        _take_in_new(store)
    return store


def _take_in_new(store: SkillStore) -> None:
    archives = {path.stem: path for path in FOLDER.glob(f"*{SUFFIX}")}
    hashes = {name: file_sha256(path) for name, path in archives.items()}
    if all(_noted(store, name)[0] == digest for name, digest in hashes.items()):
        return
    with store.locked(f"{NOTE}.lock"):
        for name, path in archives.items():
            digest, version = _noted(store, name)
            if digest == hashes[name]:  # by another process, meanwhile
                continue
            was_removed = version > 0 and not store.versions(name)
            if not was_removed:
                version = _take_in(store, name, path, version)
            notes = _notes(store) | {name: (hashes[name], version)}
            durable.replace(store.folder / NOTE, json.dumps(notes).encode())


def _take_in(store: SkillStore, name: str, path: Path, before: int) -> int:
    """Take the archive in; returns its version. `before` is the one that was shipped earlier."""
    own = store.get(name).version if store.versions(name) else before
    return import_skill(path, store, name=name, promote=own == before).version


def _noted(store: SkillStore, name: str) -> tuple[str, int]:
    digest, version = _notes(store).get(name, ("", 0))
    return digest, version


def _notes(store: SkillStore) -> dict[str, tuple[str, int]]:
    try:
        stored = json.loads((store.folder / NOTE).read_bytes())
        return {
            str(name): (str(digest), int(version)) for name, (digest, version) in stored.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
