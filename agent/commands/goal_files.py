"""`tuneward run`, `validate` and `explain`: goals from files."""

from typing import Annotated

import typer

from agent.commands.options import JsonOption, ModelOption, ModeOption, ToolsOption

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Give an input of the goal a value."),
]
File = Annotated[str, typer.Argument(metavar="GOAL.yaml", help="A goal file; - is standard input.")]


def register(app: typer.Typer) -> None:
    app.command("run", epilog="Example: tuneward run examples/goals --json")(run)
    app.command("validate", epilog="Example: tuneward validate goal.yaml --set minimum=0.9")(
        validate
    )
    app.command("explain", epilog="Example: tuneward explain goal.yaml --set minimum=0.9")(explain)


def run(
    goals: Annotated[
        list[str],
        typer.Argument(metavar="GOAL.yaml... | DIR | -", help="Files, a folder of them, or stdin."),
    ],
    sets: Sets = None,
    parallel: Annotated[
        int, typer.Option("--parallel", min=1, help="Work on so many goals at once.")
    ] = 1,
    mode: ModeOption = None,
    model: ModelOption = None,
    tools: ToolsOption = None,
    json: JsonOption = False,
) -> int:
    """Work on goal files without a person at hand, and say for each how it ended."""
    from agent.commands.headless import run_goals

    options = {"mode": mode, "model": model, "plugins": tools}
    return run_goals(goals, parsed_sets(sets or []), options, parallel=parallel, json=json)


def validate(goal: File, sets: Sets = None, json: JsonOption = False) -> int:
    """Say every mistake in a goal file with its line and column; exit code 2 if there is one."""
    from agent.commands.output import json_result, result
    from agent.errors import GoalError
    from agent.goal_file import load_goal

    try:
        found = load_goal(goal, sets=parsed_sets(sets or []))
    except GoalError as error:
        if json:
            json_result({"valid": False, "problems": [str(p) for p in error.problems]})
        raise
    if json:
        json_result({"valid": True, "name": found.name})
    else:
        result(f"{goal}: a valid goal")
    return 0


def explain(goal: File, sets: Sets = None, json: JsonOption = False) -> int:
    """Print a goal as resolved: inputs filled in, paths absolute, every default written out."""
    from agent.commands.output import json_result, result
    from agent.explain import explain as explained
    from agent.explain import explain_text
    from agent.goal_file import load_goal

    found = load_goal(goal, sets=parsed_sets(sets or []))
    if json:
        json_result(explained(found))
    else:
        result(explain_text(found))
    return 0


def parsed_sets(sets: list[str]) -> dict[str, str]:
    """`["a=1"]` as a mapping; a name given twice, or no `=`, is a usage error."""
    found: dict[str, str] = {}
    for each in sets:
        name, equals, value = each.partition("=")
        if not equals or not name or name in found:
            raise typer.BadParameter(f"--set {each}: write --set NAME=VALUE, each name once")
        found[name] = value
    return found
