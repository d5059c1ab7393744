"""Every kind of mistake in a goal file is named at its place, with the way out, in one go."""

import time
from pathlib import Path

import pytest

from agent.errors import GoalError
from agent.goal_file import goal_from_text, load_goal

GOAL = "goal: Count the rows.\n"
SUCCESS = GOAL + "success:\n"

MISTAKES: dict[str, tuple[str | bytes, str]] = {
    # The bytes of the file
    "empty file": ("", "1:1: the file is empty"),
    "only a comment": ("# nothing\n", "1:1: the file is empty"),
    "not UTF-8": (b"goal: caf\xe9 au lait\n", "1:10: byte 0xe9 is not UTF-8"),
    "UTF-16": ("goal: x".encode("utf-16"), "1:1: the file is UTF-16; save it as UTF-8"),
    "10 MB": (b"goal: x\n" * 1_250_000, "1:1: the file is over 256 KiB"),
    "NUL": (b"goal: a\x00b\n", "1:8: the character U+0000 is not allowed"),
    "escape character": (GOAL.encode() + b"name: \x1b[31m\n", "2:7: the character U+001B"),
    # YAML
    "tab as indentation": (GOAL + "budget:\n\tsteps: 3\n", "3:1: a tab; indent with spaces"),
    "tab after a space": (GOAL + "budget:\n \tsteps: 3\n", "3:2: a tab; indent with spaces"),
    "open quote": (GOAL + "name: 'half\n", "2:7: the quotes opened here are never closed"),
    "open bracket": (GOAL + "tools: [a, b\n", "3:1: a comma or the closing bracket is missing"),
    "colon in a value": ("goal: Note: count\n", "1:11: `: ` inside a value"),
    "no key": (GOAL + "just words\n", "3:1: this is no `key: value` line"),
    "indentation": (GOAL + "budget:\n  steps: 3\n   seconds: 4\n", "4:11: `: ` inside a value"),
    "dedent": (GOAL + "budget:\n    steps: 3\n  seconds: 4\n", "4:3: the indentation does not fit"),
    "at sign": ("goal: @daily count\n", "1:7: a value cannot start with this character"),
    "percent": ("%goal\n", "1:"),
    "unknown escape": ('goal: "a\\q"\n', "1:10: in double quotes a backslash starts an escape"),
    "list where a key stood": (GOAL + "tools: - a\n", "2:8: a list cannot start here"),
    "anchor": ("goal: &g Count\n", "1:7: `&g`: anchors are not allowed; write the value out"),
    "alias": (GOAL + "name: *g\n", "2:7: `*g`: aliases are not allowed; write the value out"),
    "alias bomb": (
        "goal: x\ntools: [&a [x, x, x], [*a, *a]]\n",
        "2:24: `*a`: aliases are not allowed",
    ),
    "recursive alias": ("goal: x\ntools: &t [*t]\n", "2:12: `*t`: aliases are not allowed"),
    "tag": ("goal: !!python/object/apply:os.system [ls]\n", "1:7: the tag `tag:yaml.org,2002:pyth"),
    "own tag": ("goal: !include ../secret\n", "1:7: the tag `!include` is not allowed"),
    "merge key": (GOAL + "<<: {steps: 3}\n", "2:1: unknown key `<<`"),
    "two documents": (GOAL + "---\ngoal: another\n", "2:1: a second document starts here"),
    "directive": ("%YAML 1.1\n---\n" + GOAL, "1:1: YAML directives are not allowed"),
    "duplicate key": (GOAL + "name: a\nname: b\n", "3:1: the key `name` is there twice; the first"),
    "duplicate inner key": (GOAL + "budget: {steps: 1, steps: 2}\n", "2:20: the key `steps` is th"),
    "key is a list": (GOAL + "? [a, b]\n: c\n", "2:3: a key must be a word"),
    "deep nesting": ("goal: " + "[" * 100_000, "1:46: nested over 40 deep"),
    "too many values": ("tools: [" + "a," * 6_000 + "]\n", "1:10003: over 5000 values"),
    "control escape": (
        'goal: "a\\u001b[2Jb"\n',
        "1:7: the text holds the control character U+001B",
    ),
    "lone surrogate": ('goal: "a\\ud800b"\n', "1:7: the text holds the control character U+D800"),
    "impossible escape": ('goal: "\\UFFFFFFFF"\n', "1:1: an escape in double quotes names no"),
    "a list at the top": ("- goal: x\n", "1:1: a goal file is a mapping"),
    "a text at the top": ("Count the rows\n", "1:1: a goal file is a mapping"),
    # Keys and types
    "no goal": ("name: a\n", "1:1: `goal` is missing; say what is wanted in a sentence"),
    "empty goal": ("goal: ''\n", "1:7: `goal` is empty"),
    "blank goal": ("goal: '  '\n", "1:7: the goal is empty"),
    "goal without value": ("goal:\n", "1:6: `goal` must be text, not nothing"),
    "goal is a list": ("goal: [count, rows]\n", "1:7: `goal` must be text, not a list"),
    "goal far too long": (
        "goal: " + "word " * 5_000,
        "1:7: `goal` is longer than 20000 characters",
    ),
    "misspelled key": (GOAL + "sucess: []\n", "2:1: unknown key `sucess`; did you mean `success`?"),
    "unknown key": (GOAL + "xyz: 1\n", "2:1: unknown key `xyz`; there is version, name, goal"),
    "key of the host": (GOAL + "source: /etc/passwd\n", "2:1: unknown key `source`; remove it"),
    "wrong version": ("version: 2\n" + GOAL, "1:10: `version` must be 1, not `2`"),
    "version as text": ("version: '1'\n" + GOAL, "1:10: `version` must be 1, not the text `1`"),
    "odd name": (GOAL + "name: ../x\n", "2:7: `name` must start with a letter or digit"),
    "steps as a word": (
        GOAL + "budget: {steps: many}\n",
        "2:17: `steps` must be a whole number, n",
    ),
    "steps in quotes": (
        GOAL + "budget: {steps: '3'}\n",
        "2:17: `steps` must be a whole number, no",
    ),
    "half a step": (
        GOAL + "budget: {steps: 2.5}\n",
        "2:17: `steps` must be a whole number, not `2",
    ),
    "no steps": (GOAL + "budget: {steps: 0}\n", "2:17: `steps` must be at least 1, not `0`"),
    "negative seconds": (GOAL + "budget: {seconds: -1}\n", "2:19: `seconds` must be more than 0"),
    "infinite seconds": (
        GOAL + "budget: {seconds: .inf}\n",
        "2:19: `seconds` must be a number, no",
    ),
    "too large a number": (GOAL + "budget: {seconds: 1e999}\n", "2:19: `seconds` must be a number"),
    "5,000 digits": (GOAL + f"retries: {'9' * 5000}\n", "2:10: `retries` must be a whole number"),
    "budget is a number": (GOAL + "budget: 25\n", "2:9: `budget` must be a mapping, not `25`"),
    "misspelled budget": (
        GOAL + "budget: {step: 3}\n",
        "2:10: unknown key `step`; did you mean `s",
    ),
    "memory": (
        GOAL + "memory: of\n",
        "2:9: `memory` must be `off`, `read` or `write`, not the text",
    ),
    "stop": (
        GOAL + "stop: never\n",
        "2:7: `stop` must be `checks` or `finish`, not the text `never",
    ),
    "yes is a text": (
        SUCCESS + "  - file: {path: a.txt, fresh: no}\n",
        "3:32: `fresh` must be true or false, not the text `no`",
    ),
    # What a goal file must not do
    "model path": (
        GOAL + "model: ./models/mine\n",
        "2:8: `model` in a goal file must be a plain n",
    ),
    "model file": (GOAL + "model: mine.gguf\n", "2:8: `model` in a goal file must be a plain name"),
    "model hub id": (
        GOAL + "model: org/model\n",
        "2:8: `model` in a goal file must be a plain nam",
    ),
    "model address": (GOAL + "model: 'openai:m@http://h/v1'\n", "2:8: `model` in a goal file must"),
    "model above": (GOAL + "model: ..\n", "2:8: `model` in a goal file must be a plain name"),
    "tool file": (GOAL + "tools: [tools/mine.py]\n", "2:9: a goal file cannot load code; pass the"),
    "odd tool": (GOAL + "tools: ['rm -rf']\n", "2:9: not a tool's name; `tuneward tools list`"),
    "tools as text": (GOAL + "tools: files\n", "2:8: `tools` must be a list, not the text `files`"),
    "odd rule": (GOAL + "permissions: {allow: ['write(a']}\n", "2:23: not a rule; write `tool` or"),
    "wider mode": (
        GOAL + "permissions: {mode: auto}\n",
        "2:15: unknown key `mode`; there is allow",
    ),
    "missing workspace": (GOAL + "workspace: nowhere\n", "2:12: the workspace"),
    "root as workspace": (GOAL + "workspace: /\n", "2:12: / is too much to hand over; name one"),
    "system folder": (GOAL + "workspace: /etc\n", "2:12: /etc is too much to hand over"),
    "home as workspace": (GOAL + f"workspace: {Path.home()}\n", "2:12: "),
    "NUL in workspace": (
        GOAL + 'workspace: "a\\0b"\n',
        "2:12: the text holds the control character",
    ),
    "endless workspace": (
        GOAL + f"workspace: {'a/' * 5000}\n",
        "2:12: the path is longer than 4096",
    ),
    "templated workspace": (
        GOAL + "inputs: {w: {default: a}}\nworkspace: '{{ w }}'\n",
        "3:12: the workspace cannot hold an input; write the folder out",
    ),
    # Inputs
    "undefined input": (
        "goal: Count {{ tabel }}.\n",
        "1:13: `{{ tabel }}` is not an input of this",
    ),
    "misspelled input": (
        "inputs: {table: {default: a}}\ngoal: Count {{ tabel }} and {{ table }}.\n",
        "2:13: `{{ tabel }}` is not an input of this goal; did you mean `table`?",
    ),
    "undefined in a block": (
        "goal: |\n  Count the rows.\n  Then {{ what }}.\n",
        "3:8: `{{ what }}` is not an input",
    ),
    "unused input": (GOAL + "inputs:\n  spare: {default: 1}\n", "3:3: input `spare` is never used"),
    "open template": ("goal: 'Count {{ table'\n", "1:14: `{{` is never closed; add `}}`"),
    "expression": (
        "goal: 'Count {{ 1 + 1 }}'\n",
        "1:14: `{{ 1 + 1 }}` is not the name of an input",
    ),
    "unquoted template": (
        "inputs: {g: {default: a}}\ngoal: {{ g }}\n",
        '2:7: quote it: "{{ g }}"',
    ),
    "input without value": (
        "inputs: {t: {type: string}}\ngoal: Count {{ t }}\n",
        "1:10: input `t`: has no value; pass --set t=VALUE or add a default",
    ),
    "input type": (
        "inputs: {t: {type: fil, default: a}}\ngoal: Count {{ t }}\n",
        "1:20: `type` must be `string`, `number`",
    ),
    "number in quotes": (
        "inputs: {n: {type: number, default: '0.8'}}\ngoal: Count {{ n }}\n",
        "1:37: input `n`: `0.8` is not a number",
    ),
    "whole number": (
        "inputs: {n: {type: integer, default: 0.8}}\ngoal: Count {{ n }}\n",
        "1:38: input `n`: `0.8` is not a whole number",
    ),
    "boolean": (
        "inputs: {b: {type: boolean, default: no}}\ngoal: Count {{ b }}\n",
        "1:38: input `b`: `no` is not true or false",
    ),
    "date": (
        "inputs: {d: {type: date, default: 24.11.2026}}\ngoal: Since {{ d }}\n",
        "1:35: input `d`: `24.11.2026` is not a date; write it as 2026-11-24",
    ),
    "missing file": (
        "inputs: {f: {type: file, default: a.csv}}\ngoal: Count {{ f }}\n",
        "1:35: input `f`: the file `a.csv` is not in the workspace",
    ),
    "file outside": (
        "inputs: {f: {type: file, default: ../a.csv}}\ngoal: Count {{ f }}\n",
        "1:35: input `f`: the path '../a.csv' holds '..'",
    ),
    "choice": (
        "inputs: {c: {type: choice, choices: [a, b], default: c}}\ngoal: Count {{ c }}\n",
        "1:54: input `c`: `c` is not one of a, b",
    ),
    "choice without choices": (
        "inputs: {c: {type: choice, default: c}}\ngoal: Count {{ c }}\n",
        "1:13: `choices` and `type: choice` belong together",
    ),
    "input name": (GOAL + "inputs: {1a: {default: 1}}\n", "2:10: `1a` is no name for an input"),
    "default is a list": (
        "inputs: {c: {default: [a]}}\ngoal: Count {{ c }}\n",
        "1:23: `default` must be a single value, not a list",
    ),
    "input is a value": (
        "inputs: {c: 3}\ngoal: Count {{ c }}\n",
        "1:13: the value must be a mapping, not `3`",
    ),
    # Checks
    "unknown kind": (
        SUCCESS + "  - fiel: a.txt\n",
        "3:5: `fiel` is no kind of check; did you mean",
    ),
    "check as text": (
        SUCCESS + "  - a.txt\n",
        "3:5: a check is a mapping such as `{file: out.txt}",
    ),
    "checks as mapping": (GOAL + "success: {file: a.txt}\n", "2:10: `success` must be a list, not"),
    "empty check": (SUCCESS + "  - {}\n", "3:5: a check is a mapping such as `{file: out.txt}`"),
    "empty file name": (SUCCESS + "  - file: ''\n", "3:11: the path is empty"),
    "absolute path": (
        SUCCESS + "  - file: /etc/passwd\n",
        "3:11: the path '/etc/passwd' is absolute",
    ),
    "path above": (SUCCESS + "  - file: a/../../b\n", "3:11: the path 'a/../../b' holds '..'"),
    "hidden path": (SUCCESS + "  - file: .git/config\n", "3:11: '.git/config' is hidden"),
    "folder": (SUCCESS + "  - file: out/\n", "3:11: the path names a folder"),
    "backslash": (SUCCESS + "  - file: out\\a.txt\n", "3:11: the path has a backslash"),
    "no path": (SUCCESS + "  - table: {rows: 3}\n", "3:12: `path` is missing; name the file"),
    "wrong indentation of a rule": (
        SUCCESS + "  - file: a.txt\n    fresh: false\n",
        "4:5: unknown key `fresh`; indent it below `file:`",
    ),
    "misspelled rule": (
        SUCCESS + "  - text: {path: a, contain: x}\n",
        "3:21: unknown key `contain`; did you mean `contains`?",
    ),
    "broken pattern": (
        SUCCESS + "  - text: {path: a, matches: '(a'}\n",
        "3:30: not a regular expr",
    ),
    "huge repeat": (
        SUCCESS + "  - text: {path: a, matches: 'a{99999}'}\n",
        "3:30: the pattern rep",
    ),
    "endless pattern": (
        SUCCESS + f"  - answer: {{matches: '{'a?' * 600}'}}\n",
        "3:23: the pattern has 1200 characters",
    ),
    "negative rows": (
        SUCCESS + "  - table: {path: a.csv, rows: -1}\n",
        "3:32: `rows` must be at le",
    ),
    "impossible rows": (
        SUCCESS + "  - table: {path: a.csv, min_rows: 3, max_rows: 2}\n",
        "3:12: `min_rows` is larger than `max_rows`",
    ),
    "ordered alone": (
        SUCCESS + "  - table: {path: a.csv, ordered: true}\n",
        "3:12: `ordered` needs `contains_rows`",
    ),
    "row of lists": (
        SUCCESS + "  - table: {path: a.csv, contains_rows: [{a: [1]}]}\n",
        "3:46: `a` must be a single value, not a list",
    ),
    "empty answer check": (
        SUCCESS + "  - answer: {}\n",
        "3:13: `answer` says nothing; add contains",
    ),
    "schema file missing": (
        SUCCESS + "  - json: {path: a.json, schema: b.json}\n",
        "3:34: there is no schema file b.json",
    ),
    "schema file above": (
        SUCCESS + "  - json: {path: a.json, schema: ../b.json}\n",
        "3:34: the path '../b.json' holds '..'",
    ),
    "schema of no type": (
        GOAL + "output: {schema: {type: objekt}}\n",
        "2:18: not a JSON Schema, at type: 'objekt'",
    ),
    "schema from the net": (
        GOAL + "output: {schema: {$ref: 'http://x/y.json'}}\n",
        "2:18: `$ref: http://x/y.json` points outside the schema",
    ),
    "schema is a number": (GOAL + "output: {schema: 3}\n", "2:18: `schema` must be a JSON Schema"),
    "metric": (
        SUCCESS + "  - metric: {skill: s, name: accuracy}\n",
        "3:13: `metric` says nothing; add at_least or at_most",
    ),
    "python": (
        SUCCESS + "  - python: c.py:f\n",
        "3:13: `python` checks are reserved for a later v",
    ),
    "command": (SUCCESS + "  - command: make\n", "3:14: `command` checks are reserved for a later"),
    "mistake in audit": (
        GOAL + "audit:\n  - fil: a\n",
        "3:5: `fil` is no kind of check; did you mea",
    ),
    # Practice and demonstration
    "vary nothing known": (
        GOAL + "practice: {vary: {tabel: [a]}}\n",
        "2:19: `vary` names `tabel`, which is not an input",
    ),
    "vary with a misfit": (
        "inputs: {n: {type: number, default: 1}}\n"
        "goal: Count {{ n }}\npractice: {vary: {n: [2, many]}}\n",
        "3:26: input `n`: `many` is not a number",
    ),
    "hold out all": (
        GOAL + "practice: {hold_out: 1}\n",
        "2:22: `hold_out` must be less than 1, not",
    ),
    "demo call": (GOAL + "demo: [{tool: x}]\n", "2:8: `name` is missing; add it"),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_names_the_mistake_at_its_place(text: str | bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    started = time.process_time()
    with pytest.raises(GoalError) as caught:
        load_goal(file)
    seconds = time.process_time() - started
    lines = str(caught.value).splitlines()
    assert any(line.startswith(f"{file}:") and f":{expected}" in line for line in lines), lines
    assert len(lines) <= 4, "consequences of one mistake are reported as mistakes"
    assert caught.value.exit_code == 2
    assert seconds < 2


def test_there_are_at_least_sixty_kinds_of_mistake() -> None:
    assert len(MISTAKES) >= 60


def test_reports_several_mistakes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "vrsion: 1\n"
        "goal: Count {{ tabel }}.\n"
        "budget: {steps: 0, second: 3}\n"
        "success:\n"
        "  - fiel: a\n"
        "  - text: {path: a.txt, matches: '('}\n"
    )
    with pytest.raises(GoalError) as caught:
        load_goal(file)
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == [(1, 1), (2, 13), (3, 17), (3, 20), (5, 5), (6, 34)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absent.yaml", "1:1: there is no such file"),
        (".", "1:1: this is a folder; name a goal file in it"),
        ("/dev/zero", "1:1: not a regular file"),
        ("a" * 300, "1:1: cannot be read"),
    ],
)
def test_says_why_a_file_cannot_be_read(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GoalError) as caught:
        load_goal(name)
    assert f"{name}:{expected}" in str(caught.value)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GoalError, match="not a regular file"):
        load_goal(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ({"minimm": "1"}, "1:1: --set minimm: the goal has no such input; did you mean `minimum`?"),
        ({"minimum": "many"}, "1:10: input `minimum`: `many` is not a number"),
        ({"minimum": "nan"}, "1:10: input `minimum`: `nan` is not a number"),
    ],
)
def test_says_which_set_is_wrong(sets: dict[str, str], expected: str, tmp_path: Path) -> None:
    file = tmp_path / "goal.yaml"
    file.write_text("inputs: {minimum: {type: number, default: 1}}\ngoal: At least {{ minimum }}\n")
    with pytest.raises(GoalError) as caught:
        load_goal(file, sets=sets)
    assert f"{file}:{expected}" in str(caught.value)


def test_a_hostile_file_cannot_send_escapes_to_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "goal.yaml"
    file.write_text('goal: x\n"a\\u202e\\u200b\\nb": 1\n', encoding="utf-8")
    with pytest.raises(GoalError) as caught:
        load_goal(file)
    message = str(caught.value)
    assert "unknown key `a\\u202e\\u200b\\nb`" in message
    assert not {"\u202e", "\u200b", "\n"} & set(message)


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("{fiel: a.txt}", "--check 1:1:2: `fiel` is no kind of check; did you mean `file`?"),
        ("{file: ../a}", "--check 1:1:8: the path '../a' holds '..'"),
        ("{file: a", "--check 1:1:9: a comma or the closing bracket is missing"),
        ("a.txt", "--check 1:1:1: a check is a mapping such as `{file: out.txt}`"),
        ("", "--check 1:1:1: the file is empty"),
        ("{python: a.py:f}", "--check 1:1:10: `python` checks are reserved"),
    ],
)
def test_says_what_is_wrong_with_a_typed_check(check: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(GoalError) as caught:
        goal_from_text("Count the rows", tmp_path, [check])
    assert expected in str(caught.value)


@pytest.mark.parametrize("goal", ["", "  \n ", "half a character \udc80"])
def test_a_typed_goal_must_be_text(goal: str, tmp_path: Path) -> None:
    with pytest.raises(GoalError, match="^goal:1:1: the goal"):
        goal_from_text(goal, tmp_path)


def test_a_typed_goal_needs_an_existing_workspace(tmp_path: Path) -> None:
    with pytest.raises(GoalError, match="nowhere is not a folder; create it first"):
        goal_from_text("Count the rows", tmp_path / "nowhere")
