"""Where progress and runs are drawn: a rich console whose reader may go away."""

import errno
import os

from rich.console import Console as RichConsole


class Console(RichConsole):
    """Raises BrokenPipeError like any stream, where rich would end the process by itself."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
