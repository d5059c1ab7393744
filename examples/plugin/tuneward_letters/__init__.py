"""Tools that count letters; found by Tuneward through the entry point in pyproject.toml."""

from collections import Counter

from langchain_core.tools import BaseTool

from tools.context import ToolContext
from tuneward import ExistingFile, ToolRetry, tool


def get_tools(context: ToolContext) -> list[BaseTool]:
    """Called once for each run, with that run's workspace."""

    @tool(effect="read", says="count a letter in {path}")
    def count_letter(path: ExistingFile, letter: str) -> str:
        """Count how often a letter occurs in a file. Case does not matter.

        Args:
            path: the file to count in.
            letter: one letter.
        """
        if len(letter) != 1:
            raise ToolRetry(f"letter is {letter!r}; give one letter, such as e")
        counts = Counter(context.workspace.read_text(path).lower())
        return f"{letter} occurs {counts[letter.lower()]} times in {path}"

    return [count_letter]
