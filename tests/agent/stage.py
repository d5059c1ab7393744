"""A workspace, a home and a scripted model: what a test of a whole run needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.app import Agent, RunResult
from agent.approval import Answer, ApprovalQuestion
from agent.events import Event
from agent.goal import Goal
from models.chat import ScriptedModel
from models.scripted import Script


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A scripted tool call."""
    return {"name": name, "arguments": arguments}


class Watcher:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.streamed = ""

    def event(self, event: Event) -> None:
        self.events.append(event)

    def text(self, piece: str) -> None:
        self.streamed += piece

    def of(self, type: str) -> list[Mapping[str, Any]]:
        return [event.data for event in self.events if event.type == type]

    @property
    def tools(self) -> list[str]:
        return [data["tool"] for data in self.of("tool_called")]


class Person:
    """Answers what is asked, in turn."""

    def __init__(self, *answers: Answer | str) -> None:
        self._answers = list(answers)
        self.asked: list[ApprovalQuestion | str] = []

    def ask(self, question: ApprovalQuestion) -> Answer | None:
        self.asked.append(question)
        answer = self._answers.pop(0)
        assert isinstance(answer, Answer)
        return answer

    def reply(self, question: str) -> str | None:
        self.asked.append(question)
        answer = self._answers.pop(0)
        assert isinstance(answer, str)
        return answer


class Stage:
    """One home and one workspace; each `play` is an agent with a script of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "state"
        self.workspace = folder / "work"
        self.workspace.mkdir(parents=True)
        self.home.mkdir()
        self.watcher = Watcher()

    def write(self, path: str, text: str) -> None:
        target = self.workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path: str) -> str:
        return (self.workspace / path).read_text()

    def goal(self, text: str = "Do the work.", **keys: Any) -> Goal:
        return Goal.model_validate({"goal": text, "workspace": self.workspace, **keys})

    def agent(self, script: Script, *, window: int = 100_000, **options: Any) -> Agent:
        model = ScriptedModel(script, window=window)
        defaults = {"plan": "off", "thought_chars": 0, "listener": self.watcher}
        return Agent(model, home=self.home, workspace=self.workspace, **{**defaults, **options})

    def play(self, script: Sequence[Any], goal: Goal | None = None, **options: Any) -> RunResult:
        return self.agent(list(script), **options).invoke(goal or self.goal())
