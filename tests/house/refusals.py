"""What every refusal has in common, and the small workspace that it leaves as it was."""

from agent.safe_text import safe_text
from tests.house.commands import Commands, Ended, contents

WORK = {"notes.txt": b"one\ntwo\n"}
"""What is in the workspace `work` before any command."""
GOAL = ("Do it", "-w", "work")
"""The words of a command with a goal in that workspace."""


def must_be_refused(command: Commands, ended: Ended, code: int, *said: str) -> None:
    """It ended before any run began, and said why in its last line."""
    assert ended.code == code, ended.stderr
    assert ended.stdout == "", ended.stdout
    must_be_clear(ended, *said)
    assert contents(command.folder / "work") == WORK, "the workspace was changed"
    assert command.run_ids() == [], "a run began"


def must_be_clear(ended: Ended, *said: str) -> None:
    """Its last line says all of `said`; nothing on stderr is a traceback or moves the cursor."""
    assert "Traceback" not in ended.stderr, ended.stderr
    for words in said:
        assert words in ended.last, f"{words!r} is not in {ended.last!r}"
    assert ended.stderr == safe_text(ended.stderr), ascii(ended.stderr)
    assert len(ended.last) < 1_000, ended.last
