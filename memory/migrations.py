"""The steps from an empty file to the newest format of the notes.

The file's `user_version` counts the steps that it has seen. A change to stored notes is a new
function at the end of MIGRATIONS; what is there is never edited. Each runs in its own transaction.
"""

import sqlite3
from collections.abc import Callable


def m001_notes(db: sqlite3.Connection) -> None:
    """Notes, their filterable metadata, what was removed, and facts about the whole.

    `notes.fid` is given once and never again; it is the note's number in the index too.
    `note_keys` can be computed from `notes.metadata`; it is what filters look into.
    `removed` tells other processes what to drop from their index since `generation`.
    """
    for statement in (
        "create table meta (key text primary key, value any not null) strict, without rowid",
        "create table notes (fid integer primary key, id text not null unique, text text not null,"
        " metadata text not null, sha256 blob not null, generation integer not null,"
        " vector blob not null) strict",
        "create table note_keys (key text not null, value any not null, fid integer not null,"
        " primary key (key, value, fid)) strict, without rowid",
        "create table removed (generation integer not null, fid integer not null,"
        " primary key (generation, fid)) strict, without rowid",
        "create table fresh (fid integer primary key, sha256 blob not null, vector blob not null)"
        " strict",
        "insert into meta values ('generation', 0), ('floor', 0), ('last_fid', 0),"
        " ('fingerprint', ''), ('fresh_fingerprint', ''), ('snapshot', '')",
    ):
        db.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (m001_notes,)
