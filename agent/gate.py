"""The one door between a proposed call and its effect: rules first, then a person."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.approval import ApprovalQuestion, Approver
from agent.errors import LimitReached
from agent.events import EventType
from agent.permissions import Permissions, changed, grant_line, may_only_look, touched
from tools.toolbox import Toolbox

Record = Callable[[EventType, Mapping[str, Any]], None]
"""Journals an event at once: what was asked is on record before anybody answers."""


@dataclass(frozen=True)
class Passage:
    """What came of a proposed call."""

    allowed: bool
    arguments: dict[str, Any] = field(default_factory=dict)
    """The arguments to call with; a person may have changed them."""
    rule: str = ""
    """Which rule or person decided."""


class Gate:
    """Judges every call of a run."""

    def __init__(
        self,
        permissions: Permissions,
        toolbox: Toolbox,
        approver: Approver,
        record: Record,
        spelled: Callable[[str], str],
    ) -> None:
        """Args:
        spelled: a path as the workspace spells it, so that no other spelling passes a rule.
        """
        self._permissions = permissions
        self._spelled = spelled
        self._toolbox = toolbox
        self._approver = approver
        self._record = record

    def possible(self, name: str) -> bool:
        """False where no call of the tool could ever pass: it leaves the grammar."""
        facts = self._toolbox.facts(name)
        if facts.effect == "write" and may_only_look(self._toolbox.schema(name)):
            facts = replace(facts, effect="read")
        return self._permissions.possible(name, facts)

    def judge(self, name: str, arguments: Mapping[str, Any]) -> Passage:
        """Let a call pass, refuse it, or ask.

        Raises:
            LimitReached: `needs_review`: it must be asked for and nobody is there.
        """
        if name not in self._toolbox:
            return Passage(False, dict(arguments), f"there is no tool {name}")
        facts = self._toolbox.facts(name)
        schema = self._toolbox.schema(name)
        while True:
            values = [self._spelled(value) for value in touched(schema, arguments)]
            targets = [self._spelled(value) for value in changed(schema, arguments)]
            effect = facts.effect
            if effect == "delete":
                targets = values
            elif effect == "write" and may_only_look(schema) and not targets:
                effect = "read"
            judged = replace(facts, effect=effect)
            decision = self._permissions.decide(name, judged, values, targets or values)
            if decision.verdict != "ask":
                return Passage(decision.verdict == "allow", dict(arguments), decision.rule)
            question = ApprovalQuestion(
                tool=name,
                effect=facts.effect,
                arguments=arguments,
                grant=grant_line(name, targets or values),
                says=_sentence(facts.says, arguments),
                rule=decision.rule,
            )
            self._record(
                "approval_asked",
                {
                    "tool": name,
                    "arguments": dict(arguments),
                    "effect": facts.effect,
                    "grant": question.grant,
                },
            )
            asks = self._permissions.mode != "auto"
            answer = self._approver.ask(question) if asks else None
            if answer is None:
                raise LimitReached("needs_review", _help(question))
            self._record("approval_given", {"tool": name, "answer": answer.kind})
            if answer.kind == "always":
                self._permissions = self._permissions.granting(name, targets or values)
            if answer.kind != "edit":
                allowed = answer.kind != "no"
                return Passage(allowed, dict(arguments), "" if allowed else "the user said no")
            if dict(answer.arguments) == dict(arguments):
                return Passage(True, dict(arguments), "")
            arguments = answer.arguments


def _help(question: ApprovalQuestion) -> str:
    return (
        f"nobody could allow {question.says or question.tool} ({question.effect}); to allow it"
        f" without asking, put into grants.yaml: allow: [{json.dumps(question.grant)}]"
    )


def _sentence(says: str, arguments: Mapping[str, Any]) -> str:
    try:
        return says.format(**arguments)
    except (KeyError, IndexError, ValueError):
        return says
