"""Skills as tools: which there are, one on a text, one on every row of a table, entities of a file.

Nothing heavy is imported before a skill is asked.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import polars as pl
from langchain_core.tools import BaseTool
from pydantic import Field

from tools.base import Column, ExistingFile, Ground, NewTable, SkillName, tool
from tools.context import ToolContext
from tools.errors import ToolFailed, ToolRetry
from tools.pages import pages_of
from tools.table_files import table_bytes
from tools.table_show import count_text, show

if TYPE_CHECKING:
    from tools.tuning.examples import Input, Prediction
    from tools.tuning.methods.base import Method
    from tools.tuning.skill_shelf import SkillShelf

INPUT_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")
OUTPUT_SUFFIXES = (".csv", ".tsv", ".jsonl")
APPLY_SECONDS = 110.0
"""A tool is waited for 120 s; a longer file is for `tuneward skills apply`."""
LINES = 20_000
"""Lines of a file that entities are looked for in."""

Classifier = Annotated[str, Ground("skill", task="classification")]
Tagger = Annotated[str, Ground("skill", task="ner")]
Types = Annotated[
    list[Annotated[str, Ground("label", of="skill")]], Field(min_length=1, max_length=30)
]
Rows = Annotated[str, Ground("file", suffixes=INPUT_SUFFIXES)]
NewAnswers = Annotated[str, Ground("new_file", suffixes=OUTPUT_SUFFIXES)]


def get_tools(context: ToolContext) -> list[BaseTool]:
    """The family `skills`; nothing where the run has none and can make none."""
    if context.skills is None:
        return []
    shelf, workspace, pages = context.skills, context.workspace, pages_of(context.workspace)

    @tool(effect="read", family="skills", says="list the skills")
    def list_skills() -> str:
        """List the trained skills: what each one does and how well it was measured."""
        return "\n".join(shelf.lines()) or "There are no skills yet."

    @tool(effect="write", idempotent=True, family="skills", says="write {save_as} with {skill}")
    def apply_skill(
        skill: SkillName,
        path: Rows,
        save_as: NewAnswers,
        text_column: Annotated[str, Column(of="path")] = "",
    ) -> str:
        """Let a skill answer every row of a table; saves the rows with a label and a score each.

        Args:
            skill: the skill to use.
            path: the table, or a text file with one text a line.
            save_as: the table file to write.
            text_column: the column with the text.
        """
        if not save_as.lower().endswith(OUTPUT_SUFFIXES):
            raise ToolRetry(
                f"save_as {save_as!r} is no file for answers; its name must end with "
                + ", ".join(OUTPUT_SUFFIXES)
            )
        if save_as == path:
            raise ToolRetry(f"{save_as} is the table that is read; save under another name")
        workspace.check_writable(save_as)
        with copied(context, path) as source:
            target = source.with_name(f"answers{Path(save_as).suffix.lower()}")
            with said_plainly(path):
                _, method = shelf.method(skill)
                done = _apply(method, source, target, text_column)
            workspace.write_bytes(save_as, target.read_bytes())
        frame = context.tables.frame(save_as)
        answered = [name for name in done if name in frame.columns]
        shares = _shares(frame, answered)
        return (
            f"Wrote {count_text(frame.height, 'row')} to {save_as}, with {', '.join(answered)}."
            f"{shares}\n{show(frame, rows=3)}"
        )

    @tool(effect="read", family="skills", says="ask {skill} about a text")
    def classify_text(skill: Classifier, text: str) -> str:
        """Say which label a text has, with a skill; shows how sure it is.

        Args:
            skill: the skill to use.
            text: the text.
        """
        if not text.strip():
            raise ToolRetry("the text is empty; give the text to classify")
        with said_plainly():
            found, method = shelf.method(skill)
            answer = _answers(method, [text])[0]
        if found.card.task.kind != "classification":
            raise ToolRetry(f"{skill} finds entities; use extract_entities")
        label = answer["label"]
        name = ", ".join(label) or "none" if isinstance(label, list) else label
        return f"{name} (score {answer['score']:.2f})"

    @tool(effect="write", idempotent=True, family="skills", says="find entities in {path}")
    def extract_entities(
        skill: Tagger,
        path: ExistingFile,
        types: Types,
        save_as: NewTable = "",
    ) -> str:
        """Find the names of people, places and so on in a file, with a skill.

        Args:
            skill: the skill to use.
            path: the text file or document to read.
            types: the kinds of entities that are wanted.
            save_as: a table file to write, one row an entity; left out, they are only shown.
        """
        if save_as:
            workspace.check_writable(save_as)
        lines = pages.text(path).splitlines()
        if len(lines) > LINES:
            raise ToolFailed(f"{path} has {len(lines):,} lines; at most {LINES:,} are searched")
        with said_plainly():
            found, method = shelf.method(skill)
            if found.card.task.kind != "ner":
                raise ToolRetry(f"{skill} classifies texts; use classify_text")
            known = found.card.task.labels
            if unknown := [type_ for type_ in types if type_ not in known]:
                raise ToolRetry(f"{skill} knows no {unknown[0]!r}; it finds {', '.join(known)}")
            frame = _entities(method, lines, set(types))
        if save_as:
            workspace.write_bytes(save_as, table_bytes(save_as, frame))
            wrote = f"Wrote {count_text(frame.height, 'row')} to {save_as}.\n"
        else:
            wrote = ""
        number = "1 entity" if frame.height == 1 else f"{frame.height} entities"
        return f"{wrote}{number} in {path}.\n{show(frame, rows=30)}"

    return [list_skills, apply_skill, classify_text, extract_entities]


@contextmanager
def copied(context: ToolContext, path: str) -> Iterator[Path]:
    """The workspace's file in a folder of our own, under its own ending: nothing can swap it."""
    with tempfile.TemporaryDirectory(prefix="tuneward-") as folder:
        copy = Path(folder) / f"input{Path(path).suffix.lower()}"
        with context.workspace.open(path) as file, copy.open("wb") as out:
            while piece := file.read(1 << 20):
                out.write(piece)
        yield copy


@contextmanager
def said_plainly(path: str = "the file") -> Iterator[None]:
    """What goes wrong with skills, models and data, as what the model is shown.

    Args:
        path: the file by the name that the model knows; errors name our copy of it.
    """
    from models.errors import ModelError
    from tools.tuning.errors import DataError, TuningError

    try:
        yield
    except DataError as error:
        text = str(error).replace(error.path, path, 1) if error.path else str(error)
        raise ToolRetry(text) from error
    except (TuningError, ModelError) as error:
        raise ToolFailed(str(error)) from error


def _apply(method: "Method", source: Path, target: Path, text_column: str) -> tuple[str, ...]:
    from tools.tuning.apply import apply_file
    from tools.tuning.errors import BudgetSpent

    hurried = cast("Method", _Hurried(method, time.monotonic() + APPLY_SECONDS))
    try:
        return apply_file(hurried, source, target, text_column=text_column or None).columns
    except BudgetSpent as error:
        raise ToolFailed(
            f"{error}; a file as long as this is for the command `tuneward skills apply`"
        ) from error


class _Hurried:
    """A method that gives up in time: a tool that nobody waits for any more must not write."""

    def __init__(self, method: "Method", deadline: float) -> None:
        from tools.tuning.methods.base import Bench

        self.task = method.task
        self._method = method
        self._bench = Bench(Path(), deadline=deadline)

    def predict(self, inputs: "Sequence[Input]") -> "list[Prediction]":
        from tools.tuning.race import predict_all

        return predict_all(self._method, inputs, self._bench)


def _answers(method: "Method", texts: list[str]) -> list[dict[str, Any]]:
    from tools.tuning.apply import answers
    from tools.tuning.input_rows import text_input

    rows = [text_input(text, method.task, line=i) for i, text in enumerate(texts, 1)]
    return [dict(answer) for _, answer in answers(method, rows)]


def _entities(method: "Method", lines: list[str], types: set[str]) -> pl.DataFrame:
    """One row an entity: type, text, line, score."""
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    answered = _answers(method, [line for _, line in numbered])
    rows = [
        {
            "type": each["type"],
            "text": each["text"],
            "line": number,
            "score": round(each["score"], 3),
        }
        for (number, _), answer in zip(numbered, answered, strict=True)
        for each in answer["entities"]
        if each["type"] in types
    ]
    schema = {"type": pl.String, "text": pl.String, "line": pl.Int64, "score": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


def _shares(frame: pl.DataFrame, answered: list[str]) -> str:
    """How often each label was given, where they are few."""
    column = next((name for name in answered if name.endswith("label")), None)
    if column is None or frame[column].n_unique() > 20:
        return ""
    counts = frame[column].cast(pl.String).value_counts(sort=True)
    told = ", ".join(f"{label}: {count}" for label, count in counts.rows())
    return f" {told}."


def shelf_of(context: ToolContext) -> "SkillShelf":
    """The run's skills.

    Raises:
        ToolFailed: it has none.
    """
    if context.skills is None:
        raise ToolFailed("this run has no skills")
    return context.skills
