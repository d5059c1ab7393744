"""Long results of a run, kept whole under a handle, and the tool that reads on in them."""

from typing import Annotated

from langchain_core.tools import BaseTool

from tools.base import Handle, Page, tool
from tools.context import ToolContext
from tools.errors import ToolRetry

PAGE_CHARACTERS = 3_000
"""About 750 tokens of English: what a small window takes in at once."""


class RunResults:
    """Keeps the results that were too long to show; handles are `r1`, `r2` ... by step."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def keep(self, handle: str, text: str) -> None:
        self._texts[handle] = text

    def handles(self) -> list[str]:
        return list(self._texts)

    def pages(self, handle: str) -> int:
        return -(-len(self._texts[handle]) // PAGE_CHARACTERS)

    def page(self, handle: str, number: int) -> str:
        """Page `number`, from 1, with its place. Raises ToolRetry for what does not exist."""
        if handle not in self._texts:
            known = ", ".join(self._texts) or "none"
            raise ToolRetry(f"there is no result {handle!r}; known: {known}")
        last = self.pages(handle)
        if not 1 <= number <= last:
            raise ToolRetry(f"{handle} has pages 1 to {last}, not {number}")
        start = (number - 1) * PAGE_CHARACTERS
        return f"{self._texts[handle][start : start + PAGE_CHARACTERS]}\n(page {number} of {last})"


def get_tools(context: ToolContext) -> list[BaseTool]:
    """`read_more`, which becomes possible once a result was shortened."""

    @tool(effect="read", idempotent=True, family="results", says="read on in {handle}")
    def read_more(handle: Handle, page: Annotated[int, Page(of="handle")] = 1) -> str:
        """Read on in an earlier result that was shortened.

        Args:
            handle: the handle that the shortened result named.
            page: which page of it.
        """
        return context.results.page(handle, page)

    return [read_more]
