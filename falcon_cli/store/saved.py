"""A session as it is found in the database, and as one process has it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from modeling.turns import Turn

SESSIONS = """
    SELECT s.id, s.name, s.created, s.updated, s.system, s.head, m.id AS model, m.name AS model_name, m.revision, m.identity,
           coalesce(h.depth, 0) AS turns, coalesce(h.tokens, 0) AS tokens,
           (SELECT count(*) FROM turns t WHERE t.session = s.id) AS all_turns,
           (SELECT count(*) FROM branches b WHERE b.session = s.id) AS branches
    FROM sessions s
    JOIN models m ON m.id = (SELECT max(id) FROM models WHERE session = s.id)
    LEFT JOIN turns h ON h.id = s.head
"""
NEWEST = "ORDER BY s.updated DESC, s.rowid DESC"
_ID = re.compile(r"[0-9a-f]{16}")  # it names a folder


@dataclass(slots=True, eq=False)
class Place:
    """Where a process is in a session: the row of the model that it has, the row at which the head (or its branch) was when it
    last looked, the rows of the turns that it knows, and whether it goes on `apart` from the head."""

    model: int = 0
    seen: int | None = None
    rows: dict[Turn, int] = field(default_factory=dict)
    apart: bool = False


@dataclass(slots=True, eq=False)
class Saved:
    """A session as one process has it. `identity` are the facts about the model that its maker gave.

    `branch` is the name of the branch that this process goes on with, because another has moved the head of the session.
    """

    id: str
    name: str
    model: str
    revision: str | None
    identity: Mapping[str, str]
    system: str | None
    created: float
    updated: float
    branch: str | None = None
    place: Place = field(default_factory=Place, repr=False)

    def renew(self, now: Saved, rows: dict[Turn, int]) -> None:
        """Become what the database has now."""
        for name in Saved.__slots__:
            setattr(self, name, getattr(now, name))
        self.place.rows = rows


@dataclass(frozen=True, slots=True)
class Summary:
    """A session in a list. `turns` and `tokens` are those of the conversation that ends at the head; `all_turns` those of the
    tree. `state_bytes` are on the disk. Times in seconds since 1970."""

    name: str
    model: str
    revision: str | None
    created: float
    updated: float
    turns: int
    all_turns: int
    branches: int
    tokens: int
    state_bytes: int


class Conversation(NamedTuple):
    """The turns in the order in which they came about, where the conversation stands (None: at the beginning), and the names
    that places in it have."""

    turns: list[Turn]
    head: Turn | None
    branches: dict[str, Turn]


def saved_of(row: sqlite3.Row) -> Saved:
    """The session of a row of `SESSIONS`."""
    return Saved(
        id=row["id"],
        name=row["name"],
        model=row["model_name"],
        revision=row["revision"],
        identity=identity_of(row["identity"]),
        system=row["system"],
        created=row["created"],
        updated=row["updated"],
        place=Place(row["model"], row["head"]),
    )


def sound(row: sqlite3.Row) -> bool:
    """Whether a row of `SESSIONS` holds what falcon writes there. The tables make sure of it, unless the file is damaged."""
    kinds = {"name": str, "model_name": str, "identity": str, "created": float, "updated": float, "turns": int, "tokens": int}
    return _ID.fullmatch(str(row["id"])) is not None and all(isinstance(row[name], kind) for name, kind in kinds.items())


def identity_of(text: str) -> dict[str, str]:
    """The facts about a model; none if they cannot be read."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(value) for name, value in facts.items()} if isinstance(facts, dict) else {}


def fits(made: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all the wanted facts are so."""
    return all(made.get(name) == value for name, value in wanted.items())
