"""Re-checks everything that is stored: models by their pinned hashes, journals, memory, skills.

Looks only. What is broken is named with its place and the way out; the rest stays usable.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from agent.errors import SettingsError
from agent.findings import Finding
from agent.journal import reading
from agent.memory_door import open_stored
from agent.permissions import load_grants
from agent.run_notes import FOLDER
from agent.runs import RunStore
from agent.settings import Settings
from memory.errors import StoreError
from memory.store import FaissMemory
from models.catalogue import CATALOGUE, Entry, Wheel
from models.digest import Progress, file_sha256
from models.pull import is_pulled, pulled_folder
from tools.tuning.errors import SkillError
from tools.tuning.skill_store import SkillStore


def verified(home: Path, progress: Progress | None = None) -> Iterator[Finding]:
    """One finding for each thing that is stored."""
    for entry in CATALOGUE.values():
        if pulled_folder(entry, home).exists():
            yield _model(entry, home, progress)
    store = RunStore(home)
    runs = store.ids()
    broken = [finding for run in runs if (finding := _journal(store, run)) is not None]
    yield from broken
    yield Finding("runs", "ok", f"{len(runs) - len(broken)} of {len(runs)} journals are whole")
    yield from _memory(home)
    yield from _skills(SkillStore(home))
    try:
        rules = load_grants(home / "grants.yaml")
        yield Finding("grants", "ok", f"{len(rules.allow or ())} allowed, {len(rules.deny)} denied")
    except SettingsError as error:
        yield Finding("grants", "missing", str(error), "mend that line")


def _model(entry: Entry, home: Path, progress: Progress | None) -> Finding:
    folder = pulled_folder(entry, home)
    remedy = f"rm -r {folder}; tuneward model pull {entry.name}"
    if not is_pulled(entry, home):
        return Finding("models", "missing", f"{folder} is not complete", remedy)
    if not isinstance(entry.source, Wheel):
        return Finding("models", "ok", f"{entry.name} is complete (pinned by its commit only)")
    for name, (_, sha256) in entry.source.files.items():
        if file_sha256(folder / name, progress) != sha256:
            return Finding("models", "missing", f"{folder / name} is not the pinned file", remedy)
    return Finding("models", "ok", f"{entry.name} is byte for byte the pinned one")


def _memory(home: Path) -> Iterator[Finding]:
    if not FaissMemory.exists(home / FOLDER):
        return
    try:
        with open_stored(Settings(home, workspace=home)) as memory:
            wrong, count = memory.verify(), memory.count()
    except StoreError as error:
        yield Finding("memory", "missing", str(error), "tuneward memory verify")
        return
    for line in wrong:
        yield Finding("memory", "missing", line, "tuneward memory verify --reembed")
    if not wrong:
        yield Finding("memory", "ok", f"{count} notes are as they were written")


def _skills(store: SkillStore) -> Iterator[Finding]:
    whole = 0
    for name in store.names():
        for version in store.versions(name):
            try:
                store.get(name, version).check()
                whole += 1
            except SkillError as error:
                yield Finding("skills", "missing", str(error), f"tuneward skills remove {name}")
    if whole:
        yield Finding("skills", "ok", f"{whole} versions are as they were registered")


def _journal(store: RunStore, run: str) -> Finding | None:
    path = store.journal(run)
    remedy = f"set {path.parent} aside; the run cannot be resumed"
    try:
        store.events(run)
        with reading(path) as database:
            (answer,) = database.execute("pragma quick_check(1)").fetchone()
    except SettingsError as error:
        return Finding("runs", "missing", str(error), remedy)
    except sqlite3.DatabaseError as error:
        return Finding("runs", "missing", f"{path}: {error}", remedy)
    return None if answer == "ok" else Finding("runs", "missing", f"{path}: {answer}", remedy)
