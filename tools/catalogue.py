"""Every tool that comes with Tuneward: one line a family, in the order in which models see them."""

from collections.abc import Callable

from langchain_core.tools import BaseTool

from tools import (
    data,
    documents,
    documents_memory,
    files,
    notes,
    reader,
    results,
    skills,
    tuning_tools,
)
from tools.context import ToolContext

FAMILIES: dict[str, Callable[[ToolContext], list[BaseTool]]] = {
    "files": files.get_tools,
    "results": results.get_tools,
    "data": data.get_tools,
    "documents": documents.get_tools,
    "documents_memory": documents_memory.get_tools,
    "reader": reader.get_tools,
    "notes": notes.get_tools,
    "skills": skills.get_tools,
    "tuning_tools": tuning_tools.get_tools,
}


def built_in(context: ToolContext) -> list[BaseTool]:
    """All built-in tools of a run, without the control tools."""
    return [tool for get_tools in FAMILIES.values() for tool in get_tools(context)]
