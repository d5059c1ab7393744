"""The wish to stop, set from a signal handler or a key and looked at by everything that waits."""

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that mean it."""


class Interrupt:
    """Once requested, the model stops within a token and a tool is no longer waited for."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        self.requested = True

    def clear(self) -> None:
        """Forget the wish, as a run begins."""
        self.requested = False
