"""`tuneward resume` and `tuneward runs`: runs that were, from their journals."""

from typing import Annotated

import typer

from agent.commands.options import JsonOption, Run

app = typer.Typer(rich_markup_mode=None, help="Runs that were: list, show, replay.")


def register(door: typer.Typer) -> None:
    door.command("resume", epilog="Example: tuneward resume last")(resume)
    door.add_typer(app, name="runs", epilog="Example: tuneward runs show last")


def resume(run: Run, json: JsonOption = False) -> int:
    """Go on with a run that was interrupted, ran out of budget or needs a decision."""
    from agent.commands.session import Session

    return Session(None, {}, json=json).resume(run)


@app.command("list", epilog="Example: tuneward runs list --json")
def list_runs(json: JsonOption = False) -> int:
    """List all runs, the newest first."""
    from dataclasses import asdict

    from agent.commands.output import json_result, note, table
    from agent.errors import SettingsError
    from agent.runs import RunStore
    from agent.settings import default_home

    store = RunStore(default_home())
    found = []
    for run in store.ids():
        try:
            found.append(store.summary(run))
        except SettingsError as error:
            note(str(error))
    if json:
        json_result([asdict(each) for each in found])
    elif found:
        table(
            ("RUN", "STARTED", "STATUS", "GOAL"),
            ((each.run, each.started, each.status, each.goal[:60]) for each in found),
        )
    else:
        note('no runs yet; start one: tuneward "GOAL"')
    return 0


@app.command("show", epilog="Example: tuneward runs show last")
def show(run: Run, json: JsonOption = False) -> int:
    """Print what a run was asked, what it did and how it ended."""
    from agent.commands.output import json_result, result
    from agent.commands.session import known_run
    from agent.runs import RunStore
    from agent.settings import default_home

    home = default_home()
    run = known_run(home, run)
    if not json:
        _print(run)
        summary = RunStore(home).summary(run)
        result(f"run {run}: {summary.status} after {summary.steps} calls")
        return 0
    import json as json_module

    events = RunStore(home).events(run)
    json_result({"run": run, "events": [json_module.loads(e.to_json()) for e in events]})
    return 0


@app.command("replay", epilog="Example: tuneward runs replay last --speed 4")
def replay(
    run: Run,
    json: JsonOption = False,
    speed: Annotated[
        float, typer.Option("--speed", min=0, help="1 keeps the pace of the run; 0 does not wait.")
    ] = 0,
) -> int:
    """Show a run again as it happened, from its journal; nothing is done a second time."""
    return _print(run, json=json, speed=speed)


def _print(run: str, *, json: bool = False, speed: float = 0) -> int:
    import sys
    import time
    from datetime import datetime

    from agent.commands.session import known_run
    from agent.runs import RunStore
    from agent.settings import default_home
    from agent.terminal import JsonLines, TerminalView

    home = default_home()
    events = RunStore(home).events(known_run(home, run))
    # Here the run itself is the result, so the view goes to stdout.
    listener = JsonLines() if json else TerminalView(sys.stdout, live=False)
    before: datetime | None = None
    for event in events:
        now = datetime.fromisoformat(event.time)
        if speed and before is not None:
            time.sleep(max((now - before).total_seconds(), 0) / speed)
        before = now
        listener.event(event)
    return 0
