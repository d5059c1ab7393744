"""What stands around every tool call: a time limit, a size limit, and clean text.

Covered: a tool that raises, hangs, answers with bytes, control characters or a gigabyte.
Not covered: a tool that eats all memory or never returns the processor (the sandbox issue); a
tool that hung goes on in its thread, only the run no longer waits for it.
"""

import queue
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from langchain_core.tools import BaseTool
from pydantic import ValidationError

from memory.errors import StoreError
from tools.errors import ToolError, ToolFailed, ToolHung, ToolRetry, ToolStopped

RESULT_LIMIT = 1_000_000
"""Characters of a result that are kept; the rest is cut and counted."""
_POLL_SECONDS = 0.05

# Everything a terminal or a tokenizer could take for a command, except newline and tab.
_CONTROL = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def call(
    tool: BaseTool,
    arguments: Mapping[str, Any],
    *,
    seconds: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Run the tool in a thread of its own and return its result as clean, bounded text.

    Args:
        seconds: wait at most so long.
        cancelled: asked while waiting; True stops the wait.

    Raises:
        ToolRetry: the arguments do not fit.
        ToolFailed: the tool raised.
        ToolHung: it did not answer in time; it goes on in its thread.
        ToolStopped: it was cancelled; it goes on in its thread until the process ends.
        StoreError: a disk is full or broken, which no other call will mend.
    """
    outcome: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put(_text(tool.invoke(dict(arguments))))
        except BaseException as error:
            outcome.put(error)

    threading.Thread(target=work, name=f"tool-{tool.name}", daemon=True).start()
    waited = 0.0
    while True:
        try:
            result = outcome.get(timeout=min(_POLL_SECONDS, max(seconds - waited, 0.001)))
            break
        except queue.Empty:
            waited += _POLL_SECONDS
            if cancelled():
                raise ToolStopped(f"{tool.name} was stopped by the user") from None
            if waited >= seconds:
                raise ToolHung(f"{tool.name} did not answer within {seconds:.0f} s") from None
    if isinstance(result, ToolError | StoreError):
        raise result
    if isinstance(result, ValidationError):
        raise ToolRetry(_invalid(tool.name, result)) from result
    if isinstance(result, BaseException):
        raise ToolFailed(
            f"{tool.name} failed: {type(result).__name__}: {_clean(str(result))[:500]}"
        )
    return result


def _text(result: object) -> str:
    if isinstance(result, bytes):
        return f"({len(result)} bytes of binary data)"
    text = result if isinstance(result, str) else repr(result)
    cut = len(text) - RESULT_LIMIT
    text = _clean(text[:RESULT_LIMIT])
    return f"{text}\n({cut} more characters were cut)" if cut > 0 else text


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text).encode("utf-8", "replace").decode("utf-8")


def _invalid(name: str, error: ValidationError) -> str:
    parts = [f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()]
    return f"{name} was called wrongly: " + "; ".join(parts)
