"""Runs the command `tuneward` as a user would, in a process of its own, many times and fast.

What takes long is importing, so one process imports everything once and forks for each command. The
child has its own folder, environment and streams; a scripted model may take the place of a loaded
one, at a pace like that of a real model.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
"""Seconds after which a command that does not end is killed, and its test fails."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    """From the signal to the end, or from the start where no signal was sent."""

    @property
    def last(self) -> str:
        """The last line on stderr."""
        return self.stderr.rstrip("\n").rpartition("\n")[2]


class Commands:
    """Starts commands one after another."""

    def __init__(self, folder: Path, home: Path) -> None:
        """Args:
        folder: where commands run, and where their streams are kept.
        home: TUNEWARD_HOME.
        """
        self.folder = folder
        self.home = home
        self._streams = folder.parent / f"{folder.name}-streams"
        self._streams.mkdir(exist_ok=True)
        self._server: subprocess.Popen[str] | None = None

    def __call__(
        self,
        *arguments: str,
        replies: Sequence[Any] | None = None,
        given: bytes = b"",
        cwd: Path | None = None,
        pace: float = 0.0,
        meanwhile: Callable[[int], None] | None = None,
        **environ: str,
    ) -> Ended:
        """Run `tuneward ARGUMENTS` to its end.

        Args:
            replies: what a scripted model says; None loads a model as the user would.
            given: standard input.
            pace: seconds that the scripted model takes for a token.
            meanwhile: gets the process id while it works, to send it a signal.
        """
        streams = {name: str(self._streams / name) for name in ("stdin", "stdout", "stderr")}
        Path(streams["stdin"]).write_bytes(given)
        for name in ("stdout", "stderr"):
            Path(streams[name]).write_bytes(b"")
        order = {
            "arguments": [os.fsencode(word).decode("latin-1") for word in arguments],
            "replies": replies,
            "pace": pace,
            "folder": str(cwd or self.folder),
            "environ": {"TUNEWARD_HOME": str(self.home), **environ},
            **streams,
        }
        server = self._running()
        assert server.stdin is not None
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        process = int(self._answer(0))
        if meanwhile is not None:
            meanwhile(process)
        started = time.monotonic()
        code = int(self._answer(process))
        seconds = time.monotonic() - started
        printed = [Path(streams[n]).read_text(errors="replace") for n in ("stdout", "stderr")]
        return Ended(code, printed[0], printed[1], seconds)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something can be seen of the command."""
        give_up = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < give_up, self.said
            time.sleep(0.01)

    @property
    def said(self) -> str:
        """What the command has printed to stderr so far."""
        return (self._streams / "stderr").read_text(errors="replace")

    def run_ids(self) -> list[str]:
        """All runs that left a folder, oldest first."""
        runs = self.home / "runs"
        return sorted(path.name for path in runs.iterdir()) if runs.is_dir() else []

    def close(self) -> None:
        if self._server is not None:
            assert self._server.stdin is not None
            assert self._server.stdout is not None
            self._server.stdin.close()
            self._server.wait(timeout=PATIENCE)
            self._server.stdout.close()

    def _running(self) -> "subprocess.Popen[str]":
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        return self._server

    def _answer(self, process: int) -> str:
        """The server's next line; a command that hangs is killed first."""
        server = self._running()
        assert server.stdout is not None
        if process and not select.select([server.stdout], [], [], PATIENCE)[0]:
            os.kill(process, signal.SIGKILL)
        return server.stdout.readline()


def finish(answer: str = "all done") -> dict[str, Any]:
    """The call that ends a run."""
    return call("finish", answer=answer)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A scripted tool call."""
    return {"name": name, "arguments": arguments}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones and rubbish of broken-off writes included."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def serve() -> None:
    """Fork a child for each order on stdin; print its process id, then its exit code."""
    sys.path.insert(0, str(ROOT))
    from agent.commands import headless, session
    from models import chat

    assert headless, session
    assert chat
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.exit(_carry_out(order))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _carry_out(order: Mapping[str, Any]) -> int:
    from agent.cli import main

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND
        os.dup2(os.open(order[name], flags), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 # the server has read ahead in the old one
    os.chdir(order["folder"])
    os.environ.update({"TUNEWARD_MEMORY": "off", **order["environ"]})
    if order["replies"] is not None:
        _put_in_script(order["replies"], order["pace"])
    return main([os.fsdecode(word.encode("latin-1")) for word in order["arguments"]])


def _put_in_script(replies: Sequence[Any], pace: float) -> None:
    import models.load
    from models.chat import ScriptedModel

    model = ScriptedModel(replies)
    network: Any = model.engine.network
    scores_after = network.scores_after

    def slowly(ids: Sequence[int]) -> Any:
        time.sleep(pace)
        return scores_after(ids)

    network.scores_after = slowly
    models.load.load_chat = lambda *_, **__: model


if __name__ == "__main__":
    serve()
