"""Runs end as DESIGN says: done, failed, out of budget, stuck, waiting for a person."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from agent.approval import Answer
from agent.interrupt import Interrupt
from agent.journal import read_journal
from tests.agent.stage import Person, Stage, call
from tools.base import tool

SEVEN = [{"text": {"path": "out/n.txt", "matches": r"^\d+$"}}]
WRITE = call("write_file", path="out/n.txt", text="7")
FINISH = call("finish", answer="It is 7.")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.write("a.txt", "alpha\n")
    made.write("b.txt", "beta\n")
    return made


def test_the_run_ends_as_soon_as_all_checks_hold(stage: Stage) -> None:
    result = stage.play([call("read_file", path="a.txt"), WRITE, FINISH], stage.goal(success=SEVEN))
    assert (result.status, result.exit_code) == ("done", 0)
    assert stage.read("out/n.txt") == "7"
    assert stage.watcher.tools == ["read_file", "write_file"]


def test_with_stop_finish_it_waits_for_the_model(stage: Stage) -> None:
    result = stage.play([WRITE, FINISH], stage.goal(success=SEVEN, stop="finish"))
    assert result.status == "done"
    assert result.answer == "It is 7."


def test_nothing_to_check_is_finished_unchecked(stage: Stage) -> None:
    result = stage.play([FINISH])
    assert (result.status, result.exit_code) == ("finished_unchecked", 0)
    assert "unchecked" in result.next


def test_a_failed_check_is_told_without_the_expected_value_and_may_be_retried(
    stage: Stage,
) -> None:
    wrong = call("write_file", path="out/n.txt", text="seven")
    goal = stage.goal(success=[{"text": {"path": "out/n.txt", "contains": "4711"}}], retries=1)
    result = stage.play([wrong, FINISH, call("list_files"), FINISH], goal)
    assert (result.status, result.exit_code) == ("failed", 1)
    told = [data["result"] for data in stage.watcher.of("tool_returned") if not data["ok"]]
    assert "out/n.txt" in told[0]
    assert "4711" not in json.dumps(
        [e.data for e in stage.watcher.events if e.type != "run_started"]
    )


def test_a_retry_can_succeed(stage: Stage) -> None:
    goal = stage.goal(success=SEVEN, retries=1)
    result = stage.play([FINISH, WRITE], goal)
    assert result.status == "done"


def test_no_retries_left_means_failed(stage: Stage) -> None:
    result = stage.play([FINISH, WRITE], stage.goal(success=SEVEN, retries=0))
    assert result.status == "failed"


def test_an_audit_check_judges_but_never_steers(stage: Stage) -> None:
    audit = [{"text": {"path": "out/n.txt", "equals": "4711"}}]
    result = stage.play([WRITE, FINISH], stage.goal(success=SEVEN, audit=audit))
    assert (result.status, result.exit_code) == ("failed", 1)
    shown = [e.data for e in stage.watcher.events if e.type in ("tool_returned", "reflected")]
    assert "4711" not in json.dumps(shown)
    assert [c["when"] for c in result.checks] == ["success", "audit"]


def test_giving_up_is_failed_with_the_reason(stage: Stage) -> None:
    result = stage.play([call("cannot", reason="there is no such table")])
    assert (result.status, result.answer) == ("failed", "there is no such table")


def test_old_output_ends_nothing(stage: Stage) -> None:
    stage.write("out/n.txt", "7")
    result = stage.play([FINISH, FINISH], stage.goal(success=SEVEN, retries=0))
    assert result.status == "failed"


@pytest.mark.parametrize(
    ("budget", "status"),
    [
        ({"steps": 2}, "budget_steps"),
        ({"tokens": 100}, "budget_tokens"),
        ({"seconds": 0.001}, "budget_seconds"),
    ],
)
def test_each_budget_ends_the_run_under_its_own_name(
    stage: Stage, budget: dict[str, Any], status: str
) -> None:
    script = [call("read_file", path="a.txt"), call("read_file", path="b.txt"), call("list_files")]
    result = stage.play(script, stage.goal(budget=budget))
    assert (result.status, result.exit_code) == (status, 124)
    assert len(stage.watcher.tools) <= 2


def test_the_same_call_with_the_same_result_three_times_is_a_repeat(stage: Stage) -> None:
    @tool(effect="read")
    def guess(word: str) -> str:
        """Guess.

        Args:
            word: a word.
        """
        return "no"

    same = call("guess", word="x")
    result = stage.play([same] * 9, tools=[guess])
    assert (result.status, result.exit_code) == ("repeat", 6)
    assert stage.watcher.tools == ["guess"] * 3


def test_a_polling_tool_may_be_asked_again(stage: Stage) -> None:
    @tool(effect="read", polls=True)
    def progress() -> str:
        """Ask for the progress."""
        return "running"

    result = stage.play([*[call("progress")] * 8, FINISH], tools=[progress])
    assert result.status == "finished_unchecked"


def test_a_call_that_was_made_is_not_in_the_grammar(stage: Stage) -> None:
    read = call("read_file", path="a.txt")
    stage.play([read, read, FINISH])
    made = [(d["tool"], d["arguments"]) for d in stage.watcher.of("tool_called")]
    assert made[0] == ("read_file", {"path": "a.txt"})
    assert made[1] != made[0]


def test_no_news_for_five_steps_is_no_progress(stage: Stage) -> None:
    @tool(effect="read")
    def guess(word: str) -> str:
        """Guess.

        Args:
            word: a word.
        """
        return "no"

    result = stage.play([call("guess", word=f"word{i}") for i in range(9)], tools=[guess])
    assert (result.status, result.exit_code) == ("no_progress", 6)
    assert stage.watcher.of("reflected")


def test_a_model_that_never_makes_a_legal_call_is_stopped(stage: Stage) -> None:
    result = _talker(stage).invoke(stage.goal())
    assert (result.status, result.exit_code) == ("invalid_output", 6)


def _talker(stage: Stage) -> Any:
    """A model without a grammar: it talks and never calls."""
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    from agent.app import Agent

    class Talker(GenericFakeChatModel):
        parameters: int = 0
        window: int = 10_000

        def bind_tools(self, tools: Any, **kw: Any) -> Any:
            return self.bind()

        def get_num_tokens_from_messages(self, messages: Any, tools: Any = None) -> int:
            return 1

        def get_num_tokens(self, text: str) -> int:
            return 1

    model = Talker(messages=iter([AIMessage("Sure, I will do that!")] * 9))
    return Agent(model, home=stage.home, workspace=stage.workspace, listener=stage.watcher)


def test_what_must_be_asked_ends_headless_with_the_grant_that_would_allow_it(
    stage: Stage,
) -> None:
    goal = stage.goal(tools=["files"])
    result = stage.play([call("delete_file", path="a.txt"), FINISH], goal)
    assert (result.status, result.exit_code) == ("needs_review", 4)
    assert '"delete_file(a.txt)"' in result.next
    assert stage.read("a.txt") == "alpha\n"


def test_a_grant_allows_it_without_asking(stage: Stage) -> None:
    (stage.home / "grants.yaml").write_text('allow: ["delete_file(*.txt)"]\n')
    result = stage.play([call("delete_file", path="a.txt"), FINISH], stage.goal(tools=["files"]))
    assert result.status == "finished_unchecked"
    assert not (stage.workspace / "a.txt").exists()


def test_a_person_decides_and_may_change_the_arguments(stage: Stage) -> None:
    changed = {"path": "b.txt"}
    person = Person(Answer("edit", changed), Answer("once"))
    script = [call("delete_file", path="a.txt"), FINISH]
    stage.play(script, stage.goal(tools=["files"]), approver=person)
    assert stage.read("a.txt") == "alpha\n"
    assert not (stage.workspace / "b.txt").exists()
    assert stage.watcher.of("tool_called")[0]["arguments"] == changed
    assert len(person.asked) == 2


def test_no_means_no_and_the_model_hears_it(stage: Stage) -> None:
    person = Person(Answer("no"))
    script = [call("delete_file", path="a.txt"), FINISH]
    result = stage.play(script, stage.goal(tools=["files"]), approver=person)
    assert result.status == "finished_unchecked"
    assert stage.read("a.txt") == "alpha\n"
    assert stage.watcher.of("tool_returned")[0]["result"] == "not allowed: the user said no"


def test_the_goal_files_permissions_are_enforced(stage: Stage) -> None:
    goal = stage.goal(permissions={"allow": ["write_file(out/**)"], "deny": ["read_file(b*)"]})
    script = [
        call("write_file", path="c.txt", text="x"),
        call("read_file", path="b.txt"),
        WRITE,
        FINISH,
    ]
    stage.play(script, goal)
    assert [d["ok"] for d in stage.watcher.of("tool_returned")][:3] == [False, False, True]
    assert not (stage.workspace / "c.txt").exists()
    started = stage.watcher.of("run_started")[0]
    assert "append_file" in started["tools"]


def test_read_only_offers_nothing_that_writes(stage: Stage) -> None:
    result = stage.play([WRITE, FINISH], mode="read-only")
    assert "write_file" not in stage.watcher.tools
    assert not (stage.workspace / "out").exists()
    assert result.run


def test_a_question_is_answered_or_waits_for_review(stage: Stage) -> None:
    ask = call("ask_user", question="Which city?")
    assert stage.play([ask, FINISH]).status == "needs_review"
    person = Person("Berlin")
    assert stage.play([ask, FINISH], approver=person).status == "finished_unchecked"
    assert person.asked == ["Which city?"]


def test_waiting_for_a_person_does_not_count(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = [0.0]
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + hours[0])

    class Slow(Person):
        def reply(self, question: str) -> str | None:
            hours[0] += 3_600
            return super().reply(question)

    script = [call("ask_user", question="Which city?"), FINISH]
    result = stage.play(script, stage.goal(budget={"seconds": 600}), approver=Slow("Berlin"))
    assert result.status == "finished_unchecked"
    assert result.usage["seconds"] < 600


def test_the_answer_has_the_shape_that_the_goal_wants(stage: Stage) -> None:
    schema = {
        "type": "object",
        "properties": {"rows": {"type": "integer"}},
        "required": ["rows"],
        "additionalProperties": False,
    }
    goal = stage.goal(output={"schema": schema}, success=[{"answer": {"contains": "7"}}])
    result = stage.play([call("finish", answer={"rows": 7})], goal)
    assert result.status == "done"
    assert json.loads(result.answer or "") == {"rows": 7}


def test_a_tool_that_raises_is_shown_to_the_model_and_the_run_goes_on(stage: Stage) -> None:
    @tool(effect="read")
    def broken() -> str:
        """Break."""
        raise OSError("disk on fire")

    result = stage.play([call("broken"), FINISH], tools=[broken])
    assert result.status == "finished_unchecked"
    assert "disk on fire" in stage.watcher.of("tool_returned")[0]["result"]


def test_an_interrupt_stops_the_run_and_resume_goes_on(stage: Stage) -> None:
    interrupt = Interrupt()

    @tool(effect="read")
    def slow() -> str:
        """Wait."""
        interrupt.request()
        return "ok"

    first = stage.play([call("slow"), FINISH], tools=[slow], interrupt=interrupt)
    assert (first.status, first.exit_code) == ("interrupted", 130)
    second = stage.agent([FINISH], tools=[slow]).resume(first.run)
    assert second.status == "finished_unchecked"
    assert second.run == first.run


def test_a_plan_is_written_and_streamed_when_wanted(stage: Stage) -> None:
    steps = ["read a.txt", "write out/n.txt"]
    result = stage.play([json.dumps({"steps": steps}), WRITE, FINISH], plan="once")
    assert result.plan == steps
    assert "read a.txt" in stage.watcher.streamed


def test_a_long_result_is_shortened_and_can_be_read_on(stage: Stage) -> None:
    stage.write("long.txt", "\n".join(f"line {i}" for i in range(3_000)))

    @tool(effect="read")
    def dump() -> str:
        """Dump."""
        return stage.read("long.txt")

    stage.play(
        [call("dump"), call("read_more", handle="r1", page=2), FINISH],
        tools=[dump],
        window=40_000,
    )
    first, second, *_ = stage.watcher.of("tool_returned")
    assert first["handle"] == "r1"
    assert "read_more" in first["result"]
    assert "page 2 of" in second["result"]


def test_the_window_never_overflows(stage: Stage) -> None:
    for i in range(12):
        stage.write(f"f{i}.txt", f"{i} " + "x" * 2_500)
    reads = [call("read_file", path=f"f{i}.txt") for i in range(12)]
    result = stage.play([*reads, FINISH], window=25_000, goal=stage.goal(tools=["read_file"]))
    assert result.status == "finished_unchecked"
    summaries = [d["text"] for d in stage.watcher.of("reflected") if "Done so far" in d["text"]]
    assert summaries
    assert "read_file(f0.txt)" in summaries[0]


def test_a_follow_up_goes_on_in_the_same_run(stage: Stage) -> None:
    agent = stage.agent([FINISH, WRITE, FINISH])
    first = agent.invoke(stage.goal())
    second = agent.follow_up(first.run, "Write 7 to out/n.txt")
    assert second.run == first.run
    assert second.status == "done"
    assert len(read_journal(agent.runs.journal(first.run), first.run)) > 6


def test_the_model_is_given_its_replies_back_as_the_tokens_that_it_generated(stage: Stage) -> None:
    seen: list[Any] = []

    def finish(request: Any) -> Any:
        seen.extend(request.note.messages)
        return FINISH

    stage.play([call("read_file", path="a.txt"), finish])
    [facts] = [message.response_metadata for message in seen if message.type == "ai"]
    assert facts["model_name"] == "scripted"
    assert bytes(facts["token_ids"]).decode() == facts["raw"]


def test_earlier_thoughts_are_not_shown_again(stage: Stage) -> None:
    seen: list[Any] = []

    def act(name: str, **arguments: Any) -> Any:
        def reply(request: Any) -> str:
            seen[:] = [str(message.text) for message in request.note.messages]
            return f"I will {name}.\n{request.note.spell_call(name, arguments)}"

        return reply

    stage.play([act("read_file", path="a.txt"), act("finish", answer="done")], thought_chars=40)
    assert [d["thought"] for d in stage.watcher.of("replied")] == [
        "I will read_file.",
        "I will finish.",
    ]
    assert any("one short sentence" in text for text in seen)
    assert not any("I use read_file." in text for text in seen)


def test_results_say_what_is_still_to_be_written(stage: Stage) -> None:
    told: list[str] = []

    def noting(step: Any) -> Any:
        def reply(request: Any) -> Any:
            told.append(str(request.note.messages[-1].text))
            return step

        return reply

    goal = stage.goal(
        success=[
            {"text": {"path": "out/n.txt", "equals": "8"}},
            {"file": "out/m.txt"},
            {"file": {"path": "a.txt", "fresh": False}},
        ]
    )
    stage.play([call("read_file", path="a.txt"), noting(WRITE), noting(FINISH), FINISH], goal)
    assert told[0].endswith("(not written yet: out/n.txt, out/m.txt)")
    # Of the written file it is said what is wrong, not what would be right.
    assert "The goal is not reached yet:\n- text out/n.txt:" in told[1]
    assert "8" not in told[1]
    assert "m.txt" not in told[1]
