"""The memory example: a goal in one process tells a fact, a goal in a later process asks for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from agent.app import Agent
from agent.goal_file import load_goal
from models.chat import ScriptedModel
from models.hashing import HashingEmbedder

FOLDER = Path(__file__).parents[2] / "examples" / "memory"
TELL, ASK = FOLDER / "1-tell.yaml", FOLDER / "2-ask.yaml"

_ONE_RUN = """
import json, sys
from pathlib import Path
from typing import Any
from tests.examples.test_memory import carry_out
print(json.dumps(carry_out(Path(sys.argv[1]), Path(sys.argv[2]))))
"""


def carry_out(file: Path, home: Path) -> list[str | None]:
    """Status, answer and what the model was shown, with the goal file's own demonstration."""
    goal = load_goal(file)
    seen: list[str] = []

    def step(call: dict[str, object]) -> object:
        def reply(request: object) -> dict[str, object]:
            seen.extend(str(m.text) for m in request.note.messages)  # type: ignore[attr-defined]  # the chat's note
            return call

        return reply

    script: list[Any] = [step({"name": s.name, "arguments": dict(s.arguments)}) for s in goal.demo]
    agent = Agent(
        ScriptedModel(script), home=home, embedder=HashingEmbedder(), plan="off", thought_chars=0
    )
    result = agent.invoke(goal)
    return [result.status, result.answer, "\n".join(seen)]


def in_a_process(file: Path, home: Path) -> list[str]:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _ONE_RUN, str(file), str(home)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_fact_told_in_one_process_is_known_in_a_later_one(tmp_path: Path) -> None:
    status, _, _ = in_a_process(TELL, tmp_path)
    assert status == "done"
    status, answer, seen = in_a_process(ASK, tmp_path)
    assert (status, answer) == ("done", "The workshop closes at 17:45 on Fridays.")
    # The goal does not say it: it came from the memory, into the context and through the tool.
    assert seen.count("the workshop closes at 17:45 on Fridays") >= 2


def test_the_asking_run_finds_out_a_telling_run_that_kept_nothing(tmp_path: Path) -> None:
    tell = load_goal(TELL)
    finish: Any = {"name": "finish", "arguments": {"answer": "Noted."}}
    agent = Agent(ScriptedModel([finish]), home=tmp_path, embedder=HashingEmbedder(), plan="off")
    assert agent.invoke(tell).status == "done"  # no check can look into the memory
    guess: Any = {"name": "finish", "arguments": {"answer": "It closes at 5 pm."}}
    agent = Agent(ScriptedModel([guess]), home=tmp_path, embedder=HashingEmbedder(), plan="off")
    assert agent.invoke(load_goal(ASK)).status == "failed"


def test_asked_without_the_memory_the_tool_is_not_there(tmp_path: Path) -> None:
    goal = load_goal(ASK)
    agent = Agent(ScriptedModel([]), home=tmp_path, embedder=HashingEmbedder())
    assert "recall" not in agent.tools(goal.model_copy(update={"tools": None})).names
