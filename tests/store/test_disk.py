"""A disk that is full, read-only or locked: one error for people, nothing half done, and it goes on when there is room."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from falcon_cli.store import Saved, Store, database
from modeling.errors import WriteFailed
from modeling.turns import Turn

Said = Callable[..., Turn]
pytestmark = pytest.mark.promise
NOBODY = 65534


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of somebody whom permissions bind; root would not be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            folder.chmod(0o755)
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
            try:
                yield folder
            finally:
                os.seteuid(0)
        else:
            yield folder
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)


def test_a_read_only_folder_can_be_read(unprivileged: Path, said: Said) -> None:
    home = unprivileged / "home"
    with Store.open(home) as store:
        turn = said(None)
        store.add(store.create("trip", "demo", None, {}), turn)
    home.chmod(0o555)
    before = sorted(home.iterdir())
    for _ in range(2):
        with pytest.raises(WriteFailed, match=r"sessions\.db cannot be written") as failed:
            Store.open(home)
        assert "FALCON_HOME" in failed.value.hint
        with Store.open(home, reading=True) as store:
            assert store.names() == ["trip"]
            saved = store.find("trip")
            (found,) = store.load(saved).turns
            assert found.segments == turn.segments
            with pytest.raises(WriteFailed):
                store.add(saved, said(found))
            with pytest.raises(WriteFailed):
                store.remove(saved)
            with pytest.raises(WriteFailed):
                store.path_for_state(saved, found)
    assert sorted(home.iterdir()) == before


def test_a_read_only_file_is_told_at_once(unprivileged: Path) -> None:
    with Store.open(unprivileged):
        pass
    (unprivileged / "sessions.db").chmod(0o400)
    with pytest.raises(WriteFailed, match="cannot be written"):
        Store.open(unprivileged)
    with Store.open(unprivileged, reading=True) as store:
        assert store.names() == []


def test_a_folder_that_cannot_be_made(unprivileged: Path, home: Path) -> None:
    unprivileged.chmod(0o555)
    with pytest.raises(WriteFailed, match="cannot be written: Permission denied"):
        Store.open(unprivileged / "home")


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(WriteFailed):
            Store.open(folder)


def test_a_disk_that_fills_up_at_any_point(home: Path, said: Said) -> None:
    """From no room at all to enough, in steps: what was acknowledged is there; what was refused can be kept later."""
    refused = acknowledged = 0
    for room in range(0, 1_000_000, 50_000):
        shutil.rmtree(home, ignore_errors=True)
        answers: list[str] = []
        last: Turn | None = None
        with at_most(room):
            try:
                store = Store.open(home)
                saved = store.create("trip", "demo", None, {})
                for number in range(40):
                    turn = said(last, reply=f"{number} {'x' * 2000}")
                    store.add(saved, turn)
                    last = turn
                    answers.append(turn.reply)
            except WriteFailed as error:
                assert "sessions.db cannot be" in str(error)
                assert error.hint
                refused += 1
        if not answers:
            continue
        assert [turn.reply for turn in store.load(store.find("trip")).turns] == answers
        with Store.open(home, reading=True) as reader:
            assert [turn.reply for turn in reader.load(reader.find("trip")).turns] == answers
        later = said(said(last, reply="refused"), reply="later")  # with room again, as if nothing had been
        store.add(saved, later)
        assert [turn.reply for turn in store.load(saved).head.path()] == [*answers, "refused", "later"]  # type: ignore[union-attr]
        store.close()
        acknowledged += len(answers)
        with Store.open(home) as store:
            assert store._database.whole()
            assert store.notices == []
    assert refused >= 10
    assert acknowledged >= 100


def test_a_full_disk(said: Said, tmp_path: Path) -> None:
    """A real one, of 400 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        with Store.open(disk / "home") as store:
            saved = store.create("trip", "demo", None, {})
            kept: list[Turn] = []
            with pytest.raises(WriteFailed, match=r"the disk is full|read or written") as failed:
                for _ in range(200):
                    turn = said(kept[-1] if kept else None, reply="x" * 2000)
                    store.add(saved, turn)
                    kept.append(turn)
            assert "room" in failed.value.hint
            assert len(kept) >= 5
            assert len(store.load(store.find("trip")).turns) == len(kept)
            with pytest.raises(WriteFailed):
                store.add(saved, said(kept[-1], reply="y" * 100_000))
        subprocess.run(["mount", "-o", "remount,size=2m", disk], check=True)
        with Store.open(disk / "home") as store:
            saved = store.find("trip")
            turns = store.load(saved).turns
            assert len(turns) == len(kept)
            store.add(saved, said(turns[-1]))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_database_that_is_full_keeps_what_it_has(store: Store, begun: Saved, said: Said) -> None:
    first = said(None)
    store.add(begun, first)
    connection = store._database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(WriteFailed, match="the disk is full"):
        store.add(begun, said(first, "x" * 100_000))
    connection.execute("PRAGMA max_page_count = 100000")
    assert [turn.user for turn in store.load(begun).turns] == ["why?"]


def test_another_program_that_holds_the_file(store: Store, begun: Saved, monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    store._database.connection.execute("PRAGMA busy_timeout = 50")
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    other = sqlite3.connect(store.file, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WriteFailed, match="held by another program"):
            store.add(begun, said(None))
        with pytest.raises(WriteFailed, match="held by another program"):
            Store.open(store.file.parent)
        with Store.open(store.file.parent, reading=True) as reader:  # reading waits for nobody
            assert reader.names() == ["trip"]
    finally:
        other.close()
    store.add(begun, said(None))


def test_a_database_that_another_one_just_begins_is_waited_for(home: Path) -> None:
    home.mkdir()
    other = sqlite3.connect(home / "sessions.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    with Store.open(home) as store:
        assert store.names() == []
    timer.join()
    other.close()


def test_an_interrupt_leaves_nothing_half_done(store: Store, begun: Saved, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    import falcon_cli.store.sessions as sessions

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sessions, "_follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.add(begun, said(None))
    monkeypatch.undo()
    assert store.load(begun).turns == []
    store.add(begun, said(None))
    assert len(store.load(begun).turns) == 1


def test_a_removed_folder_is_an_error_for_people(home: Path, said: Said) -> None:
    with Store.open(home) as store:
        saved = store.create("trip", "demo", None, {})
        shutil.rmtree(home)
        with pytest.raises(WriteFailed):
            store.add(saved, said(None))


def test_a_file_that_was_moved_is_not_written_in_silence(home: Path, store: Store, begun: Saved, said: Said) -> None:
    """What is written there would not be found again."""
    (home / "sessions.db").rename(home / "kept.db")
    with pytest.raises(WriteFailed, match="moved or removed"):
        store.add(begun, said(None))
