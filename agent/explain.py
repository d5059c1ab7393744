"""A goal as resolved, for a person: `tuneward explain` prints it before anything runs."""

import json
from collections.abc import Sequence
from typing import Any

from agent.check_specs import Check, OnFile, Strict, parts_of
from agent.goal import Goal
from agent.inputs import spoken
from agent.safe_text import safe_text

_DEFAULT_TOOLS = "all whose effect is read, remember or write"
_LABEL_WIDTH = 12


def explain(goal: Goal) -> dict[str, Any]:
    """The goal with its inputs filled in, paths absolute and every default written out."""
    data = goal.model_dump(mode="json", by_alias=True, exclude={"version", "inputs", "values"})
    about: dict[str, Any] = {"name": data.pop("name"), "goal": data.pop("goal")}
    about["inputs"] = dict(goal.values)
    return {
        **about,
        **data,
        "success": [_given(check) for check in goal.success],
        "audit": [_given(check) for check in goal.audit],
    }


def explain_text(goal: Goal, may: Sequence[str] = ()) -> str:
    """The same as lines to read; `may` adds what the permissions let this goal do.

    The checks are shown with the values that they expect: this is for the goal's author, and never
    reaches the model.
    """
    lines: list[str] = []

    def say(name: str, text: str) -> None:
        first, *rest = safe_text(text).split("\n")
        lines.append(f"{name:<{_LABEL_WIDTH}}{first}".rstrip())
        lines.extend(f"{'':<{_LABEL_WIDTH}}{line}".rstrip() for line in rest)

    def say_each(name: str, texts: Sequence[str], none: str) -> None:
        say(name, "\n".join(texts) or none)

    say("goal", goal.goal)
    say("name", goal.name + (f"  ({goal.source})" if goal.source else ""))
    if goal.values:
        say_each("inputs", [f"{key} = {spoken(value)}" for key, value in goal.values.items()], "")
    say("workspace", str(goal.workspace))
    say("model", goal.model)
    say("tools", _DEFAULT_TOOLS if goal.tools is None else ", ".join(goal.tools) or "none")
    permissions = goal.permissions
    if permissions.allow is not None:
        allowed = ", ".join(permissions.allow) or "nothing that changes anything"
        say("allow", f"only {allowed} (as far as the operator agrees)")
    if permissions.deny:
        say("deny", ", ".join(permissions.deny))
    if may:
        say_each("may", list(may), "")
    budget = goal.budget
    say(
        "budget",
        f"{budget.steps} steps, {budget.seconds:g} s, {budget.tokens} tokens,"
        f" {budget.tuning_seconds:g} s of tuning; {goal.retries} more"
        f" {'try' if goal.retries == 1 else 'tries'} after a failed check",
    )
    say("memory", goal.memory or "as the host decides: read when nobody is at the terminal")
    say_each("success", [check_text(check) for check in goal.success], "unchecked: no checks")
    if goal.success:
        ends = {
            "checks": "as soon as all success checks hold after a change",
            "finish": "when the model finishes",
        }
        say("ends", ends[goal.stop])
    if goal.audit:
        say_each("audit", [check_text(check) for check in goal.audit], "")
    if goal.output is not None:
        say("output", "JSON under the schema that the goal gives")
    if goal.demo:
        say("demo", f"{len(goal.demo)} calls, for practice only")
    if goal.practice is not None:
        varied = ", ".join(goal.practice.vary) or "nothing"
        say("practice", f"varies {varied}; holds out {goal.practice.hold_out:.0%}")
    return "\n".join(lines)


def check_text(check: Check) -> str:
    """One check in words, with what it expects: `text out.txt: matches ^\\d+$`."""
    kind, spec = parts_of(check)
    if not isinstance(spec, Strict):
        return f"{kind} {spec}"
    rules = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"path"})
    fresh = rules.pop("fresh", True)
    told = [f"{key.replace('_', ' ')} {_short(value)}" for key, value in rules.items()]
    if not told and kind == "file":
        told = ["is written, not empty, and parses as what its name says"]
    if isinstance(spec, OnFile) and not fresh:
        told.append("an older file counts too")
    name = f"{kind} {spec.path}" if isinstance(spec, OnFile) else kind
    return f"{name}: {', '.join(told)}" if told else name


def _given(check: Check) -> dict[str, Any]:
    return check.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _short(value: Any) -> str:
    if value is True:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return safe_text(text, one_line=True, width=200)
