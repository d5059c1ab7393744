"""`tuneward memory`: what is kept from run to run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent.commands.options import JsonOption

if TYPE_CHECKING:
    from langchain_core.documents import Document

    from agent.settings import Settings
    from memory.store import FaissMemory

app = typer.Typer(
    rich_markup_mode=None, help="Notes, lessons and documents that are kept from run to run."
)
Kind = Literal["note", "lesson", "chunk"]
KindOption = Annotated[Kind | None, typer.Option("--kind", help="Only notes of this kind.")]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="SOURCE", help="Only what comes from there.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many.")]
SHOWN = 80
CANDIDATES = 20
"""Ids that are listed where several could be meant."""


def register(door: typer.Typer) -> None:
    door.add_typer(
        app, name="memory", epilog='Example: tuneward memory add "The office closes at 18:00"'
    )


@app.command("add", epilog='Example: tuneward memory add "Invoices go to Ms Rossi"')
def add(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="One fact, in a sentence.")],
    json: JsonOption = False,
) -> int:
    """Keep a note; it may come into the context of every later run."""
    from agent.commands.output import json_result, result
    from agent.memory_door import open_memory
    from memory.notebook import Notebook

    with open_memory(_settings()) as memory:
        id = Notebook(memory).add(text)
    if json:
        json_result({"id": id})
    else:
        result(f"noted as {id}")
    return 0


@app.command("ingest", epilog="Example: tuneward memory ingest manuals/ prices.csv")
def ingest_files(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    json: JsonOption = False,
) -> int:
    """Take documents in, piece by piece; what has not changed is left, what is gone goes."""
    from dataclasses import asdict

    from agent.commands.output import json_result, note, result
    from agent.memory_door import open_memory
    from agent.progress import ProgressBar
    from memory.ingest import ingest
    from memory.sources import shown_source
    from tools.sections import sections_of

    root = Path.cwd()
    with ProgressBar() as bar, open_memory(_settings(), progress=bar) as memory:
        report = ingest(
            [path.absolute() for path in paths],
            memory,
            root=root,
            read=sections_of,
            progress=lambda source, done, total: bar(shown_source(source, root), done, total),
        )
    if json:
        json_result(asdict(report))
    else:
        for source, reason in {**report.skipped, **report.failed}.items():
            note(f"{shown_source(source, root)}: {reason}")
        for name in report.unplaced:
            shown = shown_source(name, root)
            note(
                f"{shown}: an earlier version took it in without its folder, so it is left as it"
                f" is; tuneward memory forget --source {shown}"
            )
        counts = {"added": report.added, "changed": report.changed, "unchanged": report.unchanged}
        counts["removed"] = report.removed
        said = ", ".join(f"{len(sources)} {what}" for what, sources in counts.items())
        result(f"{said}; {report.chunks_added} pieces taken in, {report.chunks_removed} removed")
    return 2 if report.failed else 0


@app.command("search", epilog='Example: tuneward memory search "when does the office close"')
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to find.")],
    kind: KindOption = None,
    source: SourceOption = None,
    limit: LimitOption = 5,
    json: JsonOption = False,
) -> int:
    """Find the notes and passages that are nearest to a question."""
    from agent.commands.output import json_result
    from agent.memory_door import as_line, open_memory
    from memory.passages import find

    with open_memory(_settings()) as memory:
        found = find(memory, query, _filter(memory, kind, source), limit=limit)
        if json:
            json_result([{**as_line(note), "score": round(score, 4)} for note, score in found])
        else:
            _show([note for note, _ in found], memory)
    return 0


@app.command("list", epilog="Example: tuneward memory list --kind lesson")
def list_notes(
    kind: KindOption = None,
    source: SourceOption = None,
    limit: LimitOption = 100,
    json: JsonOption = False,
) -> int:
    """List what is kept, the oldest first."""
    from itertools import islice

    from agent.commands.output import json_result, note
    from agent.memory_door import as_line, open_stored

    with open_stored(_settings()) as memory:
        wanted = _filter(memory, kind, source)
        found = list(islice(memory.scan(wanted), limit))
        left = memory.count(wanted) - len(found)
        if json:
            json_result([as_line(each) for each in found])
        else:
            _show(found, memory)
    if left > 0:
        note(f"{left} more; --limit shows them")
    return 0


@app.command("forget", epilog="Example: tuneward memory forget --source manuals/old.pdf")
def forget(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, as list shows them.")
    ] = None,
    source: SourceOption = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Such as 12h, 30d or 2w.")
    ] = None,
    kind: KindOption = None,
    json: JsonOption = False,
) -> int:
    """Delete notes by id, by source, or by age."""
    from agent.commands.output import json_result, result
    from agent.errors import UsageError
    from agent.memory_door import open_stored
    from memory.notebook import Notebook

    if not ids and source is None and older_than is None:
        raise UsageError("say what to forget: ids, --source or --older-than")
    age = None if older_than is None else seconds_of(older_than)
    with open_stored(_settings()) as memory:
        whole = [_the_one(memory, id) for id in ids or ()]
        kept = None if source is None else _kept_source(memory, source)
        book = Notebook(memory)
        count = book.forget(ids=whole, source=kept, older_than=age, kind=kind)
    if json:
        json_result({"forgotten": count})
    else:
        result(f"{count} forgotten")
    return 0


@app.command("export", epilog="Example: tuneward memory export notes.jsonl")
def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A new file; else standard output.")
    ] = None,
    kind: KindOption = None,
    json: JsonOption = False,
) -> int:
    """Write all notes as JSON, one a line, without vectors."""
    import json as json_module

    from agent.commands.output import json_result, note
    from agent.memory_door import as_line, open_stored
    from memory import durable

    count = 0
    with open_stored(_settings()) as memory:
        found = memory.scan(_filter(memory, kind, None))
        if file is None:
            for each in found:
                json_result(as_line(each))
                count += 1
        else:
            lines = [json_module.dumps(as_line(each), ensure_ascii=False) + "\n" for each in found]
            count = len(lines)
            durable.replace(file.absolute(), "".join(lines).encode())
    if json and file is not None:
        json_result({"exported": count, "file": str(file)})
    else:
        note(f"{count} notes")
    return 0


@app.command("import", epilog="Example: tuneward memory import notes.jsonl")
def import_file(
    source: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="An export, or a folder that LangChain's FAISS saved."),
    ],
    own: Annotated[
        bool, typer.Option("--own", help="The export is mine: notes are trusted as they were.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Take in an export, or what LangChain's FAISS store saved; none of its code is run.

    What comes in is untrusted: a run can look it up, but is not told it by itself.
    """
    from agent.commands.output import json_result, note, result
    from agent.errors import UsageError
    from agent.memory_door import import_notes, open_memory

    if not source.exists():
        raise UsageError(f"there is no {source}")
    if own and source.is_dir():
        raise UsageError("--own is for exports of Tuneward; a folder of LangChain's is none")
    with open_memory(_settings()) as memory:
        count, left = import_notes(source, memory, own=own)
    if json:
        json_result({"imported": count, "left": left})
    else:
        result(f"{count} notes taken in")
        if left:
            note(f"{left} left, since memory has trusted notes of these ids; --own replaces them")
    return 0


@app.command("stats", epilog="Example: tuneward memory stats --json")
def stats(json: JsonOption = False) -> int:
    """Print how much is kept and how large it is."""
    from dataclasses import asdict

    from agent.commands.output import json_result, table
    from agent.memory_door import open_stored

    with open_stored(_settings()) as memory:
        found = asdict(memory.stats())
        found["kinds"] = {
            name: memory.count({"kind": name}) for name in ("note", "lesson", "chunk")
        }
    if json:
        json_result(found)
    else:
        table(("WHAT", "VALUE"), ((name, str(value)) for name, value in found.items()))
    return 0


@app.command("verify", epilog="Example: tuneward memory verify")
def verify(
    reembed: Annotated[
        bool, typer.Option("--reembed", help="Make all vectors anew with the embedder that is set.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Compare every row with the index; exit code 1 where one is not as it was written."""
    from agent.commands.output import json_result, result
    from agent.memory_door import embedder, open_stored
    from agent.run_notes import FOLDER
    from memory.store import FaissMemory

    settings = _settings()
    if reembed:
        memory = FaissMemory.with_new_embedder(settings.home / FOLDER, embedder(settings))
    else:
        memory = open_stored(settings)
    with memory:
        wrong, count = memory.verify(), memory.count()
    if json:
        json_result({"notes": count, "wrong": wrong})
    else:
        for line in wrong:
            result(line)
        result(f"{count} notes, {len(wrong)} wrong")
    return 1 if wrong else 0


def seconds_of(age: str) -> float:
    """`90s`, `15m`, `12h`, `30d` or `2w` in seconds.

    Raises:
        UsageError: it is no such age.
    """
    from agent.errors import UsageError

    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
    number, unit = age.strip()[:-1], age.strip()[-1:]
    try:
        return float(int(number) * units[unit])
    except (ValueError, KeyError):
        raise UsageError(f"{age!r} is no age; write it as 12h, 30d or 2w") from None


def _settings() -> "Settings":
    from agent.settings import load_settings, make_home

    settings = load_settings()
    make_home(settings.home)
    return settings


def _filter(memory: "FaissMemory", kind: str | None, source: str | None) -> dict[str, str]:
    given = {"kind": kind, "source": None if source is None else _kept_source(memory, source)}
    return {key: value for key, value in given.items() if value is not None}


def _kept_source(memory: "FaissMemory", named: str) -> str:
    """The source that a person means: a path from the current folder, or the very words."""
    from memory.sources import source_of

    try:
        source = source_of(named, Path.cwd())
    except ValueError:  # no path can be this
        return named
    return source if memory.count({"source": source}) else named


def _the_one(memory: "FaissMemory", id: str) -> str:
    """The id that a person means: this one, or the only one that begins so.

    Raises:
        UsageError: there is none, or there are several.
    """
    from agent.errors import UsageError

    found = memory.ids_beginning(id, limit=CANDIDATES + 1)
    if not found:
        raise UsageError(f"no note has an id that begins with {id!r}")
    if len(found) > 1:
        shown = ", ".join(memory.short_id(each) for each in found[:CANDIDATES])
        more = ", ..." if len(found) > CANDIDATES else ""
        raise UsageError(f"several notes have an id that begins with {id!r}: {shown}{more}")
    return found[0]


def _show(notes: "list[Document]", memory: "FaissMemory") -> None:
    from agent.commands.output import note, table
    from memory.sources import shown_source

    if not notes:
        note("nothing")
        return
    rows = []
    for each in notes:
        facts = each.metadata
        kind, source = str(facts.get("kind", "")), str(facts.get("source", ""))
        if kind == "chunk" and source:
            source = shown_source(source, Path.cwd())
        place = " ".join(filter(None, (source, str(facts.get("position", "")))))
        text = " ".join(each.page_content.split())
        rows.append((memory.short_id(str(each.id)), kind, place, text[:SHOWN]))
    table(("ID", "KIND", "SOURCE", "TEXT"), rows)
