"""A tool in one file.

    tuneward tools check examples/one_file_tool.py
    tuneward "Count the words of notes.txt" --tools examples/one_file_tool.py

It reads through the context's workspace, so it cannot leave that folder.
"""

from langchain_core.tools import BaseTool

from tools.context import ToolContext
from tuneward import ExistingFile, tool


def get_tools(context: ToolContext) -> list[BaseTool]:
    """Called once for each run, with that run's workspace."""

    @tool(effect="read", says="count the words of {path}")
    def count_words(path: ExistingFile) -> str:
        """Count the words of a file.

        Args:
            path: the file to count in.
        """
        words = context.workspace.read_text(path).split()
        return f"{path} has {len(words)} words"

    return [count_words]
