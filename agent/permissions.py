"""May this call happen? One gate for every call, whatever its tool and whoever runs it.

Order: the goal file's deny and allow narrow first, then the mode, then the operator's grants,
then the default of the effect: read, remember, write, train happen; delete, execute, network are
asked for; outside is denied. Patterns are `tool(glob)`, matched against the path-like arguments.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from agent.errors import SettingsError
from tools.base import GROUND_KEY, Effect, ToolFacts

Mode = Literal["read-only", "ask", "auto", "deny"]
MODES: tuple[Mode, ...] = ("read-only", "ask", "auto", "deny")
Verdict = Literal["allow", "ask", "deny"]

_DEFAULT: dict[Effect, Verdict] = {
    "read": "allow",
    "remember": "allow",
    "write": "allow",
    "train": "allow",
    "delete": "ask",
    "execute": "ask",
    "network": "ask",
    "outside": "deny",
}
_ANY = (None, "*", "**")
_PATTERN = re.compile(r"^(?P<tool>[\w:*-]+)(\((?P<glob>.*)\))?$")


@dataclass(frozen=True)
class Decision:
    """What the gate says to a call, and which rule said it."""

    verdict: Verdict
    rule: str


@dataclass(frozen=True)
class Rule:
    """`tool(glob)`: a tool, and the values its arguments may have; `tool` alone takes all."""

    tool: str
    glob: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Raises ValueError where `text` is no `tool(glob)`."""
        match = _PATTERN.match(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no rule; write tool(glob), as in write_file(out/**)")
        return cls(match["tool"], match["glob"])

    def covers(self, tool: str, values: Sequence[str], *, every: bool) -> bool:
        """True where the rule takes this call.

        Args:
            every: all values must match (to allow); else one is enough (to deny).
        """
        if self.tool not in (tool, "*"):
            return False
        if self.glob in _ANY:
            return True
        expression = _glob(self.glob or "")
        hits = [expression.fullmatch(value) is not None for value in values]
        return (all(hits) and bool(hits)) if every else any(hits)


@dataclass(frozen=True)
class Rules:
    """Allow and deny lists, of a goal file or of the operator."""

    allow: tuple[Rule, ...] | None = None
    """None says nothing; an empty list allows nothing that changes something."""
    deny: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, allow: Sequence[str] | None = None, deny: Sequence[str] = ()) -> "Rules":
        allowed = None if allow is None else tuple(map(Rule.parse, allow))
        return cls(allowed, tuple(map(Rule.parse, deny)))


@dataclass(frozen=True)
class Permissions:
    """The gate of one run."""

    mode: Mode = "ask"
    grants: Rules = field(default_factory=Rules)
    goal: Rules = field(default_factory=Rules)

    def decide(
        self, tool: str, facts: ToolFacts, values: Sequence[str], targets: Sequence[str]
    ) -> Decision:
        """Judge a call.

        Args:
            values: the paths that it touches, or its texts where it names none; for deny rules.
            targets: those of them that it changes; for allow rules.
        """
        for owner, rules in (("the goal", self.goal), ("grants.yaml", self.grants)):
            for rule in rules.deny:
                if rule.covers(tool, values, every=False):
                    return Decision("deny", f"{owner} denies {_shown(rule)}")
        if facts.effect in ("read", "remember") and facts.family == "control":
            return Decision("allow", "control")
        default = _DEFAULT[facts.effect]
        allowed = self.goal.allow
        narrowed = allowed is not None and facts.effect != "read"
        if narrowed and not any(r.covers(tool, targets, every=True) for r in allowed or ()):
            return Decision("deny", "the goal's permissions.allow does not name it")
        if self.mode == "read-only" and facts.effect != "read":
            return Decision("deny", "mode read-only")
        if default != "ask":
            return Decision(default, f"default for {facts.effect}")
        for rule in self.grants.allow or ():
            if rule.covers(tool, targets, every=True):
                return Decision("allow", f"grants.yaml allows {_shown(rule)}")
        if self.mode == "deny":
            return Decision("deny", "mode deny")
        return Decision("ask", f"default for {facts.effect}")

    def granting(self, tool: str, values: Sequence[str]) -> "Permissions":
        """These permissions, with exactly this call allowed from now on."""
        rule = Rule(tool, values[0] if len(values) == 1 else None)
        grants = replace(self.grants, allow=(*(self.grants.allow or ()), rule))
        return replace(self, grants=grants)

    def possible(self, tool: str, facts: ToolFacts) -> bool:
        """False where no call of the tool can be allowed or asked for: it leaves the grammar."""
        denied = [rule for rule in (*self.goal.deny, *self.grants.deny) if rule.glob in _ANY]
        if _named(denied, tool):
            return False
        if facts.family == "control" or facts.effect == "read":
            return True
        if self.goal.allow is not None and not _named(self.goal.allow, tool):
            return False
        if self.mode == "read-only" or facts.effect == "outside":
            return False
        if self.mode == "deny" and _DEFAULT[facts.effect] == "ask":
            return _named(self.grants.allow or (), tool)
        return True


def touched(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """The paths in a call, or all its texts where it names none: what deny rules look at."""
    found = _of_kind(schema, arguments, {"file", "folder", "new_file"})
    return found or [value for value in arguments.values() if isinstance(value, str)]


def changed(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[str]:
    """The paths that a call writes."""
    return _of_kind(schema, arguments, {"new_file"})


def may_only_look(schema: Mapping[str, Any]) -> bool:
    """True for a tool that writes only if it is given a file to save to."""
    required = schema.get("required", ())
    files = [name for name, prop in schema.get("properties", {}).items() if _is(prop, {"new_file"})]
    return bool(files) and not any(name in required for name in files)


def _of_kind(schema: Mapping[str, Any], arguments: Mapping[str, Any], kinds: set[str]) -> list[str]:
    found: list[str] = []
    for name, prop in schema.get("properties", {}).items():
        if _is(prop, kinds) and arguments.get(name) and isinstance(arguments[name], str):
            found.append(str(arguments[name]))
    return found


def _is(prop: Mapping[str, Any], kinds: set[str]) -> bool:
    options = [prop, *prop.get("anyOf", ())]
    return bool({option.get(GROUND_KEY, {}).get("kind") for option in options} & kinds)


def grant_line(tool: str, values: Sequence[str]) -> str:
    """The line for `grants.yaml` that would allow exactly this call."""
    return f"{tool}({values[0]})" if len(values) == 1 else tool


def load_grants(path: Path) -> Rules:
    """The operator's `grants.yaml`; no file means no grants.

    Raises:
        SettingsError: the file is not `allow:` and `deny:` lists of rules.
    """
    if not path.exists():
        return Rules()
    try:
        found = yaml.safe_load(path.read_text("utf-8")) or {}
        if not isinstance(found, dict) or set(found) - {"allow", "deny"}:
            raise ValueError("expected the keys allow and deny only")
        lists = {key: found.get(key) or [] for key in ("allow", "deny")}
        for key, rules in lists.items():
            if not isinstance(rules, list) or not all(isinstance(r, str) for r in rules):
                raise ValueError(f"{key} is no list of rules such as delete_file(out/**)")
        return Rules.parse(**lists)
    except (ValueError, yaml.YAMLError, OSError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{path}: {reason}") from None


def _named(rules: Sequence[Rule], tool: str) -> bool:
    return any(rule.tool in (tool, "*") for rule in rules)


def _glob(pattern: str) -> re.Pattern[str]:
    """`**` crosses folders, `*` and `?` do not."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return re.compile("".join(parts.get(t, re.escape(t)) for t in tokens), re.DOTALL)


def _shown(rule: Rule) -> str:
    return rule.tool if rule.glob is None else f"{rule.tool}({rule.glob})"
