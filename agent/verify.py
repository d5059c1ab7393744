"""Re-checks everything that is stored: models against their pinned hashes, journals, grants.

Looks only. What is broken is named with its place and the way out; the rest stays usable.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from agent.errors import SettingsError
from agent.findings import Finding
from agent.permissions import load_grants
from agent.runs import RunStore
from models.catalogue import CATALOGUE, Entry, Wheel
from models.digest import Progress, file_sha256
from models.pull import is_pulled, pulled_folder


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


def _journal(store: RunStore, run: str) -> Finding | None:
    path = store.journal(run)
    remedy = f"set {path.parent} aside; the run cannot be resumed"
    try:
        store.events(run)
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            (answer,) = database.execute("pragma quick_check(1)").fetchone()
        finally:
            database.close()
    except SettingsError as error:
        return Finding("runs", "missing", str(error), remedy)
    except sqlite3.DatabaseError as error:
        return Finding("runs", "missing", f"{path}: {error}", remedy)
    return None if answer == "ok" else Finding("runs", "missing", f"{path}: {answer}", remedy)
