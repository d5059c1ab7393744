"""A model server that never answers with a call, or breaks down: the run ends and says so."""

import json

from tests.house.commands import Commands, contents
from tests.house.refusals import GOAL, WORK, must_be_clear
from tests.models.openai_server import Behaviour, serving


def test_a_model_that_never_answers_with_a_call(command: Commands) -> None:
    """A server that ignores every schema and chats instead."""
    behaviour = Behaviour(schema_forms=(), tool_choice=False, says=lambda body: "I think so, yes.")
    with serving(behaviour) as server:
        ended = command(*GOAL, "--json", "--model", server.name)
    assert ended.code == 6, ended.stderr
    must_be_clear(ended, "invalid_output: the model gave no legal call", "another model")
    assert json.loads(ended.stdout.splitlines()[-1])["status"] == "invalid_output"
    assert contents(command.folder / "work") == WORK


def test_a_server_that_breaks_down_in_the_middle(command: Commands) -> None:
    behaviour = Behaviour()
    with serving(behaviour) as server:

        def break_down(process: int) -> None:
            command.until(lambda: "goal: " in command.said)
            behaviour.chat_status = 500

        ended = command(*GOAL, "--model", server.name, meanwhile=break_down)
    assert ended.code == 3, ended.stderr
    must_be_clear(ended, "unavailable: ", server.url)
    (run,) = command.run_ids()
    assert run in ended.stderr or "doctor" in ended.last
