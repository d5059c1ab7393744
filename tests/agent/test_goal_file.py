"""Goal files as people write them: what each key means, inputs, folders, streams, and fuzzing."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.check_specs import CHECKS, TableSpec, TextSpec
from agent.checks import Evidence, evaluate
from agent.errors import GoalError
from agent.goal import Goal
from agent.goal_file import goal_from_mapping, goal_from_text, load_goal
from tools.workspace import Workspace

EVERYTHING = """\
# yaml-language-server: $schema=../docs/goal.schema.json
version: 1
name: label-reviews
goal: Train a sentiment classifier on {{ table }}, then label data/new.csv into out/labels.csv.
inputs: {table: {type: file, default: data/reviews.csv}, minimum: {type: number, default: 0.8}}
workspace: .
model: default
tools: [files, data, skills, tuning]
permissions: {allow: ["write_file(out/**)"], deny: ["write_file(data/**)"]}
budget: {steps: 25, seconds: 1800, tokens: 40000, tuning_seconds: 1200}
memory: read
success:
  - file: out/labels.csv
  - table: {path: out/labels.csv, columns: [text, label], rows: 200, tolerance: "{{ minimum }}"}
  - text:
      {path: out/summary.txt, contains: [Berlin], matches: "(?i)x", max_words: 80, max_chars: 600}
  - json: {path: out/summary.json, schema: summary.schema.json}
  - answer: {contains: Paris}
audit:
  - answer: {equals: Paris}
output: {schema: {type: object, properties: {rows: {type: integer}}, required: [rows]}}
retries: 2
stop: finish
demo: [{name: finish, arguments: {answer: Paris}}]
practice: {vary: {table: [data/reviews.csv]}, hold_out: 0.3}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reviews.csv").write_text("text,label\n")
    (tmp_path / "summary.schema.json").write_text('{"type": "object"}')
    return tmp_path


def load(folder: Path, text: str, **options: Any) -> Goal:
    file = folder / "goal.yaml"
    file.write_text(text, encoding="utf-8")
    return load_goal(file, **options)


def data(goal: Goal) -> dict[str, Any]:
    return goal.model_dump(mode="json", by_alias=True, exclude_unset=True)


def test_reads_every_key(folder: Path) -> None:
    goal = load(folder, EVERYTHING)
    assert goal.goal.startswith("Train a sentiment classifier on data/reviews.csv, then")
    assert goal.workspace == folder.resolve()
    assert goal.source == (folder / "goal.yaml").resolve()
    assert goal.budget.tokens == 40000
    assert goal.permissions.deny == ["write_file(data/**)"]
    assert data(goal)["success"] == [
        {"file": {"path": "out/labels.csv"}},
        {
            "table": {
                "path": "out/labels.csv",
                "columns": ["text", "label"],
                "rows": 200,
                "tolerance": 0.8,
            }
        },
        {
            "text": {
                "path": "out/summary.txt",
                "contains": ["Berlin"],
                "matches": "(?i)x",
                "max_words": 80,
                "max_chars": 600,
            }
        },
        {"json": {"path": "out/summary.json", "schema": {"type": "object"}}},
        {"answer": {"contains": ["Paris"]}},
    ]
    assert (goal.retries, goal.stop, goal.demo[0].name) == (2, "finish", "finish")


@pytest.mark.parametrize("exclude_unset", [True, False])
def test_a_goal_survives_being_stored(folder: Path, exclude_unset: bool) -> None:
    goal = load(folder, EVERYTHING)
    stored = goal.model_dump_json(exclude_unset=exclude_unset)
    assert Goal.model_validate_json(stored) == goal
    assert Goal.model_validate(goal.model_dump(mode="json", exclude_unset=exclude_unset)) == goal


def test_one_line_is_a_goal(folder: Path) -> None:
    goal = load(folder, "goal: Count the rows\n")
    assert (goal.name, goal.model, goal.tools, goal.success) == ("goal", "default", None, [])
    assert (goal.workspace, goal.memory, goal.stop) == (folder.resolve(), None, "checks")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024", "2024"),
        ("1.10", "1.10"),
        ("007", "007"),
        ("no", "no"),
        ("off", "off"),
        ("true", "true"),
        ("2024-01-05", "2024-01-05"),
        ("12:30", "12:30"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("9" * 30, "9" * 30),
        ("'quoted'", "quoted"),
        ("上海", "上海"),
    ],
)
def test_where_text_is_wanted_a_word_stays_what_it_looks_like(
    folder: Path, written: str, meant: str
) -> None:
    goal = load(folder, f"goal: x\nsuccess:\n  - answer: {{contains: [{written}]}}\n")
    assert data(goal)["success"] == [{"answer": {"contains": [meant]}}]
    goal = load(folder, f"goal: x\nsuccess:\n  - table: {{path: a.csv, columns: [{written}]}}\n")
    assert data(goal)["success"][0]["table"]["columns"] == [meant]


def test_memory_can_be_off_without_quotes(folder: Path) -> None:
    assert load(folder, "goal: x\nmemory: off\n").memory == "off"


def test_cells_keep_their_types(folder: Path) -> None:
    goal = load(
        folder,
        "goal: x\nsuccess:\n"
        "  - table:\n      path: a.csv\n"
        "      contains_rows: [{a: 1, b: 1.5, c: '1', d: true, e: null, f: no}]\n",
    )
    rows = data(goal)["success"][0]["table"]["contains_rows"]
    assert rows == [{"a": 1, "b": 1.5, "c": "1", "d": True, "e": None, "f": "no"}]


class TestInputs:
    def test_a_value_that_is_just_an_input_keeps_its_type(self, folder: Path) -> None:
        goal = load(
            folder,
            "goal: Take {{ n }} rows, {{ flag }}.\n"
            "inputs: {n: {type: integer, default: 3}, flag: {type: boolean, default: false}}\n"
            "budget: {steps: '{{ n }}'}\n"
            "success:\n"
            "  - table: {path: 'out/{{ n }}.csv', rows: ' {{n}} ', exact_columns: '{{ flag }}'}\n"
            "  - answer: {contains: '{{ n }}'}\n",
        )
        assert goal.goal == "Take 3 rows, false."
        assert goal.budget.steps == 3
        table, answer = data(goal)["success"]
        assert table["table"] == {"path": "out/3.csv", "rows": 3, "exact_columns": False}
        assert answer == {"answer": {"contains": ["3"]}}

    @pytest.mark.parametrize(
        ("kind", "given", "value"),
        [
            ("string", "0.5", "0.5"),
            ("string", "", ""),
            ("number", "0.85", 0.85),
            ("number", "3", 3),
            ("number", "-1e3", -1000.0),
            ("integer", " 7 ", 7),
            ("boolean", "yes", True),
            ("boolean", "False", False),
            ("date", "2026-11-24", "2026-11-24"),
            ("file", "data/reviews.csv", "data/reviews.csv"),
            ("file", "./data//reviews.csv", "data/reviews.csv"),
            ("new_file", "out/new.csv", "out/new.csv"),
            ("folder", "data", "data"),
            ("folder", ".", "."),
        ],
    )
    def test_set_is_read_as_the_inputs_type(
        self, folder: Path, kind: str, given: str, value: object
    ) -> None:
        text = f"goal: 'With {{{{ x }}}}'\ninputs: {{x: {{type: {kind}}}}}\n"
        goal = load(folder, text, sets={"x": given})
        assert goal.values == {"x": value}
        assert type(goal.values["x"]) is type(value)

    def test_a_choice_keeps_the_type_of_its_choices(self, folder: Path) -> None:
        text = "goal: At {{ x }}\ninputs: {x: {type: choice, choices: [1, 2, low], default: low}}\n"
        assert load(folder, text).values == {"x": "low"}
        assert load(folder, text, sets={"x": "2"}).values == {"x": 2}

    def test_set_wins_over_a_default_that_does_not_exist(self, folder: Path) -> None:
        text = "goal: Count {{ t }}\ninputs: {t: {type: file, default: gone.csv}}\n"
        goal = load(folder, text, sets={"t": "data/reviews.csv"})
        assert goal.goal == "Count data/reviews.csv"

    def test_two_braces_can_be_written(self, folder: Path) -> None:
        goal = load(folder, "goal: \"Write {{ '{{' }} name }} into a.txt\"\n")
        assert goal.goal == "Write {{ name }} into a.txt"

    def test_a_set_value_is_data_and_never_a_template_or_yaml(self, folder: Path) -> None:
        text = "goal: Say {{ a }}\ninputs: {a: {}, b: {default: x}}\nname: '{{ b }}'\n"
        goal = load(folder, text, sets={"a": "{{ b }} \nmodel: ../evil"})
        assert goal.goal == "Say {{ b }} \nmodel: ../evil"
        assert goal.model == "default"


class TestWorkspace:
    def test_is_relative_to_the_goal_file(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("/")
        assert load(folder, "goal: x\nworkspace: data\n").workspace == folder.resolve() / "data"

    def test_may_be_a_neighbour(self, folder: Path) -> None:
        (folder / "goals").mkdir()
        goal = load(folder / "goals", "goal: x\nworkspace: ../data\n")
        assert goal.workspace == folder.resolve() / "data"

    def test_a_link_cannot_hide_where_it_leads(self, folder: Path) -> None:
        (folder / "ws").symlink_to("/etc")
        with pytest.raises(GoalError, match="/etc is too much to hand over"):
            load(folder, "goal: x\nworkspace: ws\n")

    def test_hidden_folders_of_the_home_are_out_of_reach(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "me" / ".ssh").mkdir(parents=True)
        (folder / "me" / "work").mkdir()
        (folder / "me" / "goals").mkdir()
        monkeypatch.setenv("HOME", str(folder / "me"))
        with pytest.raises(GoalError, match="too much to hand over"):
            load(folder / "me" / "goals", "goal: x\nworkspace: ../.ssh\n")
        with pytest.raises(GoalError, match="too much to hand over"):
            load(folder / "me" / "goals", "goal: x\nworkspace: ..\n")
        goal = load(folder / "me" / "goals", "goal: x\nworkspace: ../work\n")
        assert goal.workspace.name == "work"

    def test_the_persons_choice_wins(self, folder: Path) -> None:
        goal = load(folder, "goal: x\nworkspace: nowhere\n", workspace=folder / "data")
        assert goal.workspace == folder.resolve() / "data"


class TestStreams:
    def test_reads_standard_input(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        stdin = io.TextIOWrapper(io.BytesIO(b"goal: Count\nworkspace: data\n"))
        monkeypatch.setattr(sys, "stdin", stdin)
        goal = load_goal("-")
        assert (goal.goal, goal.source) == ("Count", None)
        assert goal.workspace == folder.resolve() / "data"

    def test_names_standard_input_in_mistakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"gaol: Count\n")))
        with pytest.raises(GoalError, match="^-:1:1: "):
            load_goal("-")

    @pytest.mark.parametrize("stream", [io.StringIO("goal: x"), io.BytesIO(b"\xef\xbb\xbfgoal: x")])
    def test_reads_an_open_file(self, stream: Any) -> None:
        assert load_goal(stream).goal == "x"


def test_a_schema_file_is_read_once_so_a_later_change_cannot_soften_it(folder: Path) -> None:
    (folder / "strict.json").write_text('{"required": ["rows"]}')
    text = "goal: x\nsuccess:\n  - json: {path: a.json, schema: strict.json}\n"
    goal = load(folder, text)
    (folder / "strict.json").write_text("{}")
    (folder / "a.json").write_text("{}")
    evidence = Evidence(Workspace(folder), frozenset({"a.json"}))
    assert not evaluate(goal.success[0], evidence).passed


def test_a_typed_goal_is_taken_literally(folder: Path) -> None:
    goal = goal_from_text("  Fill {{ name }} into a: b  ", folder, ["file: out.txt"])
    assert goal.goal == "Fill {{ name }} into a: b"
    assert (goal.workspace, goal.source) == (folder.resolve(), None)
    assert data(goal)["success"] == [{"file": {"path": "out.txt"}}]


@pytest.mark.parametrize(
    "check",
    [
        "{file: out.txt}",
        "file: out.txt",
        '{text: {path: out/refunds.txt, matches: "^\\\\d+$"}}',
        "{answer: {contains: [巴黎]}}",
    ],
)
def test_a_typed_check_is_one_entry_in_yaml(folder: Path, check: str) -> None:
    assert len(goal_from_text("Count", folder, [check]).success) == 1


def test_a_goal_made_in_a_script_works_in_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    goal = Goal.model_validate({"goal": "Count", "success": [{"file": "out.txt"}]})
    assert goal.workspace == folder.resolve()
    assert Goal(goal="Count", workspace=folder / "data").workspace == folder.resolve() / "data"


class TestMapping:
    def test_is_read_like_a_file(self, folder: Path) -> None:
        checks = [{"file": "out.txt"}]
        goal = goal_from_mapping(
            {
                "goal": "Count {{ table }}",
                "inputs": {"table": {"type": "file", "default": "data/reviews.csv"}},
                "success": checks,
                "audit": checks,
            },
            folder,
        )
        assert goal.goal == "Count data/reviews.csv"
        assert goal.workspace == folder.resolve()
        assert data(goal)["success"] == data(goal)["audit"] == [{"file": {"path": "out.txt"}}]

    def test_may_choose_its_workspace(self, folder: Path) -> None:
        goal = goal_from_mapping({"goal": "x", "workspace": folder / "data"}, Path())
        assert goal.workspace == folder.resolve() / "data"

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"gaol": "x"}, "`goal` is missing"),
            ({"goal": 3, "budget": {"steps": "many"}}, "`steps` must be a whole number"),
            ({"goal": object()}, "the mapping holds what no goal file can"),
            ({}, "`goal` is missing"),
        ],
    )
    def test_mistakes_are_goal_errors(
        self, folder: Path, given: dict[str, Any], expected: str
    ) -> None:
        with pytest.raises(GoalError) as caught:
            goal_from_mapping(given, folder)
        assert expected in str(caught.value)


# Fuzzing: whatever the file holds, there is a goal or a GoalError, and the mistake has a place.

_KEYS = [*Goal.model_fields, *CHECKS, *TableSpec.model_fields, *TextSpec.model_fields]
_INNER = "schema budget steps allow deny vary hold_out name arguments type default choices choice"
_ODD = "true false null no ~ 1 -1 1e999 .inf 2026-11-24 007 ../a /etc a.csv ( (a+)+$ $ref #/x <<"
_HOLES = ["{{", "}}", "{{x}}", '"{{x}}"', "'{{ x }}'"]
_WORDS = st.sampled_from([*_KEYS, *_INNER.split(), *_ODD.split(), *_HOLES])
_PUNCTUATION = st.sampled_from(
    [
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'",
        '"',
        "&a ",
        "*a",
        "!t ",
    ]
    + ["|", ">", "#", "? ", "\t", "---\n", "%", "@", "\\", "\\x", "\u2028", "\x85", "\r", "\x00"]
    + ["\ufeff", "é", "上海", "\U0001f600"]
)
_YAML_LIKE = st.lists(_WORDS | _PUNCTUATION, max_size=60).map("".join)
_MUTATED = st.builds(
    lambda at, piece, cut: EVERYTHING[:at] + piece + EVERYTHING[at + cut :],
    st.integers(0, len(EVERYTHING)),
    _YAML_LIKE | st.text(max_size=8),
    st.integers(0, 40),
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | _WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_WORDS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.stress("goal files")
@given(
    st.binary(max_size=200) | (_YAML_LIKE | _MUTATED).map(lambda t: t.encode("utf-8", "replace"))
)
@example(b"goal: x\n? \n: y\n")
@example(b'"\\ud800": 1\ngoal: x')
def test_only_a_goal_error_ever_escapes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    _goal_or_error(io.BytesIO(content))


@pytest.mark.stress("goal files")
@given(st.dictionaries(_WORDS, _VALUES, max_size=6))
def test_any_well_formed_yaml_is_a_goal_or_a_goal_error(value: dict[str, Any]) -> None:
    import yaml

    text = yaml.safe_dump(value, allow_unicode=True)
    _goal_or_error(io.BytesIO(text.encode("utf-8", "surrogatepass")))


@pytest.mark.stress("goal files")
@given(st.text(max_size=60) | _YAML_LIKE)
def test_any_typed_check_is_a_check_or_a_goal_error(check: str) -> None:
    try:
        goal_from_text("Count", Path(), [check])
    except GoalError as error:
        _has_places(error, 99)


def _goal_or_error(stream: io.BytesIO) -> None:
    lines = stream.getvalue().count(b"\n") + stream.getvalue().count(b"\r") + 1
    lines += stream.getvalue().count(b"\xc2\x85") + stream.getvalue().count(b"\xe2\x80\xa8")
    try:
        goal = load_goal(stream)
    except GoalError as error:
        _has_places(error, lines + 1)
        return
    assert Goal.model_validate_json(goal.model_dump_json()) == goal


def _has_places(error: GoalError, lines: int) -> None:
    assert error.problems
    for problem in error.problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message
