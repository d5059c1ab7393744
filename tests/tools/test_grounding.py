"""What a call may contain is what exists: files, columns, values, pages, handles."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast, get_args

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from tools.base import (
    Column,
    ExistingFile,
    ExistingTable,
    Ground,
    Handle,
    NewFile,
    NewTable,
    Page,
    SkillName,
    Value,
    tool,
)
from tools.comparison import CellKind, Order
from tools.grounding import ENUM_LIMIT, Schema, ground
from tools.toolbox import arguments_schema


class Shelf:
    """A world held in memory."""

    def __init__(
        self,
        files: Sequence[str] = (),
        columns: dict[str, list[str]] | None = None,
        values: dict[tuple[str, str], list[str]] | None = None,
        pages: dict[str, int] | None = None,
        new: Sequence[str] = (),
        handles: Sequence[str] = (),
        skills: dict[str, str] | None = None,
    ) -> None:
        self._skills = skills or {}
        self._files = list(files)
        self._columns = columns or {}
        self._values = values or {}
        self._pages = pages or {}
        self._new = list(new)
        self._handles = list(handles)

    def files(self, suffixes: Sequence[str] = ()) -> list[str]:
        return [f for f in self._files if not suffixes or f.endswith(tuple(suffixes))]

    def folders(self) -> list[str]:
        return ["."]

    def new_files(self) -> list[str]:
        return self._new

    def columns(self, path: str) -> list[str]:
        return self._columns.get(path, [])

    def values(self, path: str, column: str) -> list[str] | None:
        return self._values.get((path, column))

    def kind(self, path: str, column: str) -> CellKind:
        return cast(
            CellKind, {"day": "date", "name": "text", "size": "number"}.get(column, "mixed")
        )

    def pages(self, path: str) -> int:
        return self._pages.get(path, 1)

    def skills(self, task: str = "") -> list[str]:
        return [name for name, kind in self._skills.items() if task in ("", kind)]

    def labels(self, skill: str) -> list[str]:
        return {"names": ["LOC", "PER"], "drugs": ["DOSE"], "mood": ["bad", "good"]}[skill]

    def handles(self) -> list[str]:
        return self._handles


@tool(effect="read")
def look(path: ExistingFile, page: Annotated[int, Page(of="path")] = 1) -> str:
    """Look.

    Args:
        path: the file.
        page: the page.
    """
    return path


@tool(effect="read")
def count(
    path: ExistingTable,
    column: Annotated[str, Column(of="path")],
    value: Annotated[str, Value(of="column")],
) -> str:
    """Count.

    Args:
        path: the table.
        column: the column.
        value: the value.
    """
    return path


@tool(effect="read")
def compare(
    path: ExistingTable,
    column: Annotated[str, Column(of="path")],
    how: Literal["is", "has"],
    value: Annotated[str, Value(of="column", beside="how", when=("is",))],
) -> str:
    """Compare.

    Args:
        path: the table.
        column: the column.
        how: how.
        value: the value.
    """
    return path


@tool(effect="read")
def sort(
    path: ExistingTable,
    column: Annotated[str, Column(of="path")],
    order: Annotated[Order, Ground("order", of="column")],
) -> str:
    """Sort.

    Args:
        path: the table.
        column: the column.
        order: which end comes first.
    """
    return path


@tool(effect="read")
def sift(
    path: ExistingTable,
    column: Annotated[str, Column(of="path")],
    how: Annotated[Literal["equals", "before", "less"], Ground("comparison", of="column")],
    value: Annotated[str, Value(of="column", beside="how", when=("equals",))],
) -> str:
    """Sift.

    Args:
        path: the table.
        column: the column.
        how: how.
        value: the value.
    """
    return path


@tool(effect="write")
def pick(path: ExistingTable, columns: list[Annotated[str, Column(of="path")]]) -> str:
    """Pick.

    Args:
        path: the table.
        columns: the columns.
    """
    return path


@tool(effect="write")
def save(path: NewFile, text: str) -> str:
    """Save.

    Args:
        path: the file.
        text: its text.
    """
    return path


@tool(effect="write")
def save_table(save_as: NewTable) -> str:
    """Save.

    Args:
        save_as: the file.
    """
    return save_as


@tool(effect="read")
def more(handle: Handle) -> str:
    """More.

    Args:
        handle: the handle.
    """
    return handle


@tool(effect="read")
def everything() -> str:
    """List all."""
    return ""


def accepts(schema: Schema | None, arguments: dict[str, Any]) -> bool:
    if schema is None:
        return False
    return jsonschema.Draft202012Validator(schema).is_valid(arguments)


def test_only_existing_files_can_be_named() -> None:
    schema = ground(arguments_schema(look), Shelf(["a.txt", "b.txt"]))
    assert accepts(schema, {"path": "a.txt"})
    assert not accepts(schema, {"path": "c.txt"})


def test_a_tool_without_anything_to_work_on_is_impossible() -> None:
    assert ground(arguments_schema(look), Shelf()) is None
    assert ground(arguments_schema(count), Shelf(["a.txt"])) is None
    assert ground(arguments_schema(more), Shelf(["a.txt"])) is None


def test_a_page_exists_only_in_its_own_file() -> None:
    schema = ground(arguments_schema(look), Shelf(["a.txt", "long.txt"], pages={"long.txt": 3}))
    assert accepts(schema, {"path": "long.txt", "page": 3})
    assert not accepts(schema, {"path": "long.txt", "page": 4})
    assert not accepts(schema, {"path": "a.txt", "page": 3})


def test_a_comparison_and_its_value_fit_the_column() -> None:
    shelf = Shelf(["a.csv"], columns={"a.csv": ["day", "name", "size", "other"]})
    schema = ground(arguments_schema(sift), shelf)

    def fits(column: str, how: str, value: str) -> bool:
        return accepts(schema, {"path": "a.csv", "column": column, "how": how, "value": value})

    assert fits("day", "before", "2024-03")
    assert not fits("day", "before", "March")
    assert not fits("day", "less", "2024-03")
    assert fits("size", "less", "-2.5")
    assert not fits("size", "less", "}")
    assert not fits("size", "before", "2024-03")
    assert fits("name", "equals", "Rome")
    assert not fits("name", "less", "5")
    for how in ("equals", "before", "less"):
        assert fits("other", how, "anything")


def test_an_order_is_named_in_the_words_of_its_column() -> None:
    shelf = Shelf(["a.csv"], columns={"a.csv": ["day", "name", "size", "other"]})
    schema = ground(arguments_schema(sort), shelf)
    fitting = {
        "day": {"newest_first", "oldest_first"},
        "name": {"a_to_z", "z_to_a"},
        "size": {"largest_first", "smallest_first"},
        "other": set(get_args(Order)),
    }
    for column, orders in fitting.items():
        calls = {o: {"path": "a.csv", "column": column, "order": o} for o in get_args(Order)}
        assert {order for order, call in calls.items() if accepts(schema, call)} == orders


def test_of_tables_with_the_same_columns_every_comparison_is_left() -> None:
    crowd = Shelf(["a.csv", "b.csv"], columns={"a.csv": ["day"], "b.csv": ["day"]})
    schema = ground(arguments_schema(sift), crowd)
    call = {"path": "b.csv", "column": "day", "how": "less", "value": "5"}
    assert accepts(schema, call)


def test_columns_and_values_belong_to_their_table() -> None:
    shelf = Shelf(
        ["a.csv", "b.csv"],
        columns={"a.csv": ["city"], "b.csv": ["name", "city"]},
        values={("a.csv", "city"): ["Berlin"], ("b.csv", "city"): ["Rome"]},
    )
    schema = ground(arguments_schema(count), shelf)
    assert accepts(schema, {"path": "a.csv", "column": "city", "value": "Berlin"})
    assert not accepts(schema, {"path": "a.csv", "column": "city", "value": "Rome"})
    assert not accepts(schema, {"path": "a.csv", "column": "name", "value": "Berlin"})


def test_values_are_limited_only_beside_the_choice_that_says_so() -> None:
    shelf = Shelf(
        ["a.csv"],
        columns={"a.csv": ["city", "note", "none"]},
        values={("a.csv", "city"): ["Berlin", "Rome"], ("a.csv", "none"): []},
    )
    schema = ground(arguments_schema(compare), shelf)
    city = {"path": "a.csv", "column": "city"}
    assert accepts(schema, {**city, "how": "is", "value": "Rome"})
    assert not accepts(schema, {**city, "how": "is", "value": "Ro"})
    assert accepts(schema, {**city, "how": "has", "value": "Ro"})
    assert accepts(schema, {**city, "column": "note", "how": "is", "value": "Ro"})
    assert accepts(schema, {**city, "column": "none", "how": "has", "value": "Ro"})
    assert not accepts(schema, {**city, "column": "none", "how": "is", "value": "Ro"})


def test_every_item_of_a_list_is_a_column_of_its_table() -> None:
    shelf = Shelf(["a.csv", "b.csv"], columns={"a.csv": ["x", "y"], "b.csv": ["z"]})
    schema = ground(arguments_schema(pick), shelf)
    assert accepts(schema, {"path": "a.csv", "columns": ["y", "x"]})
    assert accepts(schema, {"path": "b.csv", "columns": ["z"]})
    assert not accepts(schema, {"path": "a.csv", "columns": ["x", "z"]})


def test_many_values_are_left_free() -> None:
    schema = ground(arguments_schema(count), Shelf(["a.csv"], columns={"a.csv": ["city"]}))
    assert accepts(schema, {"path": "a.csv", "column": "city", "value": "anything"})


def test_a_new_file_is_named_by_the_goal_or_has_a_legal_name() -> None:
    schema = ground(arguments_schema(save), Shelf(new=["my report.txt"]))
    for path in ("my report.txt", "out/a.txt", "报告.md", "a.tar.gz", "LICENSE"):
        assert accepts(schema, {"path": path, "text": "x"}), path
    wrong = ("../a.txt", "/etc/passwd", ".git/config", "a b.txt", "-x", "out/", "")
    for path in (*wrong, "a\u202eb", "a.b.c.d"):
        assert not accepts(schema, {"path": path, "text": "x"}), path


def test_a_new_table_lies_where_all_known_ones_lie() -> None:
    schema = ground(arguments_schema(save_table), Shelf(new=["out (1)/a.csv", "b.d/c.txt"]))
    for path in ("out (1)/a.csv", "out (1)/x.csv", "b.d/deep/x.csv"):
        assert accepts(schema, {"save_as": path}), path
    for path in ("a.csv", "out/x.csv", "bxd/x.csv", "out (1)/../x.csv"):
        assert not accepts(schema, {"save_as": path}), path
    schema = ground(arguments_schema(save), Shelf(new=["out/a.txt"]))
    assert accepts(schema, {"path": "log.txt", "text": "x"})


def test_a_new_table_ends_like_a_table() -> None:
    schema = ground(arguments_schema(save_table), Shelf(new=["out/a.txt", "out/my b.csv"]))
    assert accepts(schema, {"save_as": "out/x.csv"})
    assert accepts(schema, {"save_as": "out/my b.csv"})
    assert not accepts(schema, {"save_as": "out/a.txt"})


def test_a_call_made_before_cannot_be_made_again() -> None:
    shelf = Shelf(["a.txt", "long.txt"], pages={"long.txt": 2})
    done: list[dict[str, Any]] = [{"path": "a.txt"}, {"path": "long.txt", "page": 1}]
    schema = ground(arguments_schema(look), shelf, done)
    assert not accepts(schema, {"path": "a.txt"})
    assert not accepts(schema, {"path": "long.txt", "page": 1})
    assert accepts(schema, {"path": "long.txt", "page": 2})


def test_a_tool_whose_every_call_was_made_is_gone() -> None:
    assert ground(arguments_schema(look), Shelf(["a.txt"]), [{"path": "a.txt"}]) is None
    assert ground(arguments_schema(everything), Shelf(), [{}]) is None
    assert ground(arguments_schema(everything), Shelf(), []) is not None


def test_a_call_with_composed_text_is_not_barred() -> None:
    schema = ground(arguments_schema(save), Shelf(), [{"path": "a.txt", "text": "x"}])
    assert accepts(schema, {"path": "a.txt", "text": "x"})


@tool(effect="read")
def ask(skill: SkillName, text: str = "x") -> str:
    """Ask.

    Args:
        skill: which.
        text: what.
    """
    return ""


@tool(effect="read")
def find(
    skill: Annotated[str, Ground("skill", task="ner")],
    types: Annotated[
        list[Annotated[str, Ground("label", of="skill")]], Field(min_length=1, max_length=3)
    ],
) -> str:
    """Find.

    Args:
        skill: which.
        types: what.
    """
    return ""


SKILLS = {"names": "ner", "mood": "classification", "drugs": "ner"}


def test_a_skill_is_one_that_is_registered() -> None:
    schema = ground(arguments_schema(ask), Shelf(skills=SKILLS))
    assert accepts(schema, {"skill": "mood"})
    assert accepts(schema, {"skill": "drugs"})
    assert not accepts(schema, {"skill": "moot"})
    assert ground(arguments_schema(ask), Shelf()) is None


def test_a_skill_for_one_kind_of_task_is_of_that_kind() -> None:
    schema = ground(arguments_schema(find), Shelf(skills=SKILLS))
    assert accepts(schema, {"skill": "names", "types": ["PER"]})
    assert not accepts(schema, {"skill": "mood", "types": ["good"]})
    assert ground(arguments_schema(find), Shelf(skills={"mood": "classification"})) is None


def test_labels_are_those_of_the_skill_that_was_named() -> None:
    schema = ground(arguments_schema(find), Shelf(skills=SKILLS))
    assert accepts(schema, {"skill": "names", "types": ["PER", "LOC"]})
    assert accepts(schema, {"skill": "drugs", "types": ["DOSE"]})
    assert not accepts(schema, {"skill": "drugs", "types": ["PER"]})
    assert not accepts(schema, {"skill": "names", "types": []})


def test_too_many_files_become_a_bounded_string() -> None:
    names = [f"f{i}.txt" for i in range(ENUM_LIMIT + 1)]
    schema = ground(arguments_schema(look), Shelf(names))
    assert accepts(schema, {"path": "f7.txt"})
    assert not accepts(schema, {"path": "x" * 10_000})


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text("ab./-", min_size=1, max_size=6), min_size=1, max_size=6, unique=True),
    data=st.data(),
)
def test_barring_removes_exactly_the_calls_that_were_made(names: list[str], data: Any) -> None:
    shelf = Shelf(names, pages={n: 1 + len(n) % 3 for n in names})
    calls = [
        {"path": n, "page": p} if shelf.pages(n) > 1 else {"path": n}
        for n in names
        for p in range(1, shelf.pages(n) + 1)
    ]
    done: list[Any] = data.draw(st.lists(st.sampled_from(calls), unique_by=str))
    schema = ground(arguments_schema(look), shelf, done)
    for call in calls:
        assert accepts(schema, call) == (call not in done)
