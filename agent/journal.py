"""The journal of a run: every event in order, in one SQLite file that is the truth about the run.

Rows are only ever added. A row that `commit` has returned from survives the death of the process
and, on a disk that honours fsync, a power cut. SQLite before 3.51.3 can corrupt a WAL database
with several connections, so the rollback journal is used (it needs no second file to be whole).
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from agent.errors import LimitReached, SettingsError
from agent.events import Event, EventType, dump

_SCHEMA = """
create table if not exists events (
    seq integer primary key,
    time text not null,
    type text not null,
    data text not null,
    private text not null
) strict
"""
_VERSION = 1


class Journal:
    """Appends events of one run and reads them back; one writer at a time."""

    def __init__(self, path: Path, run: str, *, durable: bool = True) -> None:
        """Open or create the journal at `path`.

        Args:
            durable: wait for the disk at each commit; off only to measure what waiting costs.

        Raises:
            SettingsError: the file is no journal, of a later version, or in use by another run.
        """
        self.run = run
        self.path = path
        self._pending: list[Event] = []
        self._open = ExitStack()
        with ExitStack() as opening:
            # Released by the kernel when the process dies, so a stale lock cannot exist.
            lock = opening.enter_context(path.with_suffix(".lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
                opening.callback(self._db.close)
                self._prepare(durable)
            except BlockingIOError:
                raise SettingsError(f"run {run} is being worked on by another process") from None
            except sqlite3.OperationalError as error:
                raise _translated(error, path) from error
            except sqlite3.DatabaseError as error:
                raise SettingsError(f"{path}: not a journal ({error}); set it aside") from None
            self._open = opening.pop_all()

    def _prepare(self, durable: bool) -> None:
        self._db.execute("pragma journal_mode=delete")
        self._db.execute(f"pragma synchronous={'extra' if durable else 'off'}")
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version > _VERSION:
            raise SettingsError(
                f"{self.path}: the journal has version {version}, this Tuneward reads up to"
                f" {_VERSION}; install a newer one"
            )
        if version < _VERSION:
            self._db.execute("begin immediate")
            self._db.execute(_SCHEMA)
            self._db.execute(f"pragma user_version={_VERSION}")
            self._db.execute("commit")
        self._seq = self._last()

    def _last(self) -> int:
        return int(self._db.execute("select coalesce(max(seq), 0) from events").fetchone()[0])

    def add(
        self, type: EventType, data: Mapping[str, Any], private: Mapping[str, Any] | None = None
    ) -> Event:
        """Take an event in; it is safe only after the next `commit`."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._seq += 1
        event = Event(self._seq, now, self.run, type, data, private or {})
        self._pending.append(event)
        return event

    def commit(self) -> list[Event]:
        """Make all added events durable in one transaction and return them.

        Raises:
            LimitReached: `disk_full`; nothing of this commit was kept.
        """
        events, self._pending = self._pending, []
        if not events:
            return []
        rows = [(e.seq, e.time, e.type, dump(e.data), dump(e.private)) for e in events]
        try:
            self._db.execute("begin immediate")
            self._db.executemany("insert into events values (?, ?, ?, ?, ?)", rows)
            self._db.execute("commit")
        except BaseException as error:  # a second Ctrl-C may come at any point
            if self._db.in_transaction:
                self._db.execute("rollback")
            self._seq = self._last()
            if isinstance(error, sqlite3.Error):
                raise _translated(error, self.path) from error
            raise
        return events

    def forget(self) -> None:
        """Drop what was added and not committed."""
        self._pending = []

    def events(self) -> Iterator[Event]:
        """All committed events, oldest first."""
        return _read(self._db, self.run)

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journal(path: Path, run: str) -> list[Event]:
    """The events of a run without taking its lock; for list, show and replay.

    Raises:
        SettingsError: there is no such journal, or it cannot be read.
    """
    if not path.exists():
        raise SettingsError(f"there is no run {run}; `tuneward runs list` names them")
    try:
        with reading(path) as db:
            return list(_read(db, run))
    except (sqlite3.DatabaseError, ValueError) as error:
        raise SettingsError(f"{path}: not a journal ({error})") from None


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A journal that others may be writing, to look into.

    A process that was killed within a commit leaves it half done. Only a reader that may write can
    undo that; it does nothing else.
    """
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    where = f"{path.resolve().as_uri()}?mode={'rw' if writable else 'ro'}"
    db = sqlite3.connect(where, uri=True, timeout=5)
    try:
        db.execute("pragma query_only=on")
        yield db
    finally:
        db.close()


def _read(db: sqlite3.Connection, run: str) -> Iterator[Event]:
    query = "select seq, time, type, data, private from events order by seq"
    for seq, time, type, data, private in db.execute(query):
        yield Event(seq, time, run, type, json.loads(data), json.loads(private))


def _translated(error: sqlite3.Error, path: Path) -> Exception:
    if "full" in str(error):
        return LimitReached("disk_full", f"{path}: no room on the disk")
    return SettingsError(f"{path}: {error}")
