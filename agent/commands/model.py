"""`tuneward model`: which models there are, what they need, and which one is used."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from agent.settings import Settings
    from models.catalogue import Entry

app = typer.Typer(rich_markup_mode=None, help="Models: list, pull, show, use.")
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A catalogue name, one of yours, or a hub id.")
]


LONGEST = 32_768
"""Tokens that the cache is reckoned for, where the model's window is longer."""


def register(door: typer.Typer) -> None:
    door.add_typer(app, name="model", epilog="Example: tuneward model pull default")


@app.command("list", epilog="Example: tuneward model list --json")
def list_models(json: JsonOption = False) -> int:
    """List the models that are known by name, and which of them are on this machine."""
    from agent.commands.output import json_result, table
    from agent.settings import load_settings
    from models import catalogue

    settings = load_settings()
    entries = [each for each in catalogue.CATALOGUE.values() if each.kind == "chat"]
    facts = [_facts(entry, settings.home) for entry in entries]
    if json:
        json_result({"used": settings.model, "models": facts, "own": dict(settings.models)})
        return 0
    target = settings.target(settings.model)
    used = catalogue.ALIASES.get(target, target)
    rows = [
        (
            "*" if each["name"] == used else "",
            each["name"],
            "yes" if each["pulled"] else "no",
            f"{each['parameters'] / 1e9:.2f} B",
            each["licence"],
            each["purpose"],
        )
        for each in facts
    ]
    rows += [
        ("*" if n == settings.model else "", n, "", "", "", t) for n, t in settings.models.items()
    ]
    table(("", "MODEL", "HERE", "SIZE", "LICENCE", "WHAT FOR"), rows)
    return 0


@app.command("pull", epilog="Example: tuneward model pull default")
def pull(name: Name) -> int:
    """Fetch a model, check its hash, and say where it lies."""
    from agent.commands.output import result
    from agent.progress import ProgressBar
    from agent.settings import load_settings
    from models.load import check_files, locate

    settings = load_settings()
    with ProgressBar() as bar:
        source = locate(settings.target(name), settings.home, bar)
        check_files(source)
    result(str(source.path))
    return 0


@app.command("show", epilog="Example: tuneward model show qwen3-8b")
def show(name: Name, json: JsonOption = False) -> int:
    """Show a model's source, licence and window, and the memory it needs beside what is here."""
    from dataclasses import asdict

    from agent.commands.output import json_result, result, table
    from agent.settings import load_settings
    from models import catalogue
    from models.footprint import footprints, machine

    settings = load_settings()
    entry = catalogue.find(settings.target(name))
    facts = _facts(entry, settings.home)
    needs = (
        footprints(entry.parameters, entry.shape, min(entry.window, LONGEST)) if entry.shape else []
    )
    here = machine(settings.home)
    if json:
        needed = [{**asdict(need), "total": need.total} for need in needs]
        json_result({**facts, "needs": needed, "machine": asdict(here)})
        return 0
    for key, value in facts.items():
        result(f"{key:<11}{value}")
    table(
        ("NEEDS", "WEIGHTS", "CACHE", "IN ALL"),
        ((n.kind, _gb(n.weights), _gb(n.cache), _gb(n.total)) for n in needs),
    )
    result(
        f"this machine: {_gb(here.memory)} memory ({_gb(here.memory_free)} free), " + _card(here)
    )
    return 0


@app.command("use", epilog="Example: tuneward model use qwen2.5-coder-1.5b")
def use(name: Name) -> int:
    """Make a model the one that is used where nothing else is said; kept in your settings file."""
    from agent.commands.output import note
    from agent.settings import load_settings
    from agent.settings_file import write_setting

    settings = load_settings()
    _check_known(name, settings)
    write_setting(settings.user_file, "model", name)
    note(f"{settings.user_file}: model: {name}")
    return 0


def _check_known(name: str, settings: "Settings") -> None:
    """Plain words must be catalogue names or the person's own; all else is looked at on use."""
    from models import catalogue

    plain = not any(mark in name for mark in ("/", ":", "\\")) and not name.endswith(".gguf")
    if plain and name not in settings.models:
        catalogue.find(name)


def _facts(entry: "Entry", home: "Path") -> dict[str, Any]:
    from models.catalogue import Wheel
    from models.pull import is_pulled

    source = entry.source
    where = (
        source.requirement
        if isinstance(source, Wheel)
        else f"{source.repository}@{source.revision}"
    )
    return {
        "name": entry.name,
        "pulled": is_pulled(entry, home),
        "source": where,
        "licence": entry.licence,
        "parameters": entry.parameters,
        "window": entry.window,
        "purpose": entry.purpose,
    }


def _gb(number: int) -> str:
    return f"{number / 1e9:.1f} GB"


def _card(here: Any) -> str:
    if here.gpu is None:
        return "no GPU"
    return f"{here.gpu} with {_gb(here.gpu_memory)} ({_gb(here.gpu_free)} free)"
