"""What can go wrong when something is stored, and who acts next.

StoreError
├── DiskFull      the person: make room (exit code 3, status `disk_full`); what was there is intact
└── WriteFailed   the person: look at the disk; what was there is intact unless the message says so
"""


class StoreError(Exception):
    """A failure to store or read back, with a message that names the place and the way out."""


class DiskFull(StoreError):
    """No room: the disk, the quota or the file-size limit is exhausted."""


class WriteFailed(StoreError):
    """The system refused or failed to write."""
