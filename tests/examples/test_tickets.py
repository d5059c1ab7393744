"""The tickets of the first goal in the README: whichever tool counts, the number is the same."""

from pathlib import Path

from tools.catalogue import built_in
from tools.context import ToolContext
from tools.workspace import Workspace

TICKETS = Path(__file__).parents[2] / "examples" / "tickets"


def test_every_way_of_counting_the_mentions_of_a_refund_agrees() -> None:
    tools = {tool.name: tool for tool in built_in(ToolContext(Workspace(TICKETS)))}

    def call(name: str, **arguments: str) -> str:
        return str(tools[name].invoke(arguments))

    path = "tickets.csv"
    said = {"path": path, "column": "message", "comparison": "contains", "value": "refund"}
    assert call("count_mentions", path=path, text="refund") == "10 of 40 rows"
    assert call("count_rows", **said) == "10 of 40 rows"
    assert call("search_text", text="refund", path=path).startswith("10 lines")
