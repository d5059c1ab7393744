"""`tuneward skills`: what was tuned, and what it is used for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.commands.options import JsonOption

if TYPE_CHECKING:
    from agent.settings import Settings
    from tools.tuning.skill_store import Skill, SkillStore

app = typer.Typer(
    rich_markup_mode=None,
    help="Skills: list, show, apply, rollback, export, import, remove.",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A skill's name.")]
FormatChoice = Literal["tuneward", "hf", "peft"]
"""As `tools.tuning.skill_archive.Format`, which is not imported for `--help`."""


def register(door: typer.Typer) -> None:
    door.add_typer(app, name="skills", epilog='Example: tuneward skills apply sentiment "Great!"')


@app.command("list", epilog="Example: tuneward skills list --json")
def list_skills(json: JsonOption = False) -> int:
    """List the skills and how good they were measured."""
    from agent.commands.output import json_result, note, table
    from agent.skill_text import figure
    from tools.tuning.errors import SkillError

    store, found = _store(), []
    for name in store.names():
        try:
            found.append(store.get(name).card)
        except SkillError as error:
            note(str(error))
    if json:
        json_result([card.model_dump(mode="json") for card in found])
    elif found:
        table(
            ("SKILL", "VERSION", "TASK", "METHOD", "MEASURED", "WHAT IT DOES"),
            (
                (card.name, str(card.version), card.task.kind, card.method)
                + (figure(scores) if (scores := card.test or card.dev) else "", card.description)
                for card in found
            ),
        )
    else:
        note("no skills yet; make one: tuneward tune TASK --train FILE")
    return 0


@app.command("show", epilog="Example: tuneward skills show sentiment")
def show(
    name: Name,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="Else the one that is used.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Print a skill's evidence card."""
    from agent.commands.output import json_result, result, table
    from agent.skill_text import CLASS_HEAD, class_rows, facts, headline

    store = _store()
    card = store.get(name, version).card
    versions = store.versions(name)
    if json:
        json_result({**card.model_dump(mode="json"), "versions": versions})
        return 0
    result(headline(card))
    kept = ", ".join(map(str, versions))
    table(("WHAT", "VALUE"), [*facts(card), ("versions", kept)])
    for scores in (card.test or card.dev,):
        if scores is not None and scores.classes:
            table(CLASS_HEAD, class_rows(scores))
    return 0


@app.command("apply", epilog="Example: tuneward skills apply sentiment --in new.csv --out out.csv")
def apply(
    name: Name,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts to answer.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--in", metavar="FILE", help="CSV, TSV, JSONL, Parquet or text.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="CSV, TSV or JSONL to write.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", metavar="C", help="Of --in; found by itself.")
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Add label probabilities and nearest training examples."),
    ] = False,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="Else the one that is used.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Let a skill answer texts, or every row of a file."""
    from agent.errors import UsageError

    if bool(texts) == (source is not None):
        raise UsageError('give texts, or a file: tuneward skills apply NAME "TEXT", or --in FILE')
    if (source is None) != (target is None):
        raise UsageError("--in and --out go together: what to read, and what to write")
    settings = _settings()
    skill = _store().get(name, version)
    from agent.skill_door import answer_file, answer_texts

    if source is not None and target is not None:
        return answer_file(
            settings, skill, source, target, text_column=text_column, explain=explain, json=json
        )
    return answer_texts(settings, skill, texts or [], explain=explain, json=json)


@app.command("rollback", epilog="Example: tuneward skills rollback sentiment")
def rollback(
    name: Name,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", help="This version; else the one before.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Use an earlier version of a skill again."""
    store = _store()
    return _changed(store.rollback(name) if to is None else store.promote(name, to), json)


@app.command("export", epilog="Example: tuneward skills export sentiment --out sentiment.skill")
def export(
    name: Name,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", help="A new file; a new folder for hf and peft."),
    ] = None,
    format: Annotated[
        FormatChoice, typer.Option("--format", help="hf and peft load without Tuneward.")
    ] = "tuneward",
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="Else the one that is used.")
    ] = None,
    with_examples: Annotated[
        bool, typer.Option("--with-examples", help="Training examples go along, for --explain.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Write a skill to a file, or to a folder that transformers or peft loads."""
    from agent.commands.output import json_result, result
    from tools.tuning.skill_archive import SUFFIX, export_skill

    skill = _store().get(name, version)
    plain = f"{skill.name}-{skill.version}"
    target = out or Path(f"{plain}{SUFFIX}" if format == "tuneward" else f"{plain}-{format}")
    export_skill(skill, target, format=format, with_examples=with_examples)
    if json:
        json_result({"skill": skill.name, "version": skill.version, "path": str(target)})
    else:
        result(str(target))
    return 0


@app.command("import", epilog="Example: tuneward skills import sentiment.skill")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `skills export` wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name here; else its own.")
    ] = None,
    json: JsonOption = False,
) -> int:
    """Take a skill in from a file; everything in it is checked first, and none of it is run."""
    from tools.tuning.skill_archive import import_skill

    _settings()
    return _changed(import_skill(file, _store(), name=name), json)


@app.command("remove", epilog="Example: tuneward skills remove sentiment")
def remove(name: Name, json: JsonOption = False) -> int:
    """Remove a skill with all its versions."""
    from agent.commands.output import json_result, result

    store = _store()
    versions = store.versions(name)
    store.remove(name)
    if json:
        json_result({"removed": name, "versions": versions})
    else:
        result(f"removed {name} with {len(versions)} versions")
    return 0


def _changed(skill: "Skill", json: bool) -> int:
    from agent.commands.output import json_result, result
    from agent.skill_text import headline

    if json:
        facts: dict[str, Any] = {"skill": skill.name, "version": skill.version}
        json_result(facts)
    else:
        result(headline(skill.card))
    return 0


def _settings() -> "Settings":
    from agent.settings import load_settings, make_home

    settings = load_settings()
    make_home(settings.home)
    return settings


def _store() -> "SkillStore":
    from agent.settings import default_home
    from tools.tuning.shipped_skills import skills_of

    return skills_of(default_home())
