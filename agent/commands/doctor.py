"""`tuneward doctor`: the state of the installation, and the command that mends what is missing."""

import typer

from agent.commands.options import JsonOption, Workspace


def register(app: typer.Typer) -> None:
    app.command("doctor", epilog="Example: tuneward doctor --json")(doctor)


def doctor(workspace: Workspace = None, json: JsonOption = False) -> int:
    """Say what is installed, what is missing and how to mend it, and where each setting came from.

    Linux and macOS are supported, Windows through WSL. Exit code 3 where something is missing.
    """
    from dataclasses import asdict

    from agent.commands.output import json_result, last_line, result
    from agent.doctor import findings

    found = list(findings(workspace))
    if json:
        json_result([asdict(each) for each in found])
    else:
        for each in found:
            remedy = f"\n{'':<18}-> {each.remedy}" if each.remedy else ""
            result(f"{each.verdict:<8}{each.area:<10}{each.text}{remedy}")
    missing = sum(each.verdict == "missing" for each in found)
    if missing:
        last_line(f"unavailable: {missing} things are missing; the lines with -> mend them")
        return 3
    return 0
