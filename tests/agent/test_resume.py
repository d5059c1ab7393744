"""A resumed run goes on as freely as it began at most, with its model, and repeats no effect."""

import os
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from agent import loop
from agent.interrupt import Interrupt
from agent.journal import Journal, read_journal
from memory.errors import StoreBusy
from tests.agent.stage import Person, Stage, call
from tests.agent.test_crash import in_child
from tools.base import tool

FINISH = call("finish", answer="done")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.write("a.txt", "alpha\n")
    return made


def test_what_was_not_allowed_is_not_made_up_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An intent alone on the disk is a call that resume makes, so a refused one never is."""
    plain = Journal.commit

    def commit(journal: Journal) -> Any:
        events = plain(journal)
        types = {event.type for event in events}
        if "tool_called" in types and "tool_returned" not in types:
            raise KeyboardInterrupt
        return events

    monkeypatch.setattr(Journal, "commit", commit)
    goal = stage.goal(permissions={"deny": ["write_file(b.txt)"]})
    asked = [call("write_file", path="b.txt", text="x"), call("ask_user", question="?")]
    first = stage.play(asked, goal)
    assert stage.watcher.of("tool_returned")[0]["result"].startswith("not allowed")
    assert first.status == "needs_review"
    assert not (stage.workspace / "b.txt").exists()


def test_a_run_that_was_to_look_only_does_not_write_when_it_is_resumed(stage: Stage) -> None:
    interrupt = Interrupt()

    @tool(effect="read")
    def slow() -> str:
        """Wait."""
        interrupt.request()
        return "ok"

    first = stage.play([call("slow")], tools=[slow], interrupt=interrupt, mode="read-only")
    agent = stage.agent([call("write_file", path="b.txt", text="x"), FINISH], tools=[slow])
    assert agent.settings.mode == "ask"
    agent.resume(first.run)
    assert not (stage.workspace / "b.txt").exists()


def test_the_model_of_the_goal_is_the_one_of_the_resumed_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.app import Agent
    from models.chat import ScriptedModel

    wanted: list[str] = []

    def load(name: str, *_: Any, **__: Any) -> Any:
        wanted.append(name)
        return ScriptedModel(
            [call("ask_user", question="Which?")] if len(wanted) == 1 else [FINISH]
        )

    monkeypatch.setattr("models.load.load_chat", load)
    agent = Agent(home=stage.home, workspace=stage.workspace, plan="off", thought_chars=0)
    first = agent.run(stage.goal(model="smollm2-135m"))
    assert first.status == "needs_review"
    again = Agent(
        home=stage.home, workspace=stage.workspace, approver=Person("This one."), plan="off"
    )
    again.resume(first.run)
    assert wanted == ["smollm2-135m", "smollm2-135m"]


@pytest.mark.parametrize(
    ("idempotent", "status"), [(False, "needs_review"), (True, "finished_unchecked")]
)
def test_a_tool_that_hangs_is_not_called_again_unless_that_is_harmless(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, idempotent: bool, status: str
) -> None:
    monkeypatch.setattr(loop, "TOOL_SECONDS", 0.2)

    @tool(effect="write", idempotent=idempotent)
    def append() -> str:
        """Append."""
        threading.Event().wait(30)
        return "late"

    result = stage.play([call("append"), FINISH], tools=[append])
    assert result.status == status
    if not idempotent:
        assert "append did not answer within 0 s and may or may not have happened" in result.next
        assert not stage.watcher.of("tool_returned")


def test_a_follow_up_does_not_count_what_an_earlier_goal_wrote(stage: Stage) -> None:
    check: dict[str, Any] = {"success": [{"text": {"path": "out/n.txt", "contains": "7"}}]}
    write = call("write_file", path="out/n.txt", text="7")
    other = call("write_file", path="out/m.txt", text="8")
    agent = stage.agent([write, other, FINISH])
    first = agent.invoke(stage.goal(**check))
    assert first.status == "done"
    agent.goal = lambda *_, **__: stage.goal(retries=0, **check)  # type: ignore[method-assign]
    assert agent.follow_up(first.run, "again").status == "failed"


def test_waiting_for_a_person_is_no_crash(stage: Stage) -> None:
    run = stage.play([call("ask_user", question="?")]).run
    for _ in range(5):
        assert stage.agent([]).resume(run).status == "needs_review"


def test_a_memory_that_fails_ends_the_run_as_unavailable(stage: Stage) -> None:
    @tool(effect="read")
    def remembers() -> str:
        """Look it up."""
        raise StoreBusy("somebody else writes the memory")

    result = stage.play([call("remembers")], tools=[remembers])
    assert (result.status, result.exit_code) == ("unavailable", 3)


def test_a_journal_that_was_killed_within_a_commit_can_be_read_and_resumed(
    stage: Stage,
) -> None:
    def die() -> None:
        stage.play([call("ask_user", question="?")])
        agent = stage.agent([])
        db = sqlite3.connect(agent.runs.journal(agent.runs.ids()[0]), isolation_level=None)
        db.execute("pragma cache_size=1")
        db.execute("begin immediate")
        big = "x" * 100_000
        for number in range(1_000, 1_040):  # more than the cache holds, so the file is half written
            db.execute("insert into events values (?, 't', 'x', '{}', ?)", (number, f'"{big}"'))
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) is None
    agent = stage.agent([FINISH], approver=Person("yes"))
    run = agent.runs.ids()[0]
    path = agent.runs.journal(run)
    assert path.with_name(f"{path.name}-journal").exists()
    assert {event.type for event in read_journal(path, run)} >= {"run_started", "run_finished"}
    assert agent.resume(run).status == "finished_unchecked"
