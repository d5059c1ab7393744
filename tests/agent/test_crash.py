"""A process killed at any point of a run: resume gives the same result, or asks a person to look.

The run writes a file, appends a line, writes again, appends again, finishes. The child dies by
SIGKILL before or after a commit of the journal, or before or after a tool's effect; then another
child resumes. The control does the same without a journal: it starts the goal anew, and the
appended line stands there twice.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Journal
from models.request import Request
from tests.agent.stage import Stage, call
from tests.long_list import sample
from tools.toolbox import Toolbox

STEPS: list[dict[str, Any]] = [
    call("write_file", path="out/a.txt", text="first"),
    call("append_file", path="log.txt", text="one"),
    call("write_file", path="out/b.txt", text="second"),
    call("append_file", path="log.txt", text="two"),
    call("finish", answer="done"),
]
EXPECTED = {"out/a.txt": "first", "out/b.txt": "second", "log.txt": "start\none\ntwo"}
POINTS = 30
"""Kill points of a whole run: two at each of its commits and two at each of four effects."""

Point = Callable[[], None]


def next_step(request: Request) -> dict[str, Any]:
    """The script as a function of what the model sees: as many results, as many steps done."""
    note: Any = request.note  # what the chat model passes along
    done: int = sum(message.type == "tool" for message in note.messages)
    return STEPS[done]


def in_child(work: Callable[[], object]) -> int | None:
    """Run in a forked process; its exit code, or None where it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else None


def dying_at(number: int) -> Point:
    """Called at every point; kills the process at the one with this number, from 1."""
    left = [number]

    def point() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return point


def with_points(point: Point) -> None:
    """Put a point before and after each commit and each tool call of this process."""
    commit, make = Journal.commit, Toolbox.call

    def commit_between_points(journal: Journal) -> Any:
        point()
        events = commit(journal)
        point()
        return events

    def call_between_points(box: Toolbox, *args: Any, **keys: Any) -> str:
        point()
        text = make(box, *args, **keys)
        point()
        return text

    replaced: list[tuple[Any, str, Any]] = [
        (Journal, "commit", commit_between_points),
        (Toolbox, "call", call_between_points),
    ]
    for owner, name, function in replaced:
        setattr(owner, name, function)


def start(stage: Stage, number: int) -> int | None:
    def work() -> None:
        with_points(dying_at(number))
        stage.agent(next_step).invoke(stage.goal())

    return in_child(work)


def anew(stage: Stage) -> int | None:
    return in_child(lambda: stage.agent(next_step).invoke(stage.goal()))


def state_of(stage: Stage) -> dict[str, str]:
    return {path: stage.read(path) for path in EXPECTED if (stage.workspace / path).exists()}


def resume(stage: Stage, run: str) -> str:
    """Resume in a child; the status that the run then has."""
    code = in_child(lambda: stage.agent(next_step).resume(run))
    assert code == 0
    return stage.agent([]).runs.summary(run).status


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.write("log.txt", "start\n")
    return made


def test_the_points_are_counted_right(stage: Stage) -> None:
    assert start(stage, POINTS + 1) == 0
    assert state_of(stage) == EXPECTED
    other = Stage(stage.home / "other")
    other.write("log.txt", "start\n")
    assert start(other, POINTS) is None


@pytest.mark.stress("crash")
@pytest.mark.parametrize("number", sample(range(1, POINTS + 1), 12))
def test_resume_gives_the_same_result_or_asks_a_person(stage: Stage, number: int) -> None:
    assert start(stage, number) is None
    store = stage.agent([]).runs
    runs = store.ids()
    events = store.events(runs[0]) if runs else []
    if not events:
        assert state_of(stage) == {"log.txt": "start\n"}  # it died before it began
        return
    if events[-1].type == "run_finished":
        assert state_of(stage) == EXPECTED
        return
    open_append = events[-1].type == "tool_called" and events[-1].data["tool"] == "append_file"
    status = resume(stage, runs[0])
    if open_append:
        assert status == "needs_review"
        lines = stage.read("log.txt").splitlines()
        assert lines.count("one") <= 1
        assert lines.count("two") <= 1
    else:
        assert status == "finished_unchecked"
        assert state_of(stage) == EXPECTED


def test_after_the_review_the_model_is_told_to_look(stage: Stage) -> None:
    number = next(n for n in range(1, POINTS) if _dies_in_append(Stage(stage.home / f"try{n}"), n))
    assert start(stage, number) is None
    run = stage.agent([]).runs.ids()[0]
    assert resume(stage, run) == "needs_review"
    assert resume(stage, run) == "finished_unchecked"
    returned = [e for e in stage.agent([]).runs.events(run) if e.type == "tool_returned"]
    assert any("look whether it happened" in e.data["result"] for e in returned)
    assert stage.read("log.txt").splitlines().count("one") <= 1


def _dies_in_append(stage: Stage, number: int) -> bool:
    stage.write("log.txt", "start\n")
    start(stage, number)
    store = stage.agent([]).runs
    events = [e for run in store.ids() for e in store.events(run)]
    return (
        bool(events)
        and events[-1].data.get("tool") == "append_file"
        and (events[-1].type == "tool_called")
    )


def test_control_without_a_journal_the_effect_is_doubled(stage: Stage) -> None:
    doubled = 0
    for number in range(1, POINTS, 4):
        again = Stage(stage.home / f"again{number}")
        again.write("log.txt", "start\n")
        assert start(again, number) is None
        assert anew(again) == 0
        doubled += again.read("log.txt").splitlines().count("one") > 1
    assert doubled


def test_a_run_that_dies_on_every_resume_is_left_alone(stage: Stage) -> None:
    assert start(stage, 6) is None
    run = stage.agent([]).runs.ids()[0]

    def die_early() -> None:
        with_points(dying_at(3))
        stage.agent(next_step).resume(run)

    for _ in range(3):
        assert in_child(die_early) is None
    assert resume(stage, run) == "crash_loop"
