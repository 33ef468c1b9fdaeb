"""A database that is damaged, foreign or of another version: nothing is thrown away, and a chat can always begin."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from falcon_cli.store import Store, database
from modeling.errors import FalconError, StateRefused
from modeling.turns import Turn

Said = Callable[..., Turn]
Talks = dict[str, list[str]]


@pytest.fixture
def talks(home: Path, said: Said) -> Talks:
    """Three sessions in a closed database: name → what was answered. Each takes several pages."""
    texts: Talks = {}
    with Store.open(home) as store:
        for name in ("one", "two", "three"):
            saved, turn = store.create(name, "demo", None, {}), None
            texts[name] = [f"{name} {number} {'.' * 3000}" for number in range(6)]
            for text in texts[name]:
                turn = said(turn, name, text)
                store.add(saved, turn)
    return texts


def read(store: Store) -> Talks:
    """What can be read, sessions that are refused left aside. Ids are right or not there."""
    found = {}
    for name in store.names():
        try:
            turns = store.load(store.find(name)).turns
        except StateRefused:
            continue
        for segment in (segment for turn in turns for segment in turn.segments if segment.kind != "template"):
            assert segment.ids == tuple(segment.text.encode())
        found[name] = [turn.reply for turn in turns]
    return found


def aside(home: Path) -> list[Path]:
    return sorted(home.glob("sessions-damaged-*.db"))


@pytest.mark.parametrize("content", [b"no database, though it is long enough" * 40, b"SQLite format 3\0" + b"\xff" * 5000])
@pytest.mark.parametrize("reading", [False, True])
def test_what_is_no_database_is_moved_aside_with_one_notice(content: bytes, reading: bool, home: Path, said: Said) -> None:
    home.mkdir()
    (home / "sessions.db").write_bytes(content)
    with Store.open(home, reading=reading) as store:
        assert store.names() == []
        assert len(store.notices) == 1
        (kept,) = aside(home)
        assert kept.name in store.notices[0]
        assert kept.read_bytes() == content
    with Store.open(home) as store:
        assert store.notices == []
        store.add(store.create("anew", "demo", None, {}), said(None))
    assert sorted(path.name for path in home.iterdir() if not path.name.startswith(".")) == [kept.name, "sessions.db"]


def test_what_can_be_read_of_a_damaged_database_is_kept(home: Path, talks: Talks) -> None:
    """A page in the middle: it shows when it is read, and costs the session that it belongs to, no other."""
    file = home / "sessions.db"
    content = bytearray(file.read_bytes())
    place = content.index(b"two 3")
    page = place // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    file.write_bytes(content)
    with Store.open(home) as store:
        with pytest.raises(StateRefused, match="damaged") as refused:
            store.load(store.find("two"))
        assert "next start" in refused.value.hint
    with Store.open(home) as store:
        assert read(store) == {name: texts for name, texts in talks.items() if name != "two"}
        assert "2 of the 3" in store.notices[0]
        assert store.names()[0] == "three"
    with Store.open(home) as store:
        assert store.notices == []
    assert [path.read_bytes() for path in aside(home)] == [bytes(content)]


@pytest.mark.promise
def test_no_damage_keeps_falcon_from_starting(home: Path, talks: Talks) -> None:
    """Bits flipped, pages swapped and ends cut: each is told in a sentence; at the second start at the latest all is well."""
    chance = random.Random(7)
    whole = (home / "sessions.db").read_bytes()
    pages = len(whole) // 4096
    moved = kept = 0
    for number in range(90):
        content = bytearray(whole)
        if number % 3 == 0:
            content = content[: chance.randrange(1, len(content))]
        elif number % 3 == 1:
            for _ in range(chance.choice((1, 3, 200))):
                content[chance.randrange(chance.choice((100, 4096, len(content))))] ^= 1 << chance.randrange(8)
        else:
            here, there = (4096 * chance.randrange(pages) for _ in range(2))
            content[here : here + 4096] = whole[there : there + 4096]
        if len(content) > 64:
            content[60:64] = whole[60:64]  # the version: a later one would be left alone
        shutil.rmtree(home)
        home.mkdir()
        (home / "sessions.db").write_bytes(content)
        for start in range(3):
            try:
                with Store.open(home) as store:
                    found = read(store)
                    store.summaries()
                    store.prune()
                    store.create(None, "demo", None, {})
                    kept += start == 2 and found.keys() >= talks.keys()
            except FalconError as error:
                assert start == 0, (number, error)
        moved += len(aside(home))
    assert moved > 30
    assert 5 < kept < 60


def test_two_processes_find_the_damage_at_once(home: Path, talks: Talks) -> None:
    """One of them moves it aside; what the other then finds is the new one."""
    file = home / "sessions.db"
    file.write_bytes(b"\xff" * 5000)
    notices: list[str] = []

    def start() -> None:
        with Store.open(home) as store:
            notices.extend(store.notices)
            store.create(None, "demo", None, {})

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notices) == len(aside(home)) == 1
    with Store.open(home) as store:
        assert len(store.names()) == 6


def test_a_mark_alone_moves_nothing(home: Path, talks: Talks) -> None:
    database.mark(home / "sessions.db").touch()
    with Store.open(home) as store:
        assert (read(store), store.notices) == (talks, [])
    assert not database.mark(home / "sessions.db").exists()


def test_the_tables_are_those_of_the_version() -> None:
    """Databases that were made with other words would look damaged."""
    digest = hashlib.sha256("\n".join(database._TABLES).encode()).hexdigest()
    assert {1: "8cdc05465cb5b14a"}[database.VERSION] == digest[:16]


def test_a_later_version_is_refused_and_left_alone(home: Path, talks: Talks) -> None:
    with sqlite3.connect(home / "sessions.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    connection.close()
    before = (home / "sessions.db").read_bytes()
    for reading in (False, True):
        with pytest.raises(StateRefused, match="later version") as refused:
            Store.open(home, reading=reading)
        assert "update falcon" in refused.value.hint
    with sqlite3.connect(home / "sessions.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    assert (home / "sessions.db").read_bytes()[100:] == before[100:]
    assert aside(home) == []


def test_a_database_of_another_program_is_refused_and_left_alone(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(home / "sessions.db", isolation_level=None) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    for reading in (False, True):
        with pytest.raises(StateRefused, match="not a database of falcon"):
            Store.open(home, reading=reading)
    assert aside(home) == []


def test_an_empty_file_is_begun(home: Path, said: Said) -> None:
    home.mkdir()
    (home / "sessions.db").touch()
    with Store.open(home, reading=True) as store:
        assert (store.names(), store.notices) == ([], [])
    with Store.open(home) as store:
        store.add(store.create(None, "demo", None, {}), said(None))
        assert store.notices == []


def test_a_crafted_database_names_no_folder_outside(home: Path, talks: Talks, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1.safetensors").touch()
    with sqlite3.connect(home / "sessions.db") as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        (old,) = connection.execute("SELECT id FROM sessions WHERE name = 'one'").fetchone()
        for table, key in (("sessions", "id"), ("models", "session"), ("turns", "session")):
            connection.execute(f"UPDATE {table} SET {key} = '../../outside' WHERE {key} = ?", (old,))
    connection.close()
    with Store.open(home) as store:
        with pytest.raises(StateRefused, match="damaged"):
            store.find("one")
        store.prune(0)
    with Store.open(home) as store:
        assert sorted(store.names()) == ["three", "two"]
        store.prune(0)
    assert (tmp_path / "outside" / "1.safetensors").exists()
