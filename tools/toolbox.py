"""The tools of one run: what the model is shown, what it may call now, and how a call is made."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool

from tools import guards
from tools.base import ToolFacts, facts_of
from tools.errors import ToolRetry
from tools.grounding import Remembered, Schema, World, ground


class Toolbox:
    """Tools by name, in the order in which the model is shown them."""

    def __init__(
        self,
        tools: Iterable[BaseTool],
        world: World,
        *,
        spent: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Args:
        spent: names tools that have used up their budget, asked before each call.

        Raises:
            ValueError: two tools share a name.
        """
        self.world = world
        self._spent = spent
        self._tools: dict[str, BaseTool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools are named {tool.name!r}; rename one")
            self._tools[tool.name] = tool
        self._schemas = {name: arguments_schema(tool) for name, tool in self._tools.items()}
        self._facts = {name: facts_of(tool) for name, tool in self._tools.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    @property
    def names(self) -> list[str]:
        return list(self._tools)

    @property
    def tools(self) -> list[BaseTool]:
        return list(self._tools.values())

    def facts(self, name: str) -> ToolFacts:
        return self._facts[name]

    def schema(self, name: str) -> Schema:
        """JSON schema of the tool's arguments, with their grounding marks."""
        return self._schemas[name]

    def allowed(
        self,
        permitted: Callable[[str], bool],
        done: Sequence[tuple[str, Mapping[str, Any]]] = (),
    ) -> dict[str, Schema]:
        """Grounded argument schemas of every tool that can be called now.

        Args:
            permitted: False takes the tool out (denied, or out of budget).
            done: calls already made in this state of the workspace, barred from repeating.
        """
        found: dict[str, Schema] = {}
        world = Remembered(self.world)
        spent = self._spent()
        for name, schema in self._schemas.items():
            if name in spent or not permitted(name):
                continue
            repeats = [] if self._facts[name].polls else [a for n, a in done if n == name]
            grounded = ground(schema, world, repeats)
            if grounded is not None:
                found[name] = grounded
        return found

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        seconds: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> str:
        """Make the call; see `guards.call` for what it raises."""
        if name not in self._tools:
            raise ToolRetry(f"there is no tool {name!r}; the tools are {', '.join(self._tools)}")
        return guards.call(self._tools[name], arguments, seconds=seconds, cancelled=cancelled)


def arguments_schema(tool: BaseTool) -> Schema:
    """JSON schema of the arguments that the model fills in."""
    schema: Any = tool.tool_call_schema  # a dict, or a model of pydantic 1 or 2
    found = schema if isinstance(schema, dict) else schema.model_json_schema()
    return {k: v for k, v in found.items() if k not in ("title", "description")}
