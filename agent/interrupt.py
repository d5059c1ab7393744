"""The wish to stop, set from a signal handler or a key and looked at by everything that waits."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that mean it."""


AGAIN_SECONDS = 0.5
"""After so long a signal that has not ended the wait is given once more."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: not this step but the whole command is to end."""


def stop_at_once(number: int, frame: FrameType | None) -> None:
    """Handle a signal where nothing has to be brought to an end first."""
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


@contextmanager
def waiting_for_a_person() -> Iterator[None]:
    """Let every signal end the wait for a line; whoever watched the signals hears of it first."""

    pending: list[threading.Timer] = []

    def handle(number: int, frame: FrameType | None) -> None:
        first = not pending
        # What is raised while a finalizer runs is lost, and the wait would go on. The command's own
        # handler raises too, so this comes before it.
        pending.append(threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)))
        pending[-1].daemon = True
        pending[-1].start()
        earlier = before[number]
        if first and callable(earlier):
            earlier(number, frame)
        stop_at_once(number, frame)

    before: dict[int, object] = {
        number: signal.getsignal(number)
        for number in SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for timer in pending:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what getsignal gave


class Interrupt:
    """Once requested, the model stops within a token and a tool is no longer waited for."""

    def __init__(self) -> None:
        self.requested = False
        self.immediate = False
        """Nothing has begun that needs an end of its own: a signal may break off at once."""

    def request(self) -> None:
        self.requested = True

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal break off what is done here; only the main thread can be broken off."""
        self.immediate = threading.current_thread() is threading.main_thread()
        try:
            yield
        finally:
            self.immediate = False

    def clear(self) -> None:
        """Forget the wish, as a run begins."""
        self.requested = False
