"""`tuneward tune`: a skill from labelled examples, in a process of its own."""

from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agent.commands.options import JsonOption

if TYPE_CHECKING:
    from tools.tuning.job_folder import Job, JobState
    from tools.tuning.job_runner import JobRunner
    from tools.tuning.job_spec import JobSpec

TaskChoice = Literal["classification", "ner"]
TrackChoice = Literal["tensorboard", "wandb"]
FOUND = "Found by itself where left out."
EXAMPLE = "Example: tuneward tune classification --train reviews.csv --skill sentiment --budget 10m"


def register(door: typer.Typer) -> None:
    door.command("tune", epilog=EXAMPLE)(tune)


def tune(
    task: Annotated[TaskChoice, typer.Argument(metavar="TASK", help="classification or ner.")],
    train: Annotated[Path, typer.Option("--train", metavar="FILE", help="Labelled examples.")],
    dev: Annotated[
        Path | None,
        typer.Option("--dev", metavar="FILE", help="To choose by; else a part of --train."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", metavar="FILE", help="To judge by; else a sealed part of --train."),
    ] = None,
    skill: Annotated[
        str | None, typer.Option("--skill", metavar="NAME", help="Its name; else the file's.")
    ] = None,
    method: Annotated[
        str,
        typer.Option("--method", metavar="METHOD", help="auto measures several; see docs/methods."),
    ] = "auto",
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="MODEL", help="Encoder or language model; else the method's own."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of --method; repeatable."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Such as 90s, 20m or 2h; 20m by itself."),
    ] = None,
    from_skill: Annotated[
        str | None, typer.Option("--from", metavar="SKILL", help="Begin from this skill's weights.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text-column", metavar="C", help=FOUND)
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", metavar="C", help=FOUND)
    ] = None,
    pair_column: Annotated[
        str | None,
        typer.Option("--pair-column", metavar="C", help="Of the second text, for pairs of texts."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="The same gives the same skill.")
    ] = 0,
    licence: Annotated[
        str | None,
        typer.Option("--licence", metavar="TEXT", help="Of the training data, for the card."),
    ] = None,
    track: Annotated[
        TrackChoice | None, typer.Option("--track", help="Send the figures there as well.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Start the job, print its id, and do not wait.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Make a skill from labelled examples: measure methods, keep the best, register it."""
    from agent.commands.output import json_result, note, result
    from agent.job_door import as_json, seconds_of
    from agent.settings import load_settings, make_home
    from tools.tuning.job_runner import JobRunner
    from tools.tuning.job_spec import BUDGET_SECONDS, DataFile, JobSpec, skill_name_for

    settings = load_settings()
    make_home(settings.home)
    seconds = float(settings.budget.tuning_seconds or BUDGET_SECONDS)
    name = skill_name_for(train) if skill is None else skill
    _check_words(name, method, licence)
    spec = JobSpec(
        kind=task,
        skill=name,
        train=DataFile.at(train),
        dev=DataFile.at(dev) if dev is not None else None,
        test=DataFile.at(test) if test is not None else None,
        text_column=text_column,
        label_column=label_column,
        pair_column=pair_column,
        method=method,
        settings=_settings_of(method, set_ or []),
        base=base,
        budget_seconds=seconds if budget is None else seconds_of(budget),
        seed=seed,
        from_skill=from_skill,
        licence=licence,
        device=settings.device,
        track=track,
    )
    _check_ready(spec, settings.home)
    runner = JobRunner(settings.home)
    job = runner.start(spec)
    if detach:
        runner.let_go(job)
        if json:
            json_result(as_json(job, job.state()))
        else:
            result(job.id)
        return 0
    note(f"job {job.id}: skill `{name}` from {train}; Ctrl-C stops it, and it can be resumed")
    return finish(runner, job, json=json)


def finish(runner: "JobRunner", job: "Job", *, json: bool, after: int = 0) -> int:
    """Watch a job to its end and say how that was; the command's exit code."""
    from agent.commands.output import json_result, last_line, result
    from agent.job_door import as_json, report_of, watch

    state = watch(runner, job, after=after)
    if json:
        json_result(as_json(job, state))
    else:
        for line in report_of(job):
            result(line)
    last_line(_said(job, state))
    return state.exit_code


def _said(job: "Job", state: "JobState") -> str:
    """The last line."""
    if state.status != "done":
        return state.message
    name = state.result.get("skill")
    if isinstance(name, str):
        return f'done: use it with `tuneward skills apply {name} "TEXT"`'
    return f"done: `tuneward jobs show {job.id}` says what came of it"


def _check_words(name: str, method: str, licence: str | None) -> None:
    from agent.errors import UsageError
    from tools.tuning.errors import SkillError
    from tools.tuning.job_spec import AUTO, LICENCE_CHARACTERS, check_skill_name
    from tools.tuning.method_catalogue import METHODS, method_class

    try:
        check_skill_name(name)
    except SkillError as error:
        raise UsageError(f"--skill: {error}") from None
    if method != AUTO and method not in METHODS:
        method_class(method)  # says which one may be meant
    if licence is not None and not 0 < len(licence.strip()) <= len(licence) <= LICENCE_CHARACTERS:
        raise UsageError(f"--licence: write 1 to {LICENCE_CHARACTERS} characters")


def _settings_of(method: str, given: list[str]) -> dict[str, Any]:
    """`["lr=0.1", "placement=front"]` as settings that the method takes.

    Raises:
        UsageError: the method has no such setting, or it cannot be that.
    """
    from agent.commands.goal_files import parsed_sets
    from agent.errors import UsageError
    from tools.tuning.job_spec import AUTO
    from tools.tuning.method_catalogue import method_class

    if not given:
        return {}
    if method == AUTO:
        raise UsageError("--set: settings are of one method; name it with --method")
    found = {name: _value(text) for name, text in parsed_sets(given).items()}
    try:
        method_class(method).complete(found)
    except ValueError as error:
        raise UsageError(f"--set: {error}") from None
    return found


def _value(text: str) -> object:
    """A number, `true`, `false` or `null` as JSON has them; anything else is a word."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text


def _check_ready(spec: "JobSpec", home: Path) -> None:
    """Before anything is started: what it is to track with and to begin from is there."""
    from tools.tuning.shipped_skills import skills_of
    from tools.tuning.tracking import check_track

    if spec.track is not None:
        check_track(spec.track)
    if spec.from_skill is not None:
        skills_of(home).get(spec.from_skill)
