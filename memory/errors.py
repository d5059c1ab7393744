"""What can go wrong when something is stored, and who acts next.

StoreError
├── DiskFull         the person: make room (exit code 3, `disk_full`); what was there is intact
├── WriteFailed      the person: look at the disk; what was there is intact unless it says otherwise
├── WritesStopped    an earlier write failed: open the memory again
├── ReadOnly         opened for reading, or in a folder that may not be written
├── StoreBusy        another process has been writing for longer than we wait
├── StoreClosed      used after `close`, or in a forked child
├── StoreMissing     there is no memory here yet
├── StoreTooNew      written by a later version: install that one
├── StoreDamaged     the file is no memory, or no longer whole: restore it
├── EmbedderChanged  made with another embedder: use that one, or re-embed
├── BadNote          the caller: this text, id, metadata or vector cannot be kept
├── BadFilter        the caller: this filter cannot be asked
└── BadImport        the caller: this folder holds nothing that can be imported
"""


class StoreError(Exception):
    """A failure to store or read back, with a message that names the place and the way out."""


class DiskFull(StoreError):
    """No room: the disk, the quota or the file-size limit is exhausted."""


class WriteFailed(StoreError):
    """The system refused or failed to write."""


class WritesStopped(StoreError):
    """A write failed before, so the state of the disk is uncertain until the store is reopened."""


class ReadOnly(StoreError):
    """Writing was asked for where only reading is possible."""


class StoreBusy(StoreError):
    """Others kept the store for longer than this process waits."""


class StoreClosed(StoreError):
    """The store was closed, or was opened in the process that this one was forked from."""


class StoreMissing(StoreError):
    """A store was to be read that does not exist."""


class StoreTooNew(StoreError):
    """The store has a format that only a later version knows."""


class StoreDamaged(StoreError):
    """The file is no store of ours or has been damaged."""


class EmbedderChanged(StoreError):
    """The vectors in the store were made by another embedder, so they cannot be compared."""


class BadNote(StoreError, ValueError):
    """A text, id, metadata or vector that cannot be kept; nothing of the call was stored."""


class BadFilter(StoreError, ValueError):
    """A metadata filter that means nothing or asks too much."""


class BadImport(StoreError):
    """What was to be imported is something else, or holds what may not be loaded."""
