"""Streams that are closed, that nobody reads to the end, or in a language without UTF-8."""

import json
from typing import Any

import pytest

from tests.house.commands import Commands, call, finish
from tests.house.processes import scripted, started
from tests.house.refusals import GOAL


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "NO_COLOR": "1", "TERM": "dumb"},
    ],
    ids=["C"],
)
def test_a_language_without_utf8_takes_and_gives_the_same_words(
    command: Commands, environ: dict[str, Any]
) -> None:
    name = "數據 ünï.txt"
    (command.folder / "work" / name).write_text("zwei\n")
    replies = [call("read_file", path=name), finish("表 é \u202e")]
    words = scripted(command, replies, f"Lies {name}", "-w", "work", "--json")
    ended = started(command, *words, **environ)
    assert ended.code == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert events[0]["goal"] == f"Lies {name}"
    assert next(e for e in events if e["type"] == "tool_returned")["ok"]
    assert events[-1]["answer"] == "表 é \u202e"
    assert "\x1b" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- 2>&-"])
def test_streams_that_are_closed(command: Commands, closed: str) -> None:
    words = scripted(command, [finish()], *GOAL)
    ended = started(command, *words, prefix=("sh", "-c", f'exec "$0" "$@" {closed}'))
    assert ended.code == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "all done\n")
    (run,) = command.run_ids()
    shown = json.loads(command("runs", "show", run, "--json").stdout)
    assert shown["events"][-1]["status"] == "finished_unchecked"


@pytest.mark.parametrize("output", ["", "2>&1 >/dev/null"], ids=["events", "view"])
def test_a_reader_that_takes_one_line_interrupts_the_run(command: Commands, output: str) -> None:
    replies = [call("list_files"), call("read_file", path="notes.txt"), finish()]
    words = scripted(command, replies, *GOAL, *(() if output else ("--json",)))
    script = f'("$0" "$@" {output}; echo $? >code) | head -1'
    ended = started(command, *words, prefix=("sh", "-c", script))
    assert len(ended.stdout.splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert (command.folder / "code").read_text() == "130\n"
    (run,) = command.run_ids()
    shown = json.loads(command("runs", "show", run, "--json").stdout)
    assert shown["events"][-1]["status"] == "interrupted"
    assert command("resume", run, replies=[finish()]).code == 0
