"""Whatever happens to a process, what it had acknowledged is there, and the sessions can be read."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from falcon_cli.store import Store

Write = Callable[..., "subprocess.Popen[str]"]
pytestmark = pytest.mark.promise


def kept(home: Path) -> list[str]:
    """All that is kept, in its order; the sessions are whole, and every turn stands behind its parent."""
    with Store.open(home) as store:
        assert store.notices == []
        assert store._database.whole()
        if "shared" not in store.names():
            return []
        saved = store.find("shared")
        turns, head, _ = store.load(saved)
        assert (head is None) == (not turns)
        assert all(turn.reply == turn.user and len(turn.segments) == 3 for turn in turns)
        store.set_system(saved, None if saved.system else "it can still be written")
        return [turn.reply for turn in turns]


def crashes(home: Path, write: Write, instants: int) -> None:
    chance, acknowledged = random.Random(instants), set[str]()
    for tag in range(instants):
        process = write(tag, 0)
        if tag % 4:
            process.stdout.readline()  # type: ignore[union-attr]  # it is at work …
            acknowledged.add(f"{tag}-0")
            time.sleep(chance.random() * 0.04)
        else:
            time.sleep(chance.random() * 0.2)  # … or on its way there
        process.kill()
        told = process.communicate()[0]
        acknowledged.update(line for line in told.split("\n")[:-1] if line)
        lost = acknowledged.difference(kept(home))
        assert not lost, f"after the death of {tag}"
    assert len(acknowledged) >= 2 * instants


def test_no_acknowledged_turn_is_lost_when_a_process_is_killed(home: Path, write: Write) -> None:
    crashes(home, write, 40)


@pytest.mark.slow
def test_no_acknowledged_turn_is_lost_when_a_process_is_killed_often(home: Path, write: Write) -> None:
    crashes(home, write, 200)


@pytest.mark.parametrize(
    ("point", "whole"),
    [("open", 0), ("insert", 2), ("update", 2), ("commit", 2), ("committed", 3), ("settle", 3)],
)
def test_a_turn_is_there_as_a_whole_or_not_at_all(point: str, whole: int, home: Path, write: Write) -> None:
    told = write("a", 0, point).communicate()[0].split()
    assert told == [f"a-{step}" for step in range(min(whole, 2))]
    assert kept(home) == [f"a-{step}" for step in range(whole)]
    assert write("b", 2).communicate()[0].split() == ["b-0", "b-1"]
    assert kept(home)[whole:] == ["b-0", "b-1"]


def test_two_processes_take_turns_and_the_slower_one_becomes_a_branch(home: Path, write: Write) -> None:
    """8 writers × 100 turns on one session, all from its beginning: everything is there, and everything can be found."""
    home.mkdir()
    (home / "wait").touch()
    with Store.open(home) as store:
        store.create("shared", "demo", None, {})
    writers = {f"w{number}": write(f"w{number}", 100) for number in range(8)}
    deadline = time.monotonic() + 60
    while len(list(home.glob("ready-*"))) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (home / "go").touch()
    branches = {}
    for tag, process in writers.items():
        lines = [line.split() for line in process.communicate()[0].splitlines()]
        assert process.returncode == 0
        assert [line[0] for line in lines] == [f"{tag}-{step}" for step in range(100)]
        branches[tag] = [line[1] for line in lines if len(line) > 1]
    with Store.open(home) as store:
        turns, head, named = store.load(store.find("shared"))
    assert sorted(turn.reply for turn in turns) == sorted(f"{tag}-{step}" for tag in writers for step in range(100))
    assert head is not None
    first = head.reply.partition("-")[0]
    assert sorted(map(len, branches.values())) == [0] + [1] * 7  # each is told once, but for the one that came first
    assert branches.pop(first) == []
    assert {tag: named[names[0]].reply for tag, names in branches.items()} == {tag: f"{tag}-99" for tag in branches}
    for last in (head, *named.values()):
        tag = last.reply.partition("-")[0]
        assert [turn.reply for turn in last.path()] == [f"{tag}-{step}" for step in range(100)]


def test_eight_processes_begin_at_once(home: Path, write: Write) -> None:
    """The database is made by one of them; none fails."""
    writers = [write(f"w{number}", 0, "open") for number in range(8)]
    assert [process.wait() for process in writers] == [-9] * 8
    assert kept(home) == []
