"""What a tool is: a LangChain tool with an effect, and argument types that the host can ground.

    @tool(effect="read", says="read {path}")
    def first_line(path: ExistingFile) -> str:
        '''Show the first line of a file.

        Args:
            path: the file to look into.
        '''

The docstring is read by the model. The argument types say which values exist: the grammar of a
tool call then offers only those (`tools/grounding.py`).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, get_args, overload

from langchain_core.tools import BaseTool
from langchain_core.tools import tool as langchain_tool
from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Effect = Literal["read", "remember", "write", "delete", "train", "execute", "network", "outside"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)

GROUND_KEY = "x-ground"
"""The JSON-Schema key under which an argument's grounding travels; models never see it."""


@dataclass(frozen=True)
class Ground:
    """Marks an argument as one of the values that exist; see `tools/grounding.py` for the kinds."""

    kind: str
    of: str | None = None
    """The earlier argument that this one depends on: the table of a column, the file of a page."""
    suffixes: tuple[str, ...] = ()
    """For files: only names that end so; empty takes every file."""
    beside: str | None = None
    """An earlier argument with a fixed choice on which it depends whether values are limited."""
    when: tuple[str, ...] = ()
    """What `beside` must be for that; with any other choice the value is free."""
    task: str | None = None
    """For skills: only those for this kind of task."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        facts = {key: value for key, value in asdict(self).items() if value}
        return {**schema, GROUND_KEY: facts}


TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
DOCUMENT_SUFFIXES = (".pdf", ".docx", ".html", ".htm")

ExistingFile = Annotated[str, Ground("file")]
"""A file that exists in the workspace."""
ExistingTable = Annotated[str, Ground("file", suffixes=TABLE_SUFFIXES)]
"""An existing CSV, TSV, JSONL or Parquet file."""
ExistingDocument = Annotated[str, Ground("file", suffixes=DOCUMENT_SUFFIXES)]
"""An existing PDF, DOCX or HTML file."""
ExistingFolder = Annotated[str, Ground("folder")]
"""A folder that exists in the workspace; `.` is the workspace itself."""
NewFile = Annotated[str, Ground("new_file")]
"""A file to write: one that the goal names, one that this run wrote, or a new legal name."""
NewTable = Annotated[str, Ground("new_file", suffixes=TABLE_SUFFIXES)]
"""A table file to write: as `NewFile`, with a table's ending."""
SkillName = Annotated[str, Ground("skill")]
"""A registered skill."""
Handle = Annotated[str, Ground("handle")]
"""The handle of an earlier, shortened result."""


def Column(of: str) -> Ground:
    """A column of the table that argument `of` names."""
    return Ground("column", of)


def Value(of: str, *, beside: str | None = None, when: tuple[str, ...] = ()) -> Ground:
    """A value found in the column that argument `of` names; free where they are many.

    With `beside="comparison", when=("equals",)` it is free too unless `comparison` is `equals`.
    """
    return Ground("value", of, beside=beside, when=when)


def Page(of: str) -> Ground:
    """A page number of the file that argument `of` names, from 1."""
    return Ground("page", of)


@dataclass(frozen=True)
class ToolFacts:
    """What the host knows about a tool besides its name and schema."""

    effect: Effect = "execute"
    declared: bool = False
    """False where the tool said nothing; its effect then counts as `execute`."""
    idempotent: bool = False
    """Doing it again after a crash gives the same result, so `resume` may."""
    polls: bool = False
    """Asking again makes sense, so a repeat is neither barred nor counted."""
    family: str = "plugin"
    says: str = ""
    """Its effect as a sentence with the arguments in braces: `write {path}`."""


_KEY = "tuneward"


def facts_of(tool: BaseTool) -> ToolFacts:
    """The facts that `@tool` attached, or the cautious default for any other LangChain tool."""
    facts = (tool.metadata or {}).get(_KEY)
    return ToolFacts(**facts) if facts is not None else ToolFacts()


def attach(tool: BaseTool, facts: ToolFacts) -> BaseTool:
    """Give a LangChain tool its facts, in place."""
    tool.metadata = {**(tool.metadata or {}), _KEY: asdict(facts)}
    return tool


@overload
def tool(function: Callable[..., Any]) -> BaseTool: ...
@overload
def tool(
    *,
    effect: Effect | None = None,
    name: str | None = None,
    idempotent: bool = False,
    polls: bool = False,
    family: str = "plugin",
    says: str = "",
) -> Callable[[Callable[..., Any]], BaseTool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    *,
    effect: Effect | None = None,
    name: str | None = None,
    idempotent: bool = False,
    polls: bool = False,
    family: str = "plugin",
    says: str = "",
) -> BaseTool | Callable[[Callable[..., Any]], BaseTool]:
    """Make a tool of a typed function with a Google-style docstring.

    Args:
        effect: what the tool does to the world. Undeclared counts as `execute`.
        name: the tool's name; the function's own where left out.
        idempotent: doing it twice gives what doing it once gives.
        polls: calling it again unchanged makes sense (a job's progress, say).
        family: the group that a goal file's `tools:` may name.
        says: the effect as a sentence, arguments in braces: `"write {path}"`.

    Raises:
        ValueError: `effect` is none of the eight words, or the function has no docstring.
    """
    if effect is not None and effect not in EFFECTS:
        raise ValueError(f"effect {effect!r} is none of {', '.join(EFFECTS)}")

    def make(target: Callable[..., Any]) -> BaseTool:
        made = langchain_tool(
            name or target.__name__,
            parse_docstring=True,
            error_on_invalid_docstring=False,
        )(target)
        facts = ToolFacts(effect or "execute", effect is not None, idempotent, polls, family, says)
        return attach(made, facts)

    return make(function) if function is not None else make
