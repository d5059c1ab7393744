"""The command `tuneward`: reads the arguments, runs one command, ends with its exit code.

The commands live in `agent/commands/`, one file for each noun. Nothing heavy is imported here or at
the top of those files, so `--help` answers at once.
"""

import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from agent.commands import (
    doctor,
    goal,
    goal_files,
    jobs,
    memory,
    model,
    runs,
    skills,
    tools,
    tune,
)
from agent.commands.output import INTERNAL_ERROR, last_line
from agent.interrupt import SIGNALS, stop_at_once

INTERRUPTED = 130
HELP_OPTIONS = ("--help", "-h")
LATER = ("calibrate", "practice")
"""Words that are no goals although this version has no such command yet."""


class Door(TyperGroup):
    """`tuneward GOAL [options]` and `tuneward COMMAND ...` behind one door."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and (args[0] in self.commands or args[0] in HELP_OPTIONS):
            return super().parse_args(ctx, args)
        # A goal: options may stand before and after it, as with any command.
        ctx.allow_interspersed_args = True
        as_goal = "--" in args
        words = super(TyperGroup, self).parse_args(ctx, args)
        if words and not as_goal:
            self._refuse_near_commands(words[0], len(words) == 1)
        if len(words) > 1:
            raise typer.BadParameter(f'put the goal in quotes: tuneward "{" ".join(words)}"')
        return words

    def _refuse_near_commands(self, word: str, alone: bool) -> None:
        as_goal = f"to take it as a goal: tuneward -- {word}"
        if word in self.commands:
            raise typer.BadParameter(f"put the command first: tuneward {word} ...; {as_goal}")
        if alone and word.endswith((".yaml", ".yml")):
            raise typer.BadParameter(f"to run a goal file: tuneward run {word}")
        near = get_close_matches(word, self.commands, n=1)
        if near:
            raise typer.BadParameter(
                f"there is no command {word!r}; did you mean `tuneward {near[0]}`? {as_goal}"
            )
        if get_close_matches(word, LATER, n=1):
            raise typer.BadParameter(f"there is no command {word!r} in this version; {as_goal}")

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[GOAL] [OPTIONS]", "|", "COMMAND [ARGS]..."]


app = typer.Typer(
    cls=Door,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP_OPTIONS)},
)
app.callback(invoke_without_command=True, epilog=goal.EXAMPLE)(goal.goal)
goal_files.register(app)
runs.register(app)
tools.register(app)
model.register(app)
memory.register(app)
tune.register(app)
skills.register(app)
jobs.register(app)
doctor.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected failure is one clear line."""
    _stop_on_signals()
    _make_streams_safe()
    command = typer.main.get_command(app)
    args = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with command.make_context("tuneward", args) as context:
            code = command.invoke(context)
        sys.stdout.flush()
        return int(code or 0)
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        # The reader went away (`tuneward runs list | head`); what is still buffered has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    except KeyboardInterrupt:
        last_line("interrupted: nothing is left half-done; give the command again to start over")
        return INTERRUPTED
    except Exception as error:  # the last door: names the outcome, hides no bug
        return _failed(error)


def _failed(error: Exception) -> int:
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "tuneward"
        own = isinstance(error, typer.BadParameter) and error.param is None
        message = error.message if own else error.format_message()
        last_line(f"usage: {message} (see `{path} --help`)")
        return 2
    from agent.commands.failures import explained

    if (expected := explained(error)) is not None:
        message, code = expected
        last_line(message)
        return code
    import traceback

    traceback.print_exception(error)
    last_line("internal_error: this is a bug in Tuneward; the lines above are the report")
    return INTERNAL_ERROR


def _stop_on_signals() -> None:
    """SIGTERM and SIGHUP stop a run as Ctrl-C does; an ignored signal (nohup) stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop_at_once)


def _make_streams_safe() -> None:
    """Output that cannot be shown is no failure: a closed stream, a terminal that is ASCII only."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # This takes the free number 0, 1 or 2 as well, so no file of ours becomes an output.
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 # open to the end
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
