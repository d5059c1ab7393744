"""What is installed, what is missing and the command that mends it, where each setting came from.

Looks only: nothing is loaded, fetched or changed.
"""

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

from agent.errors import SettingsError
from agent.findings import Finding, Verdict
from agent.settings import BudgetSettings, Settings, load_settings
from models import catalogue
from models.footprint import machine
from models.pull import is_pulled
from tuneward import FLOORS, shadows

OURS = ("tuneward", *FLOORS)
EXTRAS = {
    "remote": "models on OpenAI-compatible servers",
    "quant": "4-bit models on CUDA",
    "dev": "the tests",
}


def findings(workspace: Path | None = None) -> Iterator[Finding]:
    """Everything worth knowing, in the order in which it matters."""
    yield from _system()
    yield from _names()
    yield from _packages()
    try:
        settings = load_settings(workspace=workspace)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield Finding("settings", "missing", line, "mend that line and look again")
        return
    yield from _state(settings)
    yield from _models(settings)
    yield from _settings(settings)


def _system() -> Iterator[Finding]:
    found = f"{platform.python_implementation()} {platform.python_version()}"
    yield Finding("python", "ok", f"{found} at {sys.executable}")
    system = platform.system()
    if system == "Linux":
        wsl = "microsoft" in platform.release().lower()
        name = "Windows through WSL" if wsl else "Linux"
        yield Finding("system", "ok", f"{name} {platform.release()}, {platform.machine()}")
    elif system == "Darwin":
        yield Finding("system", "ok", f"macOS {platform.mac_ver()[0]}, {platform.machine()}")
    else:
        yield Finding(
            "system", "missing", f"{system} is not supported", "on Windows use WSL: wsl --install"
        )
    yield _database()


def _database() -> Finding:
    text = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < (3, 37):
        return Finding(
            "sqlite", "missing", f"{text} is too old for the run journal", "a newer Python"
        )
    return Finding("sqlite", "ok", text)


def _names() -> Iterator[Finding]:
    for floor, place in shadows().items():
        yield Finding(
            "names", "missing", f"{place} shadows our package `{floor}`", "rename that folder"
        )
    here = [name for name in OURS if (Path.cwd() / name).is_dir()]
    root = Path(__file__).resolve().parent.parent
    if here and Path.cwd().resolve() != root:
        yield Finding(
            "names",
            "note",
            f"this folder has {', '.join(f'{name}/' for name in here)}: scripts started here"
            " would import them in place of Tuneward's",
            "rename them, or start scripts with `python -P`",
        )
    owners = packages_distributions()
    for name in OURS:
        others = sorted(set(owners.get(name, ())) - {"tuneward"})
        if others:
            yield Finding(
                "names",
                "missing",
                f"{', '.join(others)} also installs a package `{name}`",
                f"{sys.executable} -m pip uninstall {' '.join(others)}",
            )


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    try:
        yield Finding("packages", "ok", f"tuneward {version('tuneward')}")
        declared = [Requirement(text) for text in requires("tuneward") or ()]
    except PackageNotFoundError:
        yield Finding("packages", "missing", "tuneward is not installed", "scripts/run --version")
        return
    for extra in ("", *EXTRAS):
        problems = [
            problem
            for need in declared
            if (need.marker is None) == (extra == "")
            and (need.marker is None or need.marker.evaluate({"extra": extra}))
            and (problem := _problem(need.name, need.specifier))
        ]
        if not problems and not extra:
            yield Finding("packages", "ok", "every needed package is there")
        elif not problems:
            yield Finding("packages", "ok", f"extra {extra}: {EXTRAS[extra]}")
        elif extra:
            command = f'{sys.executable} -m pip install "{_source()}[{extra}]"'
            text = f"extra {extra} ({EXTRAS[extra]}): {', '.join(problems)}"
            yield Finding("packages", "note", text, command)
        else:
            for problem in problems:
                yield Finding("packages", "missing", problem, "scripts/run --version")


def _source() -> str:
    """What pip installs us from: the checkout where there is one."""
    root = Path(__file__).resolve().parent.parent
    return str(root) if (root / "pyproject.toml").exists() else "tuneward"


def _problem(name: str, specifier: object) -> str:
    """What is wrong with an installed package, or nothing."""
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    if not specifier.contains(found, prereleases=True):  # type: ignore[attr-defined]  # packaging
        return f"{name} {found} is installed, {specifier} is needed"
    return ""


def _state(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    place = next(folder for folder in [home, *home.parents] if folder.exists())
    if not os.access(place, os.W_OK):
        yield Finding(
            "state",
            "missing",
            f"{home} cannot be written",
            "set TUNEWARD_HOME to a folder that can",
        )
    free = shutil.disk_usage(place).free
    verdict: Verdict = "ok" if free > 2e9 else "note"
    yield Finding("state", verdict, f"{home}, {free / 1e9:.1f} GB free on its disk")


def _models(settings: Settings) -> Iterator[Finding]:
    here = machine(settings.home)
    gpu = (
        f"{here.gpu}, {here.gpu_memory / 1e9:.0f} GB"
        if here.gpu
        else "no GPU; models run on the CPU"
    )
    yield Finding("machine", "ok", f"{here.memory / 1e9:.0f} GB memory, {gpu}")
    target = settings.target(settings.model)
    if catalogue.is_known(target):
        entry = catalogue.find(target)
        if is_pulled(entry, settings.home):
            yield Finding("model", "ok", f"{settings.model} ({entry.name}) is on this machine")
        else:
            text = f"{settings.model} ({entry.name}) is fetched on first use"
            yield Finding("model", "note", text, f"tuneward model pull {settings.model}")
    else:
        yield Finding("model", "ok", f"{settings.model} ({target}): looked at on first use")
    if here.gpu and not settings.models:
        best = catalogue.for_card(here.gpu_memory / 1e9)
        if best.name != catalogue.ALIASES.get(target, target):
            text = f"{best.name} is the model to prefer on this GPU"
            yield Finding("model", "note", text, f"tuneward model use {best.name}")


def _settings(settings: Settings) -> Iterator[Finding]:
    values = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name not in ("provenance", "ignored", "budget", "models", "home", "workspace")
    }
    values |= {f"models.{name}": target for name, target in settings.models.items()}
    values |= {
        f"budget.{field.name}": getattr(settings.budget, field.name)
        for field in fields(BudgetSettings)
    }
    for name, value in values.items():
        where = settings.provenance.get(name, "default")
        shown = "not set" if value in (None, ()) else value
        yield Finding("settings", "ok", f"{name}: {shown}  (from {where})")
    for line in settings.ignored:
        yield Finding("settings", "note", line, "take the line out")
