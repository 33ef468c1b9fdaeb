"""A damaged database is moved aside, and what can be read of it goes into a new one."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from falcon_cli.store.database import PATIENCE, Damaged, Database, mark, may_write, told

_UNREADABLE = sqlite3.DatabaseError, UnicodeDecodeError  # the latter where the message of the error cannot be read
_COPIES = {"sessions": "id", "models": "session", "turns": "session", "branches": "session"}


def open_whole(file: Path, *, reading: bool = False) -> tuple[Database, str | None]:
    """The database, and what became of it if it was damaged. Raises what `Database` raises, but `Damaged` only in vain."""
    try:
        database = Database(file, reading=reading)
        if not mark(file).exists() or _unmarked(database):
            return database, None
        database.close()
    except Damaged:
        if not may_write(file.parent):
            raise
    with told(file), _alone(file):
        return _renewed(file, reading)


def _renewed(file: Path, reading: bool) -> tuple[Database, str | None]:
    """The same under the lock: another process may have been faster."""
    with suppress(Damaged):
        database = Database(file, reading=reading)
        if not mark(file).exists() or _unmarked(database):
            return database, None
        database.close()
    fresh = file.with_name(f".{file.name}.new")
    _remove(fresh)
    with closing(Database(fresh)) as database:
        kept, lost = _salvage(file, database)
    aside = _set_aside(file, fresh)
    mark(file).unlink(missing_ok=True)
    read = f"; {kept} of the {kept + lost} sessions in it could be read and are kept" if kept + lost else ""
    return Database(file, reading=reading), f"{file} was damaged and is now {aside.name}{read}"


def _unmarked(database: Database) -> bool:
    """Whether the database is whole in spite of its mark, which is then removed."""
    try:
        whole = database.whole()
    except Damaged:
        return False
    if whole:
        with suppress(OSError):
            mark(database.file).unlink(missing_ok=True)
    return whole


def _salvage(file: Path, into: Database) -> tuple[int, int]:
    """Copy each session that can be read as a whole; how many could, and how many could not."""
    kept = lost = 0
    connection = into.connection
    try:
        connection.execute("ATTACH ? AS old", (f"{file.absolute().as_uri()}?mode=ro",))
        for (session,) in _as_far_as_possible(connection, "SELECT id FROM old.sessions NOT INDEXED"):
            try:
                _copy(connection, session)
                kept += 1
            except _UNREADABLE:
                lost += 1
    except _UNREADABLE:
        pass  # not even that can be read
    finally:
        with suppress(sqlite3.Error):
            connection.execute("DETACH old")
    return kept, lost


def _copy(connection: sqlite3.Connection, session: str) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA defer_foreign_keys = ON")
        for table, key in _COPIES.items():
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM old.{table} WHERE {key} = ?", (session,))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _as_far_as_possible(connection: sqlite3.Connection, query: str) -> list[tuple[str]]:
    rows = []
    with suppress(*_UNREADABLE):
        for row in connection.execute(query):
            rows.append(tuple(row))
    return rows


def _set_aside(file: Path, fresh: Path) -> Path:
    """Give the damaged file a name with the date, and its own to the fresh one, without a moment in which there is neither."""
    stem = f"{file.stem}-damaged-{time.strftime('%Y-%m-%dT%H-%M-%S')}"
    aside, number = file.with_name(f"{stem}{file.suffix}"), 1
    while aside.exists():
        number += 1
        aside = file.with_name(f"{stem}-{number}{file.suffix}")
    for ending in ("-wal", "-shm"):  # first: they must never be taken for those of the fresh one
        with suppress(FileNotFoundError):
            Path(f"{file}{ending}").replace(f"{aside}{ending}")
    try:
        os.link(file, aside)
    except OSError:  # a disk without links
        file.replace(aside)
    fresh.replace(file)
    return aside


def _remove(file: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{file}{ending}").unlink(missing_ok=True)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process at a time; the lock of a process that dies is gone."""
    lock = sqlite3.connect(file.with_name(f".{file.name}.lock"), timeout=PATIENCE, isolation_level=None)
    with closing(lock):
        lock.execute("BEGIN EXCLUSIVE")
        yield
