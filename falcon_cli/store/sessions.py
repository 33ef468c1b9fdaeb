"""The sessions on disk: what was said is durable turn by turn, states are a cache beside it.

    store ── Saved ── turns        a tree, as in `modeling.turns`; rows that are never changed
               ├───── head         where the conversation stands
               └───── branches     names for places in the tree

Whoever holds a `Saved` has seen its head at some place. If another process has moved it since, the turns of this one go on as a
branch with a name of its own: both are kept, and neither is overwritten.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from falcon_cli.store.damage import open_whole
from falcon_cli.store.database import damaged
from falcon_cli.store.names import automatic, check_branch, check_name, parallel, unknown
from falcon_cli.store.rows import COLUMNS, PLACES, columns, encode, turn_of
from falcon_cli.store.saved import NEWEST, SESSIONS, Conversation, Place, Saved, Summary, fits, identity_of, saved_of, sound
from falcon_cli.store.states import Pruned, StateFile, States
from modeling.errors import InvalidRequest, StateRefused
from modeling.turns import Turn

FILE, STATES = "sessions.db", "states"
BUDGET = 4 << 30  # bytes of states that are worth keeping


class Store:
    """The sessions of a user, for one thread. `notices` are what the user should be told about the opening.

    Every method raises `WriteFailed` for a disk that is full, read-only or held by another program, and `StateRefused` for a
    database that is damaged or a session that is gone. After either, the store can still be used, and nothing is half done.
    """

    def __init__(self, folder: Path, *, reading: bool = False) -> None:
        self.file = folder / FILE
        self._database, notice = open_whole(self.file, reading=reading)
        self._states = States(folder / STATES)
        self.notices = [notice] if notice is not None else []

    @classmethod
    def open(cls, folder: Path, *, reading: bool = False) -> Self:
        """Open the sessions in a folder, which is made if need be; with `reading` nothing is made, and it may be read-only.

        A damaged database is moved aside, and `notices` tell of it. Raises `StateRefused` for one of a later version.
        """
        return cls(folder, reading=reading)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed within the block is changed as a whole. If it fails, a `Saved` that took part in it is to be
        forgotten."""
        with self._database.changing():
            yield

    # ---- which sessions there are ----

    def create(
        self, name: str | None, model: str, revision: str | None, identity: Mapping[str, str], system: str | None = None
    ) -> Saved:
        """A new session, under a name of its own if none is given.

        Raises `InvalidRequest` for a name that is none, or is taken.
        """
        if name is not None:
            check_name(name, known=self.names())
        now, key = time.time(), secrets.token_hex(8)
        with self._database.changing() as connection:
            taken = {row["name"] for row in connection.execute("SELECT name FROM sessions")}
            if name is not None and name in taken:
                raise _taken(name)
            name = name or automatic(taken)
            values = (key, name, now, now, _bytes(system))
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, CAST(? AS TEXT), NULL)", values)
            made = _add_model(connection, key, model, revision, identity)
        return Saved(key, name, model, revision, dict(identity), system, now, now, place=Place(made))

    def names(self) -> list[str]:
        """The names of all sessions, the one used last first."""
        return [str(row["name"]) for row in self._database.rows(f"SELECT name FROM sessions s {NEWEST}")]

    def find(self, name: str) -> Saved:
        """The session of that name.

        Raises `InvalidRequest` for a name that is none, `StateRefused` if there is no such session.
        """
        check_name(name, known=self.names())
        for row in self._found("WHERE s.name = ?", name):
            return saved_of(row)
        raise unknown(name, self.names())

    def last(self) -> Saved:
        """The session that was used last. Raises `StateRefused` if there is none."""
        for row in self._found(f"{NEWEST} LIMIT 1"):
            return saved_of(row)
        raise StateRefused("there is no session yet", "falcon chat begins one")

    def summaries(self) -> list[Summary]:
        """All sessions, the one used last first."""
        return [
            Summary(
                name=row["name"],
                model=row["model_name"],
                revision=row["revision"],
                created=row["created"],
                updated=row["updated"],
                turns=row["turns"],
                all_turns=row["all_turns"],
                branches=row["branches"],
                tokens=row["tokens"],
                state_bytes=sum(state.bytes for state in self._states.of(row["id"])),
            )
            for row in self._found(NEWEST)
        ]

    def rename(self, saved: Saved, name: str) -> Saved:
        """Raises `InvalidRequest` for a name that is none, or is taken."""
        check_name(name)
        if name != saved.name:
            with self._database.changing() as connection:
                if connection.execute("SELECT 1 FROM sessions WHERE name = ?", (name,)).fetchone():
                    raise _taken(name)
                _there(saved, connection.execute("UPDATE sessions SET name = ? WHERE id = ?", (name, saved.id)))
            saved.name = name
        return saved

    def remove(self, saved: Saved) -> None:
        """Remove a session with its states. What was said is overwritten in the files of the store, too."""
        with self._database.changing() as connection:
            _there(saved, connection.execute("DELETE FROM sessions WHERE id = ?", (saved.id,)))
        self._database.settle()
        self._states.remove(saved.id)

    # ---- what was said ----

    def load(self, saved: Saved, identity: Mapping[str, str] | None = None) -> Conversation:
        """All that was said, and where the conversation stands now: `saved` follows the head again.

        With `identity`, turns that were made when these facts were others come without ids, as `Turn.text_only` makes them.
        So do turns whose ids are damaged.
        """
        with self._database.unchanging():
            found = self._found("WHERE s.id = ?", saved.id)
            models = self._database.rows("SELECT id, identity FROM models WHERE session = ?", (saved.id,))
            rows = self._database.rows("SELECT * FROM turns WHERE session = ? ORDER BY id", (saved.id,))
            named = self._database.rows("SELECT name, turn FROM branches WHERE session = ? ORDER BY name", (saved.id,))
        if not found:
            raise _gone(saved)
        fitting = {row["id"] for row in models if fits(identity_of(row["identity"]), identity or {})}
        try:
            turns = _turns(rows, fitting)
            now = saved_of(found[0])
            head = turns[now.place.seen] if now.place.seen is not None else None
            branches = {row["name"]: turns[row["turn"]] for row in named}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise StateRefused(f"the session {saved.name} is damaged", "other sessions can still be used") from None
        saved.renew(now, {turn: row for row, turn in turns.items()})
        return Conversation(list(turns.values()), head, branches)

    def add(self, saved: Saved, turn: Turn) -> str | None:
        """Keep a turn, and stand behind it; it is on the disk when this returns. So are turns before it that were not kept yet.

        If another process has moved the head since it was last seen, this turn and those to come are a branch: its name is
        returned, once.
        """
        with self._changing(saved) as connection:
            rows = _with_ancestors(connection, saved, turn)
            moved = _follow(connection, saved, rows[turn])
            branch = None if moved else _branch_off(connection, saved, rows[turn])
        saved.place.rows.update(rows)
        saved.place.seen = rows[turn]
        if branch is not None:
            saved.branch, saved.place.apart = branch, True
        return branch

    def move_head(self, saved: Saved, turn: Turn | None) -> None:
        """Stand elsewhere. If another process has moved the head meanwhile, its place is left as it is."""
        with self._changing(saved) as connection:
            rows = {} if turn is None else _with_ancestors(connection, saved, turn)
            row = None if turn is None else rows[turn]
            moved = row == saved.place.seen or _follow(connection, saved, row)
        saved.place.rows.update(rows)
        saved.place.seen = row
        if not moved or (saved.place.apart and row is None):
            saved.branch, saved.place.apart = None, True  # the next turn begins a branch

    def set_system(self, saved: Saved, system: str | None) -> None:
        """The system prompt of the turns to come. That of a branch is known to its turns alone."""
        if system != saved.system and not saved.place.apart:
            with self._changing(saved) as connection:
                place = (_bytes(system), saved.id)
                _there(saved, connection.execute("UPDATE sessions SET system = CAST(? AS TEXT) WHERE id = ?", place))
        saved.system = system

    def set_model(
        self,
        saved: Saved,
        model: str,
        revision: str | None,
        identity: Mapping[str, str],
        twins: Iterable[tuple[Turn, Turn]] = (),
    ) -> None:
        """The model of the turns to come. `twins` are pairs of a turn that is kept and the one that now stands for it, without
        ids (`Turn.text_only`)."""
        if (model, revision, dict(identity)) != (saved.model, saved.revision, saved.identity):
            with self._changing(saved) as connection:
                made = _add_model(connection, saved.id, model, revision, identity)
            saved.model, saved.revision, saved.identity, saved.place.model = model, revision, dict(identity), made
        known = saved.place.rows
        known.update({twin: known[turn] for turn, twin in twins if turn in known})

    def name_branch(self, saved: Saved, name: str, turn: Turn) -> None:
        """Give a place a name; one that another place had goes to this one. Raises `InvalidRequest` for a name that is none."""
        check_branch(name)
        with self._changing(saved) as connection:
            rows = _with_ancestors(connection, saved, turn)
            connection.execute("INSERT OR REPLACE INTO branches VALUES (?, ?, ?)", (saved.id, name, rows[turn]))
        saved.place.rows.update(rows)

    # ---- states ----

    def path_for_state(self, saved: Saved, turn: Turn) -> Path:
        """Where the state behind a turn belongs. Whoever reads it touches it: it was used.

        Raises `StateRefused` for a turn that is not kept.
        """
        if turn not in saved.place.rows:
            raise StateRefused("the turn is not kept, and neither is a state behind it")
        return self._states.path(saved.id, saved.place.rows[turn])

    def states(self, saved: Saved) -> list[StateFile]:
        """The states of a session that are there, the oldest turn first."""
        return self._states.of(saved.id)

    def prune(self, budget: int = BUDGET) -> Pruned:
        """Remove states until at most `budget` bytes are left: those of turns that are gone, then the longest unused, and last
        those behind which conversations stand."""
        states = self._states.all()  # before the rows: one may be added meanwhile
        kept = {row["id"]: row["session"] for row in self._database.rows("SELECT id, session FROM turns")}
        heads = {row["head"] for row in self._database.rows("SELECT head FROM sessions WHERE head IS NOT NULL")}
        lost = [state for state in states if kept.get(state.row) != state.session]
        return self._states.prune(states, lost, heads, budget)

    def _found(self, which: str, *values: str) -> list[sqlite3.Row]:
        rows = self._database.rows(f"{SESSIONS} {which}", values)
        if not all(map(sound, rows)):
            raise damaged(self.file)
        return rows

    @contextmanager
    def _changing(self, saved: Saved) -> Iterator[sqlite3.Connection]:
        """Change what belongs to a session. Raises `StateRefused` if it was removed."""
        try:
            with self._database.changing() as connection:
                yield connection
        except sqlite3.IntegrityError:
            raise _gone(saved) from None


def _turns(rows: Iterable[sqlite3.Row], fitting: Collection[int]) -> dict[int, Turn]:
    """Row → turn, each behind its parent; with ids where the row of the model is among `fitting`."""
    turns: dict[int, Turn] = {}
    lengths: dict[Turn | None, int] = {None: 0}
    for row in rows:
        parent = turns[row["parent"]] if row["parent"] is not None else None
        turn = turn_of(row, parent, lengths[parent] if row["model"] in fitting else None)
        turns[row["id"]] = turn
        lengths[turn] = turn.kept + len(turn.segments)
    return turns


def _with_ancestors(connection: sqlite3.Connection, saved: Saved, turn: Turn) -> dict[Turn, int]:
    """The row of a turn, and of those before it that had to be added for it."""
    missing: list[Turn] = []
    known: Turn | None = turn
    while known is not None and known not in saved.place.rows:
        missing.append(known)
        known = known.parent
    row = None if known is None else saved.place.rows[known]
    rows = {} if known is None or row is None else {known: row}
    for each in reversed(missing):
        row = rows[each] = _insert(connection, saved, each, row)
    return rows


def _insert(connection: sqlite3.Connection, saved: Saved, turn: Turn, parent: int | None) -> int:
    names = ("session", "parent", "depth", "model", *COLUMNS)
    depth = "1 + coalesce((SELECT depth FROM turns WHERE id = :parent), 0)"
    values = {**columns(turn), "session": saved.id, "parent": parent, "model": saved.place.model}
    query = f"INSERT INTO turns ({', '.join(names)}) VALUES (:session, :parent, {depth}, :model, {PLACES})"
    return _row(connection.execute(query, values))


def _follow(connection: sqlite3.Connection, saved: Saved, row: int | None) -> bool:
    """Move the head, or the branch of this process, to a row; whether it was where it was last seen."""
    now, seen = time.time(), saved.place.seen
    if not saved.place.apart:
        query = "UPDATE sessions SET head = ?, updated = ? WHERE id = ? AND head IS ?"
        return connection.execute(query, (row, now, saved.id, seen)).rowcount == 1
    connection.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, saved.id))
    if row is None or saved.branch is None:
        return row is None
    query = "UPDATE branches SET turn = ? WHERE session = ? AND name = ? AND turn IS ?"
    return connection.execute(query, (row, saved.id, saved.branch, seen)).rowcount == 1


def _branch_off(connection: sqlite3.Connection, saved: Saved, row: int) -> str:
    taken = {found["name"] for found in connection.execute("SELECT name FROM branches WHERE session = ?", (saved.id,))}
    name = parallel(taken)
    connection.execute("INSERT INTO branches VALUES (?, ?, ?)", (saved.id, name, row))
    return name


def _add_model(
    connection: sqlite3.Connection, session: str, model: str, revision: str | None, identity: Mapping[str, str]
) -> int:
    values = (session, model, revision, json.dumps(dict(identity)))
    return _row(connection.execute("INSERT INTO models (session, name, revision, identity) VALUES (?, ?, ?, ?)", values))


def _row(inserted: sqlite3.Cursor) -> int:
    assert inserted.lastrowid is not None
    return inserted.lastrowid


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else encode(text)


def _there(saved: Saved, changed: sqlite3.Cursor) -> None:
    if changed.rowcount < 1:
        raise _gone(saved)


def _gone(saved: Saved) -> StateRefused:
    return StateRefused(f"the session {saved.name} was removed meanwhile", "/export keeps the conversation in a file")


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(f"there is already a session {name}", f"choose another name, or remove it: falcon sessions rm {name}")
