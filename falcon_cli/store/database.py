"""The file that holds the sessions: one SQLite database, which survives the death of any process at any instant.

A write-ahead log, flushed to the disk with every commit, makes a committed turn durable and never leaves half a one. Who writes
holds the write lock from the first statement of a transaction on, so that two processes take turns. What SQLite says about a
disk or a file becomes a `FalconError` here and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from falcon_cli.store.rows import COLUMNS, decode
from modeling.durable import sync_folder
from modeling.errors import FalconError, StateRefused, WriteFailed

# "falc"; whoever changes a word of the tables adds one to the version, and the step from the version before
APPLICATION, VERSION = 0x66616C63, 1
PATIENCE = 10.0  # seconds to wait for another process
LOG_LIMIT = 4 << 20  # bytes of the write-ahead log from which on it is moved into the database

_TABLES = (
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY CHECK (length(id) = 16 AND id NOT GLOB '*[^0-9a-f]*'),  -- it names a folder
        name TEXT NOT NULL UNIQUE CHECK (typeof(name) = 'text'),
        created REAL NOT NULL CHECK (typeof(created) = 'real'),
        updated REAL NOT NULL CHECK (typeof(updated) = 'real'),
        system TEXT CHECK (typeof(system) IN ('text', 'null')),
        head INTEGER REFERENCES turns(id) DEFERRABLE INITIALLY DEFERRED
    )""",
    """CREATE TABLE models (  -- each that a session was held with; the latest is the session's own
        id INTEGER PRIMARY KEY,
        session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        name TEXT NOT NULL CHECK (typeof(name) = 'text'),
        revision TEXT CHECK (typeof(revision) IN ('text', 'null')),
        identity TEXT NOT NULL CHECK (typeof(identity) = 'text')
    )""",
    f"""CREATE TABLE turns (  -- rows are added and removed, never changed
        id INTEGER PRIMARY KEY,
        session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        parent INTEGER REFERENCES turns(id) DEFERRABLE INITIALLY DEFERRED,
        depth INTEGER NOT NULL,  -- how many turns the conversation has up to here
        model INTEGER NOT NULL,  -- the id of a row of models
        {", ".join(COLUMNS)}
    )""",
    """CREATE TABLE branches (
        session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        turn INTEGER NOT NULL REFERENCES turns(id) DEFERRABLE INITIALLY DEFERRED,
        PRIMARY KEY (session, name)
    )""",
    "CREATE INDEX models_of_session ON models(session)",
    "CREATE INDEX turns_of_session ON turns(session)",
    "CREATE INDEX turns_of_parent ON turns(parent)",
    "CREATE INDEX branches_of_turn ON branches(turn)",
)


class Damaged(StateRefused):
    """The file is no database, or one that is damaged."""


class Database:
    """The open database, for one thread. Every method raises `WriteFailed` or `StateRefused` for what goes wrong with the disk.

    A damaged file is marked by another beside it (see `damage`), because it may not show at the next opening.
    """

    def __init__(self, file: Path, *, reading: bool = False) -> None:
        """Open the file, and make it if it is not there. With `reading` nothing is made, so that a folder that cannot be
        written will do; a file that is not there is then an empty database.

        Raises `Damaged`, and `StateRefused` for a database of another program or of a later version of falcon.
        """
        self.file = file
        with told(file):
            self.connection = _read_only(file) if reading else _writable(file)
        try:
            with told(file):
                self._place = _place(file)
                self._prepare(reading)
        except sqlite3.OperationalError:  # nothing but the file can be wrong here
            self.close()
            raise damaged(file) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The last process to close a database puts all into one file."""
        with suppress(sqlite3.Error):
            self.connection.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a query finds."""
        with told(self.file):
            return self.connection.execute(query, values).fetchall()

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """All queries of the block see the same instant."""
        with told(self.file):
            self.connection.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """What the block does is done as a whole and is on the disk when it ends; nothing is if it ends with an exception.

        A file that was moved or removed meanwhile is an error, too: what is written there will not be found again. A block
        within a block is a part of it.
        """
        if self.connection.in_transaction:
            yield self.connection
            return
        with told(self.file):
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    with suppress(sqlite3.Error):
                        self.connection.execute("ROLLBACK")
        if _place(self.file) != self._place:
            raise WriteFailed(f"{self.file} was moved or removed", "start falcon again to begin another")
        with suppress(OSError):
            if Path(f"{self.file}-wal").stat().st_size > LOG_LIMIT:
                self.settle()

    def settle(self) -> None:
        """Move the write-ahead log into the database. If the disk has no room, it stays where it is, and nothing is lost.

        SQLite up to 3.51.2 can damage a database when two processes do this by themselves while a third writes (its "WAL-reset
        bug"), which is why it is only done here, in a way that holds the write lock.
        """
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def whole(self) -> bool:
        """Whether a full check of the database finds nothing. It takes time."""
        with told(self.file):
            return [tuple(row) for row in self.connection.execute("PRAGMA integrity_check(1)")] == [("ok",)]

    def _prepare(self, reading: bool) -> None:
        self.connection.row_factory = sqlite3.Row
        self.connection.text_factory = decode
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute("PRAGMA trusted_schema = OFF")
        self.connection.execute("PRAGMA secure_delete = ON")  # what was removed cannot be read in the file any more
        self.connection.execute("PRAGMA wal_autocheckpoint = 0")  # see settle
        if reading:
            if not self._known():
                raise StateRefused(*_foreign(self.file))
            return
        mode = self._begin_log()
        # a disk that cannot have a write-ahead log, such as a network folder, has a journal whose folder is to be flushed, too
        self.connection.execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")
        with self.changing():
            if not self._known():
                make_tables(self.connection)
        self._try_to_write()

    def _begin_log(self) -> str:
        """The journal's mode. While another process makes the same change SQLite gives up at once, instead of waiting."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return str(self.connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def _try_to_write(self) -> None:
        """Raises at once what the first change would raise: SQLite opens a file that it may not write without a word."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY and may_write(self.file):  # only its header forbids it
                raise damaged(self.file) from None
            raise
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def _known(self) -> bool:
        """Whether the tables are there. Raises `StateRefused` if they are not those of this version."""
        application, version = (
            int(self.connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
        )
        tables = {row[0] for row in self.connection.execute("SELECT sql FROM sqlite_schema")}
        if application == APPLICATION and version > VERSION:
            what = f"the sessions in {self.file} are of a later version of falcon (format {version}, this one knows {VERSION})"
            raise StateRefused(what, "update falcon, or set FALCON_HOME to another folder")
        if tables and application != APPLICATION and tables.isdisjoint(_TABLES):
            raise StateRefused(*_foreign(self.file))
        if tables and not ((application, version) == (APPLICATION, VERSION) and tables.issuperset(_TABLES)):
            raise damaged(self.file)
        return bool(tables)


def make_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database of this version."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def told(file: Path) -> Iterator[None]:
    """What goes wrong with the file or its disk becomes an error for people."""
    try:
        yield
    except OSError as error:
        raise WriteFailed(f"{file} cannot be written: {error.strerror}", _ELSEWHERE) from None
    except UnicodeDecodeError:  # not even the message of the error can be read
        raise damaged(file) from None
    except sqlite3.Error as error:
        failure = _failure(file, error)
        if failure is None:
            raise
        raise failure from None


def damaged(file: Path) -> Damaged:
    """The error for a damaged file, which is marked."""
    with suppress(OSError):
        mark(file).touch()
    return Damaged(f"{file} is damaged", "the next start of falcon moves it aside and keeps what can be read of it")


def may_write(path: Path) -> bool:
    """Whether the system would let this process write there."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def mark(file: Path) -> Path:
    """The file that says that this database was found damaged."""
    return file.with_name(f"{file.name}.damaged")


_ELSEWHERE = "make the folder writable, or set FALCON_HOME to another one"


def _failure(file: Path, error: sqlite3.Error) -> FalconError | None:
    """What an error of SQLite means; None if it is a fault in falcon."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return damaged(file)
    if code == sqlite3.SQLITE_FULL:
        return WriteFailed(f"{file} cannot be written: the disk is full", "make room, or set FALCON_HOME to another folder")
    if code == sqlite3.SQLITE_IOERR:
        return WriteFailed(f"{file} cannot be read or written: {error}", "check the disk and how much room is left on it")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return WriteFailed(f"{file} is held by another program", "try again when that has finished")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return WriteFailed(f"{file} cannot be written: {error}", _ELSEWHERE)
    return None


def _place(file: Path) -> tuple[int, int] | None:
    """Which file it is, whatever its name; None if there is none."""
    with suppress(OSError):
        status = file.stat()
        return status.st_dev, status.st_ino
    return None


def _foreign(file: Path) -> tuple[str, str]:
    return f"{file} is not a database of falcon's sessions", "move it away, or set FALCON_HOME to another folder"


def _writable(file: Path) -> sqlite3.Connection:
    """A connection to write with; the file and its folder are made, for their owner's eyes only."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_folder(file.parent)
        sync_folder(file.parent.parent)
    if file.stat().st_mode & 0o077:
        with suppress(OSError):
            file.chmod(0o600)
    return _connect(file, "mode=rw")


def _read_only(file: Path) -> sqlite3.Connection:
    """A connection to read with: an ordinary one, if the folder lets SQLite share the file with those who write."""
    if not file.exists() or not file.stat().st_size:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        make_tables(connection)
        return connection
    for mode in ("mode=rw", "mode=ro"):
        connection = _connect(file, mode)
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            connection.execute("PRAGMA query_only = ON")
            return connection
        except sqlite3.Error as error:
            connection.close()
            if not isinstance(error, sqlite3.OperationalError):
                raise
            refused = error
    log = Path(f"{file}-wal")
    if log.exists() and log.stat().st_size:  # the file itself is not all there is to read
        raise refused
    return _connect(file, "immutable=1")


def _connect(file: Path, manner: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?{manner}", uri=True, timeout=PATIENCE, isolation_level=None)
