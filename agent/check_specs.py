"""What a check may say: the entries under `success:` and `audit:` in a goal file, as data.

An entry is a mapping with one key, its kind: `{file: out.txt}`, `{text: {path: a.txt, ...}}`.
What each kind means is evaluated in `agent/checks.py`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from agent.json_values import SchemaError, check_schema
from agent.patterns import PatternError, check_pattern
from tools.errors import WorkspaceError
from tools.pathnames import show, split_path

_NOWHERE = Path("/")
"""No workspace is known yet; only absolute paths would need one."""

Cell = str | int | float | bool | None
"""A value in a table or an input: text, a number, true or false, or nothing."""


class Strict(BaseModel):
    """Unknown keys are errors, types are not guessed, and docstrings reach the JSON Schema."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def refuse(what: str) -> PydanticCustomError:
    """An error whose text is shown to the author of the goal as it is."""
    return PydanticCustomError("goal", "{what}", {"what": what})


def workspace_path(path: str, *, folder: bool = False) -> str:
    """A path in the workspace in its plainest spelling.

    Raises:
        ValueError: it leaves the workspace, is hidden or is no legal name.
    """
    if "\\" in path:
        raise ValueError("the path has a backslash; write folders with `/`")
    if path.startswith("/"):
        raise ValueError(f"the path {show(path)} is absolute; give it relative to the workspace")
    try:
        parts = split_path(path, _NOWHERE)
    except WorkspaceError as error:
        raise ValueError(str(error)) from None
    if not folder and (not parts or path.endswith("/")):
        raise ValueError("the path names a folder; name a file in the workspace")
    return "/".join(parts) or "."


def _inside(path: str) -> str:
    try:
        return workspace_path(path)
    except ValueError as error:
        raise refuse(str(error)) from None


def _pattern(pattern: str) -> str:
    try:
        check_pattern(pattern)
    except PatternError as error:
        raise refuse(f"{error}; test it with Python's `re` first") from None
    return pattern


def _schema(schema: object) -> object:
    if isinstance(schema, str):
        return _schema_path(schema)
    if not isinstance(schema, dict):
        raise refuse(
            "`schema` must be a JSON Schema (a mapping) or the name of a file beside the goal file"
        )
    try:
        check_schema(schema)
    except SchemaError as error:
        raise refuse(str(error)) from None
    return schema


def _schema_path(path: str) -> str:
    if not path.endswith(".json"):
        raise refuse("a schema file's name ends in `.json`")
    return _inside(path)


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _as_path(value: object) -> object:
    return {"path": value} if isinstance(value, str | int | float) else value


WorkspacePath = Annotated[str, AfterValidator(_inside)]
"""A file in the workspace, relative to it."""
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
"""A regular expression, searched for anywhere; `^` and `$` stand for the ends of the text."""
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    list[Text],
    Field(min_length=1),
    BeforeValidator(_one_or_more, json_schema_input_type=str | list[Text]),
]
"""One text or a list of them."""
JsonSchema = Annotated[
    Any,
    AfterValidator(_schema),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string", "pattern": r"\.json$"}]}),
]
"""A JSON Schema: written out, or a file's name relative to the goal file."""
Count = Annotated[int, Field(ge=0)]
Rows = Annotated[list[Annotated[dict[str, Cell], Field(min_length=1)]], Field(min_length=1)]
"""Rows by some of their values: `[{city: Berlin, total: 12}]`."""


MetricName = Literal[
    "accuracy", "micro_f1", "macro_f1", "weighted_f1", "precision", "recall", "entity_f1"
]
"""A figure of a skill; precision, recall and micro_f1 are over all labels or entities together."""


class OnFile(Strict):
    """What all checks of a file share."""

    path: WorkspacePath
    """The file, relative to the workspace."""
    fresh: bool = True
    """Only what this run wrote counts; `false` accepts a file that was there before."""


class FileSpec(OnFile):
    """The file is there, is not empty, and parses as what its name says."""

    absent: bool = False
    """Turn the check round: there must be no such file."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """The file has exactly this content; with `fresh: false`, that it was left alone."""


class TableSpec(OnFile):
    """A CSV, TSV, JSONL or Parquet file has these columns and rows."""

    columns: Annotated[list[Text], Field(min_length=1)] | None = None
    """Columns that must be there, in any order; others may be there too."""
    exact_columns: bool = False
    """These columns, in this order, and no others."""
    rows: Count | None = None
    """The number of rows, the header not counted."""
    min_rows: Count | None = None
    """At least so many rows."""
    max_rows: Count | None = None
    """At most so many rows."""
    contains_rows: Rows | None = None
    """For each entry there is a row of its own that has these values; other columns do not matter.

    Numbers are compared as numbers, text without the blanks around it, null with an empty cell.
    """
    lacks_rows: Rows | None = None
    """No row has these values."""
    ordered: bool = False
    """The rows of `contains_rows` appear in the order given."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """How far a number may be from the one given, for rounded results."""

    @model_validator(mode="after")
    def _fits_together(self) -> "TableSpec":
        if self.exact_columns and self.columns is None:
            raise refuse("`exact_columns` needs `columns`")
        if self.ordered and self.contains_rows is None:
            raise refuse("`ordered` needs `contains_rows`")
        if (self.min_rows or 0) > (self.max_rows if self.max_rows is not None else float("inf")):
            raise refuse("`min_rows` is larger than `max_rows`, so no table can pass")
        return self


class TextRules(Strict):
    """Conditions on a text; all that are given must hold."""

    contains: Texts | None = None
    """Each of these occurs in the text, in this spelling."""
    lacks: Texts | None = None
    """None of these occurs in the text."""
    equals: str | None = None
    """The text is exactly this; blanks and line breaks at its ends do not matter."""
    matches: Pattern | None = None
    """This regular expression is found in the text; `^` and `$` are the ends of the whole text."""
    min_words: Count | None = None
    """At least so many words; a Chinese or Japanese character counts as one."""
    max_words: Count | None = None
    """At most so many words; a Chinese or Japanese character counts as one."""
    max_chars: Count | None = None
    """At most so many characters."""


class TextSpec(OnFile, TextRules):
    """A text file, not empty, meets the conditions."""


class JsonSpec(OnFile):
    """A JSON file (or each line of a JSONL file) meets the conditions."""

    schema_: JsonSchema | None = Field(default=None, alias="schema")
    """It is valid under this JSON Schema."""
    equals: Any = None
    """It is exactly this value; the order of an object's keys does not matter."""
    contains: dict[str, Any] | None = None
    """It is an object that has at least these keys with these values."""

    @model_serializer(mode="wrap")
    def _without_what_was_not_said(self, proceed: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`equals: null` is a condition, so where nothing was said nothing may be written."""
        written: dict[str, Any] = proceed(self)
        if "equals" not in self.model_fields_set:
            written.pop("equals", None)
        return written


class AnswerSpec(TextRules):
    """The final answer of the run meets the conditions."""

    schema_: JsonSchema | None = Field(default=None, alias="schema")
    """The answer is JSON and valid under this JSON Schema."""

    @model_validator(mode="after")
    def _asks_something(self) -> "AnswerSpec":
        if not self.model_fields_set:
            raise refuse("`answer` says nothing; add contains, equals, matches or schema")
        return self


class MetricSpec(Strict):
    """A skill, in the version in use, reached a figure when it was measured."""

    skill: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    """The skill's name."""
    name: MetricName
    """The figure: accuracy, micro_f1, macro_f1, weighted_f1, precision, recall or entity_f1."""
    split: Literal["dev", "test"] = "test"
    """The part of the data that the figure was measured on."""
    at_least: float | None = None
    """The smallest figure that passes."""
    at_most: float | None = None
    """The largest figure that passes."""

    @model_validator(mode="after")
    def _asks_something(self) -> "MetricSpec":
        if self.at_least is None and self.at_most is None:
            raise refuse("`metric` says nothing; add at_least or at_most")
        if (self.at_least or 0) > (self.at_most if self.at_most is not None else float("inf")):
            raise refuse("`at_least` is larger than `at_most`, so no skill can pass")
        return self


def _reserved_text(kind: str) -> AfterValidator:
    def refuse_it(value: str) -> str:
        raise _later(kind)

    return AfterValidator(refuse_it)


def _later(kind: str) -> PydanticCustomError:
    return refuse(
        f"`{kind}` checks are reserved for a later version; use file, table, text, json, answer"
        " or metric"
    )


class FileCheck(Strict):
    """`file: out.txt`"""

    file: Annotated[FileSpec, BeforeValidator(_as_path, json_schema_input_type=str | FileSpec)]


class TableCheck(Strict):
    """`table: {path: out.csv, columns: [a, b], rows: 3}`"""

    table: Annotated[TableSpec, BeforeValidator(_as_path, json_schema_input_type=str | TableSpec)]


class TextCheck(Strict):
    """`text: {path: out.txt, contains: [Berlin], max_words: 80}`"""

    text: Annotated[TextSpec, BeforeValidator(_as_path, json_schema_input_type=str | TextSpec)]


class JsonCheck(Strict):
    """`json: {path: out.json, schema: out.schema.json}`"""

    json_: Annotated[JsonSpec, BeforeValidator(_as_path, json_schema_input_type=str | JsonSpec)] = (
        Field(alias="json")
    )


class AnswerCheck(Strict):
    """`answer: {contains: Paris}`"""

    answer: AnswerSpec


class MetricCheck(Strict):
    """`metric: {skill: sentiment, name: accuracy, at_least: 0.8}`"""

    metric: MetricSpec


class PythonCheck(Strict):
    """`python: checks.py:function`. Reserved for a later version."""

    python: Annotated[str, _reserved_text("python")]


class CommandCheck(Strict):
    """`command: make test`. Reserved for a later version."""

    command: Annotated[str, _reserved_text("command")]


CHECKS: dict[str, type[Strict]] = {
    "file": FileCheck,
    "table": TableCheck,
    "text": TextCheck,
    "json": JsonCheck,
    "answer": AnswerCheck,
    "metric": MetricCheck,
    "python": PythonCheck,
    "command": CommandCheck,
}
"""Every kind of check by the key that names it."""


def _kind(entry: object) -> str | None:
    """Which kind an entry is, also where a second key makes it wrong."""
    if isinstance(entry, dict):
        return next((f"check:{key}" for key in entry if key in CHECKS), None)
    return next((f"check:{key}" for key, kind in CHECKS.items() if isinstance(entry, kind)), None)


Check = Annotated[
    Annotated[FileCheck, Tag("check:file")]
    | Annotated[TableCheck, Tag("check:table")]
    | Annotated[TextCheck, Tag("check:text")]
    | Annotated[JsonCheck, Tag("check:json")]
    | Annotated[AnswerCheck, Tag("check:answer")]
    | Annotated[MetricCheck, Tag("check:metric")]
    | Annotated[PythonCheck, Tag("check:python")]
    | Annotated[CommandCheck, Tag("check:command")],
    Discriminator(
        _kind,
        custom_error_type="check_kind",
        custom_error_message="a check is a mapping with one key: " + ", ".join(CHECKS),
    ),
]
"""One entry of `success` or `audit`."""


def parts_of(check: Check) -> tuple[str, Any]:
    """A check's kind, and what it says."""
    kind = next(key for key, entry in CHECKS.items() if isinstance(check, entry))
    return kind, getattr(check, "json_" if kind == "json" else kind)
