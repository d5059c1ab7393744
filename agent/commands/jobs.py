"""`tuneward jobs`: tuning runs that work or have ended."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import JsonOption

if TYPE_CHECKING:
    from pathlib import Path

    from tools.tuning.job_folder import Job

app = typer.Typer(rich_markup_mode=None, help="Tuning jobs: list, show, log, cancel, resume.")
JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, its beginning, or `last`.")]


def register(door: typer.Typer) -> None:
    door.add_typer(app, name="jobs", epilog="Example: tuneward jobs show last")


@app.command("list", epilog="Example: tuneward jobs list --json")
def list_jobs(json: JsonOption = False) -> int:
    """List all jobs, the newest first."""
    from agent.commands.output import json_result, note, table
    from agent.job_door import as_json
    from tools.tuning.errors import JobError
    from tools.tuning.job_store import JobStore

    store = JobStore(_home())
    found = []
    for id in store.ids():
        try:
            job = store.get(id)
            found.append((job, job.state(), job.spec()))
        except JobError as error:
            note(str(error))
    if json:
        json_result([as_json(job, state) for job, state, _ in found])
    elif found:
        table(
            ("JOB", "STATUS", "SKILL", "TASK", "METHOD", "SECONDS"),
            (
                (job.id, state.status, spec.skill, spec.kind, spec.method)
                + (f"{job.seconds_used():.0f}",)
                for job, state, spec in found
            ),
        )
    else:
        note("no jobs yet; start one: tuneward tune TASK --train FILE")
    return 0


@app.command("show", epilog="Example: tuneward jobs show last")
def show(job: JobId, json: JsonOption = False) -> int:
    """Print what a job is to do, how far it is, and what came of it."""
    from agent.commands.output import json_result, result, table
    from agent.job_door import as_json, report_of

    found = _job(job)
    state = found.state()
    if json:
        json_result({**as_json(found, state), "last": _last_event(found)})
    else:
        table(("WHAT", "VALUE"), _facts(found))
        for line in report_of(found):
            result(line)
    return 0


@app.command("log", epilog="Example: tuneward jobs log last")
def log(job: JobId, json: JsonOption = False) -> int:
    """Print everything that happened in a job, and what its process printed."""
    from agent.commands.output import json_result, result
    from agent.job_view import lines_of
    from tools.tuning.job_events import read_events

    found = _job(job)
    events = read_events(found.events_path)[0]
    if json:
        for event in events:
            json_result(event)
        return 0
    for event in events:
        for line in lines_of(event):
            result(f"{str(event.get('time', ''))[11:19]} {line}")
    for line in _printed(found.log_path):
        result(line)
    return 0


@app.command("cancel", epilog="Example: tuneward jobs cancel last")
def cancel(job: JobId, json: JsonOption = False) -> int:
    """End a job; its checkpoints stay, so it can still be resumed."""
    from agent.commands.output import json_result, last_line
    from agent.job_door import as_json
    from tools.tuning.job_runner import JobRunner

    found = _job(job)
    state = JobRunner(_home()).stop(found, "cancel")
    if json:
        json_result(as_json(found, state))
    last_line(state.message)
    return 0


@app.command("resume", epilog="Example: tuneward jobs resume last --budget 1h")
def resume(
    job: JobId,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="For all attempts together; else as before."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    json: JsonOption = False,
) -> int:
    """Go on with a job that was stopped or killed, or lacked memory, room or time."""
    from agent.commands.output import json_result, result
    from agent.commands.tune import finish
    from agent.job_door import as_json, seconds_of
    from tools.tuning.job_events import read_events
    from tools.tuning.job_runner import JobRunner

    found, runner = _job(job), JobRunner(_home())
    seen = read_events(found.events_path)[1]
    seconds = None if budget is None else seconds_of(budget)
    state = runner.resume(found, budget_seconds=seconds)
    if detach:
        runner.let_go(found)
        if json:
            json_result(as_json(found, state))
        else:
            result(found.id)
        return 0
    return finish(runner, found, json=json, after=seen)


def _home() -> "Path":
    from agent.settings import default_home

    return default_home()


def _job(id: str) -> "Job":
    from tools.tuning.job_store import JobStore

    return JobStore(_home()).get(id)


def _last_event(job: "Job") -> dict[str, Any] | None:
    from tools.tuning.job_events import read_events

    events = read_events(job.events_path)[0]
    return events[-1] if events else None


def _facts(job: "Job") -> list[tuple[str, str]]:
    from agent.job_view import line_of

    state, spec = job.state(), job.spec()
    facts = [
        ("job", job.id),
        ("status", state.status),
        ("task", spec.kind),
        ("skill", spec.skill),
        ("method", spec.method),
        ("base", spec.base or "the method's own"),
        *((f"{role} data", file.path) for role, file in spec.files.items()),
        ("seed", str(spec.seed)),
        ("made", state.created),
        ("ended", state.ended),
        ("seconds", f"{job.seconds_used():.0f} of {state.budget_seconds:.0f}"),
        ("attempts", str(state.attempts)),
    ]
    if state.batch_halvings:
        facts.append(("batches", f"in {2**state.batch_halvings} pieces: memory ran out"))
    if (last := _last_event(job)) is not None:
        facts.append(("last", line_of(last)))
    facts.append(("message", state.message))
    return [(name, value) for name, value in facts if value]


def _printed(path: "Path") -> list[str]:
    """What the job's processes printed."""
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
