"""The SQLite file of a memory: one writer at a time, any number of readers, errors with names.

Writers of all processes queue at a lock file, so none meets another inside SQLite. The rollback
journal is used everywhere: SQLite before 3.51.3 can corrupt a WAL database with several
connections, and one mode is tested more than two. A commit that has returned is on the disk.
"""

import contextlib
import errno
import fcntl
import os
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory import durable
from memory.errors import (
    DiskFull,
    ReadOnly,
    StoreBusy,
    StoreClosed,
    StoreDamaged,
    StoreError,
    StoreMissing,
    StoreTooNew,
    WriteFailed,
    WritesStopped,
)
from memory.migrations import MIGRATIONS

NAME = "notes.sqlite"
LOCK_NAME = "notes.lock"
_MAKING = threading.Lock()
"""Held while a file is made: closing any descriptor of the notes ends all of this process's locks
on them, so none may be open but SQLite's own."""
PATIENCE_SECONDS = 60.0
"""How long a writer queues, and how long SQLite waits for readers to end."""
APPLICATION = 0x54756E65
"""Marks the file as ours."""
CACHE_KIB = 32 * 1024
"""Pages kept in memory: room for a write of some thousand notes without spilling."""


class Database:
    """Transactions on `folder`'s notes; safe to use from several threads."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Open the file; unless only reading, make and migrate it as needed.

        Raises:
            StoreMissing, StoreTooNew, StoreDamaged, ReadOnly, StoreBusy, DiskFull, WriteFailed
        """
        self.folder = folder.absolute()
        self.path = self.folder / NAME
        self.read_only = read_only
        self._pid = os.getpid()
        self._guard = threading.RLock()
        self._stopped = ""
        self._lock: int | None = None
        self._turns = 0
        self._db: sqlite3.Connection | None = None
        try:
            if read_only:
                with _MAKING:
                    is_there = self.path.is_file()
                if not is_there:
                    raise StoreMissing(f"there is no memory in {self.folder} yet")
            else:
                durable.make_folders(self.folder)
                self._lock = self._opened(LOCK_NAME, os.O_CREAT)
                self._make_notes()
            self._db = self._connect()
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise self._typed(error) from error
        except BaseException:
            self.close()
            raise

    def _make_notes(self) -> None:
        """An empty file that only its owner can read, unless there is one; never opens that."""
        with _MAKING, contextlib.suppress(FileExistsError):
            if not os.path.lexists(self.path):
                os.close(self._opened(NAME, os.O_CREAT | os.O_EXCL))
        if self.path.is_symlink():
            raise WriteFailed(f"{self.path} is a link; put the file itself there")
        if not os.access(self.path, os.W_OK):
            raise self._read_only("Permission denied")

    def _opened(self, name: str, how: int) -> int:
        """A descriptor of a file of ours that only its owner can read."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | how
        try:
            return os.open(self.folder / name, flags, 0o600)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
                raise self._read_only(error.strerror) from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(f"no room for {self.folder / name}; free some space") from error
            raise WriteFailed(f"could not open {self.folder / name}: {error.strerror}") from error

    def _read_only(self, why: str | None) -> ReadOnly:
        return ReadOnly(
            f"{self.folder} may not be written ({why}); open the memory for reading only, or change"
            " the folder's permissions"
        )

    def _connect(self) -> sqlite3.Connection:
        # A reader that may write can undo what a killed writer left half done.
        mode = "rw" if os.access(self.path, os.W_OK) and os.access(self.folder, os.W_OK) else "ro"
        db = sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=PATIENCE_SECONDS,
            check_same_thread=False,
        )
        # A text with a wrong byte in it is read all the same: its row is damaged, not the reader.
        db.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        try:
            db.execute("pragma trusted_schema=off")
            db.execute(f"pragma query_only={'on' if self.read_only else 'off'}")
            db.execute(f"pragma cache_size=-{CACHE_KIB}")
            # More than full: syncs the folder too, without which a power cut can bring the journal
            # back after the commit, and the next reader would undo it.
            db.execute("pragma synchronous=extra")
            db.execute("pragma temp_store=memory")
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self) -> None:
        """Bring the file to the newest format; more than one process may try at once."""
        if self._version() == len(MIGRATIONS):
            return
        if self.read_only:
            if self._version() == 0:
                raise StoreMissing(f"there is no memory in {self.folder} yet")
            raise ReadOnly(f"{self.path} has an older format; open it once for writing")
        with self.writing() as db:
            for number in range(self._version(), len(MIGRATIONS)):
                MIGRATIONS[number](db)
            db.execute(f"pragma user_version={len(MIGRATIONS)}")
            db.execute(f"pragma application_id={APPLICATION}")

    def _version(self) -> int:
        db = self.connection
        version = int(db.execute("pragma user_version").fetchone()[0])
        mark = int(db.execute("pragma application_id").fetchone()[0])
        tables = int(db.execute("select count(*) from sqlite_schema").fetchone()[0])
        if mark != APPLICATION and (version or tables):
            raise StoreDamaged(f"{self.path} is a database, but no memory; set it aside")
        if version > len(MIGRATIONS):
            raise StoreTooNew(
                f"{self.path} has format {version}, this Tuneward reads up to {len(MIGRATIONS)};"
                " install a newer one"
            )
        return version

    @property
    def connection(self) -> sqlite3.Connection:
        """Raises:
        StoreClosed: after `close`, or in a forked child (SQLite forbids that).
        """
        if self._pid != os.getpid():
            raise StoreClosed(f"{self.folder} was opened by another process; open it here anew")
        if self._db is None:
            raise StoreClosed(f"the memory in {self.folder} was closed; open it again")
        return self._db

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the file; writers cannot commit while it is held."""
        with self._guard:
            db = self.connection
            if db.in_transaction:  # inside `writing` or another `reading`
                yield db
                return
            try:
                db.execute("begin")
                yield db
            except sqlite3.Error as error:
                raise self._typed(error) from error
            finally:
                self._undo()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, kept whole at the end or not at all where something is raised.

        Raises:
            ReadOnly, WritesStopped, StoreBusy, DiskFull, WriteFailed, StoreDamaged
        """
        with self._guard, self.turn():
            db = self.connection
            try:
                db.execute("begin immediate")
                yield db
                db.execute("commit")
            except sqlite3.Error as error:
                raise self._failed(error) from error
            finally:
                self._undo()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """This process's turn to write; may be taken again inside."""
        with self._guard:
            if self.read_only or self._lock is None:
                self.connection  # noqa: B018  # says if it is closed
                raise ReadOnly(f"the memory in {self.folder} was opened for reading only")
            if self._stopped:
                raise WritesStopped(
                    f"an earlier write failed ({self._stopped}), so {self.folder} takes no more"
                    " until it is opened again"
                )
            if not self._turns:
                self._queue(self._lock)
            self._turns += 1
            try:
                yield
            finally:
                self._turns -= 1
                if not self._turns:
                    fcntl.flock(self._lock, fcntl.LOCK_UN)

    def vacuum(self) -> None:
        """Write the file anew without unused pages; old or new is whole after a crash."""
        with self._guard, self.turn():
            try:
                self.connection.execute("vacuum")
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def stop_writes(self, error: StoreError) -> None:
        """The disk failed and what is on it is uncertain: write no more until reopened."""
        self._stopped = str(error)

    def _failed(self, error: sqlite3.Error) -> StoreError:
        """A failure while writing, after which no more is written except where others were busy."""
        typed = self._typed(error)
        if not isinstance(typed, StoreBusy):
            self.stop_writes(typed)
        return typed

    def _queue(self, lock: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreBusy(
                        f"another process has been writing to {self.folder} for"
                        f" {PATIENCE_SECONDS:.0f} s; try again when it is done"
                    ) from None
                time.sleep(random.uniform(0.001, 0.01))
            else:
                return

    def _undo(self) -> None:
        """End a transaction that is still open; a connection that cannot do that is replaced."""
        db = self._db
        if db is None or not db.in_transaction:
            return
        try:
            db.execute("rollback")
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                db.close()
            self._db = None
            with contextlib.suppress(sqlite3.Error):
                self._db = self._connect()

    def _typed(self, error: sqlite3.Error) -> StoreError:
        """The same failure in our words."""
        name = getattr(error, "sqlite_errorname", "") or ""
        place = self.path
        if name.startswith("SQLITE_FULL"):
            return DiskFull(f"no room to write {place}; nothing was changed, free some space")
        if name.startswith("SQLITE_READONLY"):
            return ReadOnly(f"{place} may not be written ({error})")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreBusy(
                f"{place} was in use by others for {PATIENCE_SECONDS:.0f} s; try again later"
            )
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return StoreDamaged(
                f"{place} is damaged ({error}); put a copy of it back, or set the folder aside and"
                " import your last export"
            )
        if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return WriteFailed(f"the disk failed under {place} ({error}); what was there is kept")
        return StoreError(f"{place}: {error}")

    def close(self) -> None:
        """Let go of the file; whatever was committed stays."""
        with self._guard:
            if self._db is not None and self._pid == os.getpid():
                with contextlib.suppress(sqlite3.Error):
                    self._db.close()
            self._db = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
