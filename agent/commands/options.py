"""Options that several commands share, each written once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ModeChoice = Literal["read-only", "ask", "auto", "deny"]

Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", metavar="DIR", help="The folder to work in; else the current one."
    ),
]
ModeOption = Annotated[
    ModeChoice | None,
    typer.Option("--mode", help="What may happen without asking; see README, permissions."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A name of `tuneward model list`, a hub id, a folder, a .gguf file, openai:NAME@URL.",
    ),
]
ToolsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tools", metavar="FILE.py", help="More tools: a Python file or an installed plug-in."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data for programs, as JSON.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or `last`.")]
