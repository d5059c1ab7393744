"""What can go wrong with a model, and who acts next.

ModelError
├── ModelUnavailable    the person: not installed, broken, wrong hash (exit code 3)
│   ├── ConnectionLost  the person, after our own retries: index, hub or endpoint not reached
│   └── DiskFull        the person: no room for the model's files (status `disk_full`)
├── OutOfMemory         the person: a smaller model, 4-bit, fewer tokens (exit code 3, status `oom`)
├── DeviceLost          the person: the GPU went away (exit code 3, status `device_lost`)
├── ContextTooLong      us: the caller must trim first; says by how many tokens
├── ReplyNotUnderstood  the model: the reply did not parse or validate; asked again
└── Cancelled           nobody: generation was stopped from outside
"""


class ModelError(Exception):
    """A failure of a model, with a message that names the way out."""


class ModelUnavailable(ModelError):
    """The model cannot be loaded; the message says why and which command mends it."""


class ConnectionLost(ModelUnavailable):
    """The other side was not reached; we retry this one before the person hears of it."""


class DiskFull(ModelUnavailable):
    """The disk has no room for the model's files."""


class OutOfMemory(ModelError):
    """The machine has no room for the model or its cache."""


class DeviceLost(ModelError):
    """The accelerator stopped answering."""


class ContextTooLong(ModelError):
    """The prompt does not fit the model's window."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"the prompt has {tokens} tokens, the model's window holds {limit}")
        self.tokens = tokens
        self.limit = limit


class ReplyNotUnderstood(ModelError):
    """The reply is no legal tool call or structured answer; `reply` holds it as generated."""

    def __init__(self, message: str, reply: str = "") -> None:
        super().__init__(message)
        self.reply = reply


class Cancelled(ModelError):
    """Generation was cancelled from outside before it was complete."""
