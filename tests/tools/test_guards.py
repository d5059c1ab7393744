"""A tool may raise, hang, flood or answer in bytes; the run sees clean, bounded text."""

import threading

import pytest

from tools import guards
from tools.base import tool
from tools.errors import ToolFailed, ToolRetry


def answering(value: object) -> object:
    @tool(effect="read")
    def odd() -> object:
        """Answer oddly."""
        if isinstance(value, BaseException):
            raise value
        return value

    return odd


def run(value: object, seconds: float = 5) -> str:
    return guards.call(answering(value), {}, seconds=seconds)  # type: ignore[arg-type]


def test_control_characters_and_escapes_are_taken_out() -> None:
    assert run("a\x1b[31mred\x1b]0;title\x07\x00b\r\nc\x9b") == "aredb\nc"


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert run("x\ud800y") == "x?y"


def test_bytes_are_named_not_shown() -> None:
    assert run(b"\x00\x01") == "(2 bytes of binary data)"


def test_a_flood_is_cut_and_counted() -> None:
    text = run("x" * 100_000_000)
    assert len(text) < guards.RESULT_LIMIT + 100
    assert text.endswith("(99000000 more characters were cut)")


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_tool_raises_is_an_observation(error: BaseException) -> None:
    with pytest.raises(ToolFailed, match=type(error).__name__):
        run(error)


def test_the_tools_own_words_pass_unchanged() -> None:
    with pytest.raises(ToolRetry, match="^name a file$"):
        run(ToolRetry("name a file"))


def test_wrong_arguments_are_the_models_to_correct() -> None:
    with pytest.raises(ToolRetry, match="number"):
        guards.call(typed, {"number": "many"}, seconds=5)


@tool(effect="read")
def typed(number: int) -> str:
    """Take a number.

    Args:
        number: the number.
    """
    return str(number)


def test_a_tool_that_hangs_is_left_behind() -> None:
    release = threading.Event()

    @tool(effect="read")
    def hang() -> str:
        """Hang."""
        release.wait(20)
        return "late"

    try:
        with pytest.raises(ToolFailed, match="did not answer within"):
            guards.call(hang, {}, seconds=0.2)
        with pytest.raises(ToolFailed, match="stopped by the user"):
            guards.call(hang, {}, seconds=20, cancelled=lambda: True)
    finally:
        release.set()
