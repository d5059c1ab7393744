"""The tool that reads PDF, Word and HTML documents as text."""

from typing import Annotated

from langchain_core.tools import BaseTool

from tools.base import ExistingDocument, Page, tool
from tools.context import ToolContext
from tools.files import page_text


def get_tools(context: ToolContext) -> list[BaseTool]:
    """The family `documents`."""

    @tool(effect="read", family="documents", says="read {path}")
    def document_text(path: ExistingDocument, page: Annotated[int, Page(of="path")] = 1) -> str:
        """Read the text of a PDF, Word or HTML document. Long ones have several pages.

        Args:
            path: the document to read.
            page: which page of it, from 1.
        """
        return page_text(context, path, page)

    return [document_text]
