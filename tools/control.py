"""The ways to end or pause a run: finish, ask_user, cannot. The loop carries them out."""

from typing import Any

from langchain_core.tools import BaseTool, StructuredTool

from tools.base import ToolFacts, attach

FINISH, ASK_USER, CANNOT = "finish", "ask_user", "cannot"
CONTROL = (FINISH, ASK_USER, CANNOT)

_TEXT = {"type": "string", "minLength": 1, "maxLength": 1000}


def _control(name: str, description: str, argument: str, schema: dict[str, Any]) -> BaseTool:
    def unreachable(**arguments: Any) -> str:
        raise AssertionError(f"{name} is carried out by the loop")

    made = StructuredTool(
        name=name,
        description=description,
        args_schema={
            "type": "object",
            "properties": {argument: schema},
            "required": [argument],
            "additionalProperties": False,
        },
        func=unreachable,
    )
    return attach(made, ToolFacts("read", declared=True, family="control"))


def get_tools(output_schema: dict[str, Any] | None = None) -> list[BaseTool]:
    """The three control tools; `finish` answers by `output_schema` where the goal has one."""
    answer = output_schema or {**_TEXT, "description": "the answer, or what was done."}
    return [
        _control(
            FINISH,
            "Call this when the whole goal is reached. Gives the answer and ends the run.",
            "answer",
            answer,
        ),
        _control(
            ASK_USER,
            "Ask the user one question, only when the goal cannot be understood without it.",
            "question",
            {**_TEXT, "description": "the question."},
        ),
        _control(
            CANNOT,
            "Give up: the goal is impossible or forbidden with these tools and files.",
            "reason",
            {**_TEXT, "description": "what makes it impossible."},
        ),
    ]
