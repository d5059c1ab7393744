"""The gate's rules: who may narrow, who may widen, and what no spelling gets past."""

from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.permissions import MODES, Mode, Permissions, Rule, Rules, load_grants
from tests.agent.stage import Person, Stage, call
from tools.base import EFFECTS, Effect, ToolFacts

TABLE = {
    # effect: verdict without a grant in mode read-only, ask, auto, deny; and in ask with a grant
    "read": ("allow", "allow", "allow", "allow", "allow"),
    "remember": ("deny", "allow", "allow", "allow", "allow"),
    "write": ("deny", "allow", "allow", "allow", "allow"),
    "train": ("deny", "allow", "allow", "allow", "allow"),
    "delete": ("deny", "ask", "ask", "deny", "allow"),
    "execute": ("deny", "ask", "ask", "deny", "allow"),
    "network": ("deny", "ask", "ask", "deny", "allow"),
    "outside": ("deny", "deny", "deny", "deny", "deny"),
}


def decide(permissions: Permissions, effect: Effect, path: str = "out/a.txt") -> str:
    return permissions.decide("t", ToolFacts(effect, declared=True), [path], [path]).verdict


@pytest.mark.parametrize("effect", EFFECTS)
def test_every_effect_has_its_verdict_in_every_mode(effect: Effect) -> None:
    found = [decide(Permissions(mode), effect) for mode in MODES]
    granted = Permissions("ask", grants=Rules.parse(["t(out/**)"]))
    assert (*found, decide(granted, effect)) == TABLE[effect]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("effect", EFFECTS)
def test_a_tool_in_the_grammar_is_one_that_could_be_allowed_or_asked_for(
    mode: Mode, effect: Effect
) -> None:
    permissions = Permissions(mode)
    possible = permissions.possible("t", ToolFacts(effect, declared=True))
    assert possible == (decide(permissions, effect) != "deny")


def test_deny_beats_every_grant() -> None:
    grants = Rules.parse(["t"], ["t(data/**)"])
    assert decide(Permissions("ask", grants), "delete", "data/x.csv") == "deny"
    assert decide(Permissions("ask", grants), "delete", "out/x.csv") == "allow"


def test_a_goal_narrows_and_never_widens() -> None:
    goal = Rules.parse(["t(out/**)"])
    permissions = Permissions("ask", goal=goal)
    assert decide(permissions, "write", "out/a") == "allow"
    assert decide(permissions, "write", "a") == "deny"
    assert decide(permissions, "read", "a") == "allow"
    assert decide(permissions, "delete", "out/a") == "ask"
    assert decide(Permissions("read-only", goal=goal), "write", "out/a") == "deny"
    nothing = Permissions("ask", goal=Rules.parse([]))
    assert decide(nothing, "write", "out/a") == "deny"
    assert not nothing.possible("t", ToolFacts("write", declared=True))


@pytest.mark.parametrize(
    ("glob", "path", "covers"),
    [
        ("out/**", "out/a/b.txt", True),
        ("out/**", "outside/a.txt", False),
        ("out/*", "out/a/b.txt", False),
        ("*.txt", "a.txt", True),
        ("*.txt", "a/b.txt", False),
        ("**/b.txt", "b.txt", True),
        ("**/b.txt", "x/y/b.txt", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("out/**", "out/\n../etc", True),
    ],
)
def test_globs_mean_what_they_say(glob: str, path: str, covers: bool) -> None:
    assert Rule("t", glob).covers("t", [path], every=True) is covers


def test_allowing_needs_every_path_and_denying_only_one() -> None:
    rule = Rule("t", "out/**")
    assert not rule.covers("t", ["out/a", "b"], every=True)
    assert rule.covers("t", ["out/a", "b"], every=False)
    assert not rule.covers("t", [], every=True)


@pytest.mark.parametrize("text", ["", "write file", "t(", "(a)", "t)a("])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rule"):
        Rule.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "- delete_file",
        "allow: delete_file",
        "allow: [1]",
        "grant: []",
        "allow: ['a b']",
        "allow: [",
    ],
)
def test_a_broken_grants_file_stops_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "grants.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"grants\.yaml"):
        load_grants(path)


def test_no_grants_file_grants_nothing(tmp_path: Path) -> None:
    assert load_grants(tmp_path / "grants.yaml") == Rules()


@pytest.mark.parametrize("path", ["./data/x.txt", "data//x.txt", "{workspace}/data/x.txt"])
def test_another_spelling_of_a_denied_path_is_denied(tmp_path: Path, path: str) -> None:
    from agent.approval import Answer

    stage = Stage(tmp_path)
    stage.write("a.txt", "x")
    changed = {"path": path.format(workspace=stage.workspace)}
    (stage.home / "grants.yaml").write_text('deny: ["delete_file(data/**)"]\n')
    stage.write("data/x.txt", "kept")
    script = [call("delete_file", path="a.txt"), call("finish", answer="x")]
    person = Person(Answer("edit", changed), Answer("once"))
    stage.play(script, stage.goal(tools=["files"]), approver=person)
    assert stage.read("data/x.txt") == "kept"


def test_a_tool_that_only_may_write_can_look_in_read_only(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write("a.txt", "A long story.")
    script = [
        call("ask", path="a.txt", question="What is it?"),
        "A story.",
        call("finish", answer="x"),
    ]
    stage.play(script, mode="read-only")
    assert stage.watcher.of("tool_returned")[0]["ok"]
