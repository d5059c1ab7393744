"""Ctrl-C and the signals that mean it, for a run that a person or a shell waits for.

Once stops the step: the run ends as interrupted and can be resumed. Twice ends the wait as well.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agent.interrupt import SIGNALS, Interrupt


class Keys(Interrupt):
    """The wish to stop, kept until whoever waits for the run says `reset`."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0
        self.last: int | None = None
        """The signal that came last."""

    @property
    def leave(self) -> bool:
        """Pressed twice, or a signal that is no key: the whole command is to end."""
        return self.times > 1 or self.last not in (None, signal.SIGINT)

    def clear(self) -> None:
        """Nothing: a run that begins must not forget a key that was pressed while it loaded."""

    def reset(self) -> None:
        """Begin anew, before the next goal of a person."""
        self.requested, self.times, self.last = False, 0, None

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take the signals; one that was ignored (nohup) stays ignored."""

        def handle(number: int, frame: FrameType | None) -> None:
            self.times += 1
            self.last = number
            self.request()
            if self.times > 1 or self.immediate:
                raise KeyboardInterrupt

        before = {
            number: signal.signal(number, handle)
            for number in SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
