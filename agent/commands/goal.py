"""`tuneward` and `tuneward "GOAL"`: the interactive prompt, and one goal from the command line."""

import sys
from typing import Annotated

import typer

from agent.commands.options import JsonOption, ModelOption, ModeOption, ToolsOption, Workspace

EXAMPLE = """Example: tuneward "Count the lines of notes.txt and write the number to out.txt"
--workspace notes --check '{text: {path: out.txt, matches: "^[0-9]+$"}}'"""


def goal(
    context: typer.Context,
    workspace: Workspace = None,
    mode: ModeOption = None,
    model: ModelOption = None,
    tools: ToolsOption = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            "--check", metavar="SPEC", help="One entry of `success`, in YAML: '{file: out.txt}'."
        ),
    ] = None,
    json: JsonOption = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> int:
    """An autonomous agent on your own model: it plans, calls tools, and the host checks the result.

    With GOAL it works on that goal; without, it opens an interactive prompt; or give a COMMAND.
    """
    if context.invoked_subcommand is not None:
        return 0
    if version:
        from importlib.metadata import version as installed_version

        print(f"tuneward {installed_version('tuneward')}")
        return 0
    from agent.commands.session import Session

    words: list[str] = context.args
    options = {"mode": mode, "model": model, "plugins": tools}
    session = Session(workspace, options, json=json)
    if words:
        return session.run_typed(words[0], check or [])
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter(
            'no goal, and no terminal to ask at; give one: tuneward "GOAL", or a goal file on'
            " standard input: tuneward run -"
        )
    return session.interactive(check or [])
