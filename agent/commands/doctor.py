"""`tuneward doctor`: the state of the installation, and the command that mends what is missing."""

from typing import Annotated

import typer

from agent.commands.options import JsonOption, Workspace


def register(app: typer.Typer) -> None:
    app.command("doctor", epilog="Example: tuneward doctor --json")(doctor)


def doctor(
    workspace: Workspace = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also re-check all that is stored: models, journals.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Say what is installed, what is missing and how to mend it, and where each setting came from.

    Linux and macOS are supported, Windows through WSL. Exit code 3 where something is missing.
    """
    from dataclasses import asdict

    from agent.commands.output import json_result, last_line, result
    from agent.doctor import findings
    from agent.settings import default_home

    found = list(findings(workspace))
    if verify:
        from agent.progress import ProgressBar
        from agent.verify import verified

        with ProgressBar() as bar:
            found += verified(default_home(), bar)
    if json:
        json_result([asdict(each) for each in found])
    else:
        for each in found:
            remedy = f"\n{'':<18}-> {each.remedy}" if each.remedy else ""
            result(f"{each.verdict:<8}{each.area:<10}{each.text}{remedy}")
    missing = sum(each.verdict == "missing" for each in found)
    if missing:
        things = "thing is" if missing == 1 else "things are"
        last_line(f"unavailable: {missing} {things} missing or broken; the lines with -> mend it")
        return 3
    return 0
