"""What a run has come to, folded from its events: nothing is known that the journal does not hold.

The loop applies each event as it adds it; resume applies those that it reads. Both therefore stand
at the same place with the same messages, budgets and counters.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from agent.events import Event
from agent.goal import Goal
from agent.status import RESUMABLE, Status
from tools.results import RunResults

CRASHES: tuple[Status | None, ...] = (None, "internal_error", "oom", "device_lost")
"""Ends that come again where nothing has changed; None is a process that died."""


@dataclass(frozen=True)
class PastCall:
    """A call that was made, what it gave, and the state of the workspace that it was made in."""

    tool: str
    arguments: Mapping[str, Any]
    before: str
    ok: bool = False
    result_digest: str = ""
    changed: bool = False
    """The workspace is not what it was before the call."""
    progressed: bool = False


@dataclass
class Usage:
    """Tokens and seconds of a run so far."""

    prompt: int = 0
    cached: int = 0
    generated: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens that the model had to process: prompt without what the cache gave, and reply."""
        return self.prompt - self.cached + self.generated

    def public(self) -> dict[str, Any]:
        return {
            "prompt": self.prompt,
            "cached": self.cached,
            "generated": self.generated,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class RunState:
    """Mutable only through `apply`."""

    run: str
    goal: Goal | None = None
    options: dict[str, Any] = field(default_factory=dict)
    """Model, mode and prompting choices of the run, as they were at its start."""
    messages: list[BaseMessage] = field(default_factory=list)
    head: int = 0
    """How many messages at the front are never summarised."""
    plan: list[str] = field(default_factory=list)
    plan_revision: int = 0
    step: int = 0
    calls: list[PastCall] = field(default_factory=list)
    pending: dict[str, Any] | None = None
    """The model's last call while it has no outcome yet: on resume it is replayed, not sampled."""
    open_call: dict[str, Any] | None = None
    """A call whose intent is recorded and whose outcome is not: the process died in between."""
    recalled: list[str] = field(default_factory=list)
    """Ids of the notes that came into the context at the start."""
    results: RunResults = field(default_factory=RunResults)
    written: set[str] = field(default_factory=set)
    usage: Usage = field(default_factory=Usage)
    invalid_in_a_row: int = 0
    failures_in_a_row: int = 0
    retries_used: int = 0
    resumed_without_progress: int = 0
    """Resumes in a row after a death or a failure of the program, without a call in between."""
    checks: list[dict[str, Any]] = field(default_factory=list)
    answer: str | None = None
    status: Status | None = None
    """Set once the run has ended; a resume or a follow-up clears it."""
    reviewed: bool = False
    """A person resumed the run after it had stopped for review."""
    _seen: set[str] = field(default_factory=set)

    @property
    def resumable(self) -> bool:
        """True where the run has not come to an end that is final."""
        return self.status is None or self.status in RESUMABLE

    def apply(self, event: Event) -> None:
        """Take one event in."""
        self.usage.seconds = event.private.get("elapsed", self.usage.seconds)
        getattr(self, f"_{event.type}", lambda _: None)(event)

    def _run_started(self, event: Event) -> None:
        self.reviewed = self.status == "needs_review"
        died, self.status = self.status in CRASHES, None
        if event.data.get("resumed"):
            self.resumed_without_progress += died
            return
        self.goal = Goal.model_validate(event.private["goal"])
        self.options = dict(event.private["options"])
        for role, text in event.private["messages"]:
            self.messages.append(SystemMessage(text) if role == "system" else HumanMessage(text))
        self.recalled = list(event.private.get("recalled", ()))
        self.written = set()
        self.head = self.head or len(self.messages)
        self.plan, self.plan_revision = [], 0
        self.step = self.retries_used = self.invalid_in_a_row = self.failures_in_a_row = 0
        self.usage = Usage()
        self.calls = []
        self.resumed_without_progress = 0
        self.answer, self.checks = None, []

    def _planned(self, event: Event) -> None:
        self.plan = list(event.data["plan"])
        self.plan_revision = event.data["revision"]
        self.messages += [HumanMessage(event.private["ask"]), _reply(event.private, "", [])]
        self._use(event.data["usage"])

    def _replied(self, event: Event) -> None:
        self._use(event.data["usage"])
        call = event.data["call"]
        if call is None:
            self.invalid_in_a_row += 1
            self.messages += [
                AIMessage(event.data["text"] or "(nothing)"),
                HumanMessage(event.private["message"]),
            ]
            return
        self.invalid_in_a_row = 0
        self.pending = {**call, "call_id": event.private["call_id"]}
        calls = [{"name": call["name"], "args": call["arguments"], "id": event.private["call_id"]}]
        # A small model copies its earlier thoughts word for word, so only the calls are kept.
        thought = event.data["thought"]
        said = AIMessage("", tool_calls=calls) if thought else _reply(event.private, "", calls)
        self.messages.append(said)

    def _tool_called(self, event: Event) -> None:
        self.step = event.data["step"]
        self.open_call = {**event.data, **event.private}

    def _tool_returned(self, event: Event) -> None:
        private, data = event.private, event.data
        called = self.open_call or {}
        self.open_call = self.pending = None
        self.resumed_without_progress = 0
        if data["handle"]:
            self.results.keep(data["handle"], private["full"])
        self.written |= set(private["written"])
        digest = hashlib.sha256(f"{data['ok']}{data['result']}".encode()).hexdigest()
        news = f"{called.get('tool')}{digest}"
        changed = private["after"] != called.get("before")
        progressed = changed or (data["ok"] and news not in self._seen)
        self._seen.add(news)
        self.failures_in_a_row = 0 if data["ok"] else self.failures_in_a_row + 1
        self.calls.append(
            PastCall(
                data["tool"],
                called.get("arguments", {}),
                called.get("before", ""),
                data["ok"],
                digest,
                changed,
                progressed,
            )
        )
        self.messages.append(
            ToolMessage(private["shown"], tool_call_id=data["call_id"], name=data["tool"])
        )

    def _reflected(self, event: Event) -> None:
        dropped = event.private.get("dropped")
        if dropped:
            del self.messages[self.head : self.head + dropped]
            self.messages.insert(self.head, HumanMessage(event.data["text"]))
            return
        if "raw" in event.private:
            self._use(event.data["usage"])
            self.messages += [HumanMessage(event.private["ask"]), _reply(event.private, "", [])]
            return
        self.messages.append(HumanMessage(event.data["text"]))

    def _checked(self, event: Event) -> None:
        self.checks = [c for c in self.checks if c["when"] != event.data["when"]]
        self.checks += [{"when": event.data["when"], **r} for r in event.data["results"]]
        if event.private.get("retry"):
            self.retries_used += 1
        if message := event.private.get("message"):
            self.messages.append(HumanMessage(message))

    def _run_finished(self, event: Event) -> None:
        self.status = event.data["status"]
        self.answer = event.data["answer"]

    def _use(self, usage: Mapping[str, Any]) -> None:
        self.usage.prompt += usage.get("prompt", 0)
        self.usage.cached += usage.get("cached", 0)
        self.usage.generated += usage.get("generated", 0)


def _reply(private: Mapping[str, Any], content: str, calls: list[Any]) -> AIMessage:
    """The model's own turn, with the token ids it was sampled as: the cache matches those."""
    metadata = {key: private.get(key) for key in ("token_ids", "raw", "model_name")}
    return AIMessage(
        content if calls else private["raw"], tool_calls=calls, response_metadata=metadata
    )
