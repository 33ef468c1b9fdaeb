"""The store as the chat uses it: what was said comes back, in its order, with its tree."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from falcon_cli.store import Saved, Store, database
from modeling.errors import InvalidRequest, StateRefused
from modeling.messages import SamplingParams, Stats
from modeling.turns import Segment, Turn

Said = Callable[..., Turn]
STRANGE = "\ud800 \x00 \x1b[31m سلام 🦅 \r\n\u202e 'quoted' \udcff"


def same(one: Turn | None, other: Turn | None) -> bool:
    """Whether two turns say the same, and so do those that they followed."""
    if one is None or other is None:
        return one is other
    names = [field.name for field in fields(Turn) if field.name != "parent"]
    equal = all(getattr(one, name) == getattr(other, name) for name in names)
    return equal and len(one.path()) == len(other.path()) and (one.parent is None or same(one.parent, other.parent))


def test_all_of_a_conversation_comes_back(store: Store, begun: Saved, said: Said, home: Path) -> None:
    first = said(None, system="be kind")
    second = said(first, STRANGE, STRANGE, system=STRANGE, reason="length", stop=None)
    other = said(first, "", "", stop=STRANGE, reason="interrupt")
    for turn in (first, second, other):
        assert store.add(begun, turn) is None
    store.name_branch(begun, "north", second)
    with Store.open(home) as again:
        saved = again.find("trip")
        assert (saved.model, saved.revision, saved.identity) == ("demo", "abc", begun.identity)
        assert saved.system == "be kind"
        turns, head, branches = again.load(saved)
    assert [same(old, new) for old, new in zip((first, second, other), turns, strict=True)] == [True] * 3
    assert head is turns[2]
    assert branches == {"north": turns[1]}
    assert turns[1].parent is turns[2].parent is turns[0]
    assert same(head, other)
    assert head.transcript() == other.transcript()


def test_where_a_conversation_stands_is_kept(store: Store, begun: Saved, said: Said) -> None:
    first = said(None)
    second = said(first)
    store.add(begun, second)
    assert len(store.load(store.find("trip")).turns) == 2  # the one that it followed was kept with it
    for place in (first, None, second):
        store.move_head(begun, place)
        head = store.load(store.find("trip")).head
        assert same(head, place)


def test_the_system_prompt_of_the_turns_to_come_is_kept(store: Store, begun: Saved) -> None:
    for system in (STRANGE, None, ""):
        store.set_system(begun, system)
        assert store.find("trip").system == system


def test_the_last_session_is_the_one_that_was_used_last(store: Store, begun: Saved, said: Said) -> None:
    other = store.create(None, "demo-h1", None, {})
    assert store.last().name == other.name
    store.add(begun, said(None))
    assert store.last().name == "trip"
    assert store.names() == ["trip", other.name]


def test_no_session_at_all_is_said(store: Store) -> None:
    with pytest.raises(StateRefused, match="no session"):
        store.last()


def test_automatic_names_differ(store: Store) -> None:
    names = [store.create(None, "demo", None, {}).name for _ in range(12)]
    assert len(set(names)) == 12
    assert all(store.find(name).name == name for name in names)


def test_renaming(store: Store, begun: Saved) -> None:
    store.create("taken", "demo", None, {})
    assert store.rename(begun, "trip-to-oslo") is begun
    assert store.rename(begun, "trip-to-oslo").name == "trip-to-oslo"
    with pytest.raises(InvalidRequest, match="already"):
        store.rename(begun, "taken")
    with pytest.raises(InvalidRequest, match="already"):
        store.create("taken", "demo", None, {})
    assert sorted(store.names()) == ["taken", "trip-to-oslo"]


def test_a_session_that_is_not_there_has_a_neighbour(store: Store, begun: Saved) -> None:
    with pytest.raises(StateRefused, match="Did you mean 'trip'"):
        store.find("tripp")


def test_a_branch_is_moved_and_is_no_number(store: Store, begun: Saved, said: Said) -> None:
    first = said(None)
    second = said(first, "again")
    store.add(begun, first)
    store.name_branch(begun, "here", first)
    store.name_branch(begun, "here", second)
    assert store.load(begun).branches["here"].user == "again"
    with pytest.raises(InvalidRequest, match="numbers"):
        store.name_branch(begun, "12", second)


def test_the_summary_counts_the_conversation_and_the_tree(store: Store, begun: Saved, said: Said) -> None:
    first = said(None)
    for turn in (first, said(first), said(first, stats=Stats(300, 0, 300, 40, 1.0, 1.0, 1.0))):
        store.add(begun, turn)
    store.path_for_state(begun, first).write_bytes(b"12345")
    (summary,) = store.summaries()
    assert (summary.turns, summary.all_turns, summary.tokens, summary.state_bytes) == (2, 3, 340, 5)


# ---- what is not understood ----


def test_fields_of_a_later_version_are_passed_over(store: Store, begun: Saved, said: Said) -> None:
    store.add(begun, said(None))
    with store._database.changing() as connection:
        connection.execute("""UPDATE turns SET sampling = '{"temperature": 0.5, "mirostat": 2}', stats = '{"watts": 3}'""")
    turn = store.load(begun).turns[0]
    assert turn.sampling == SamplingParams(temperature=0.5)
    assert set(asdict(turn.stats).values()) == {0}
    for text in ('{"temperature": -7}', '{"stop": 3}', "[1]", "{", "[" * 100_000):
        with store._database.changing() as connection:
            connection.execute("UPDATE turns SET sampling = ?, stats = ?", (text, text))
        assert store.load(begun).turns[0].sampling == SamplingParams()


def test_damaged_ids_cost_the_ids_and_no_text(store: Store, begun: Saved, said: Said) -> None:
    first = said(None)
    second = said(first)
    third = said(second, kept=0, segments=(Segment("reply", "on its own", (1,)),))
    store.add(begun, third)
    with store._database.changing() as connection:
        connection.execute("UPDATE turns SET ids = zeroblob(length(ids)) WHERE parent IS NULL")
    turns = store.load(begun).turns
    assert [turn.reply for turn in turns] == ["because"] * 3
    assert [len(turn.segments) for turn in turns] == [0, 0, 1]  # the second began with segments of the first
    assert [turn.kept for turn in turns] == [0, 0, 0]


def test_ids_of_another_tokenizer_are_left_behind(store: Store, begun: Saved, said: Said) -> None:
    old = said(None)
    store.add(begun, old)
    twin = old.text_only(None)
    store.set_model(begun, "demo-h1", None, {"tokenizer": "t2", "dtype": "float32"}, [(old, twin)])
    new = said(twin)
    store.add(begun, new)
    saved = store.find("trip")
    assert (saved.model, saved.identity["tokenizer"]) == ("demo-h1", "t2")
    turns = store.load(saved, {"tokenizer": "t2"}).turns
    assert len(turns) == 2  # the twin is no turn of its own
    assert turns[1].parent is turns[0]
    assert [bool(turn.segments) for turn in turns] == [False, True]
    assert turns[1].transcript() == new.transcript()
    assert [bool(turn.segments) for turn in store.load(saved, {"tokenizer": "t1"}).turns] == [True, False]
    assert [bool(turn.segments) for turn in store.load(saved).turns] == [True, True]


# ---- the files ----


def test_the_files_are_for_their_owner_alone(store: Store, begun: Saved, said: Said, home: Path) -> None:
    turn = said(None)
    store.add(begun, turn)
    folder = store.path_for_state(begun, turn).parent
    assert folder.is_dir()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (home, folder.parent, folder, *home.glob("sessions.db*"))}
    assert len(modes) >= 6
    assert set(modes.values()) == {0o700, 0o600}
    store.file.chmod(0o644)  # brought back from somewhere
    with Store.open(home):
        assert stat.S_IMODE(store.file.stat().st_mode) == 0o600


@pytest.mark.promise
def test_an_acknowledged_turn_is_flushed_to_the_disk(store: Store) -> None:
    connection = store._database.connection
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_the_log_does_not_grow_for_ever(store: Store, begun: Saved, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOG_LIMIT", 100_000)
    sizes, turn = [], None
    for _ in range(60):
        turn = said(turn, "x" * 5000)
        store.add(begun, turn)
        sizes.append(Path(f"{store.file}-wal").stat().st_size)
    assert max(sizes) < 200_000
    assert len(store.load(begun).turns) == 60


def test_what_is_removed_is_in_no_file_any_more(store: Store, begun: Saved, said: Said, home: Path) -> None:
    turn = said(None, "my secret is 4711", system="a secret system")
    store.add(begun, turn)
    store.path_for_state(begun, turn).write_bytes(b"secret")
    assert any(b"4711" in path.read_bytes() for path in home.glob("sessions.db*"))
    store.remove(begun)
    for path in home.rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes(), path
    assert store.names() == []
    for change in (lambda: store.add(begun, said(turn)), lambda: store.load(begun), lambda: store.rename(begun, "other")):
        with pytest.raises(StateRefused, match="removed"):
            change()
    with pytest.raises(StateRefused, match="removed"):
        store.name_branch(begun, "here", turn)
    with pytest.raises(StateRefused, match="removed"):
        store.set_model(begun, "demo-h1", None, {})


def test_reading_leaves_no_trace(home: Path) -> None:
    with Store.open(home, reading=True) as store:
        assert store.names() == []
        with pytest.raises(StateRefused):
            store.find("trip")
    assert not home.exists()


def test_a_long_conversation_is_quick(store: Store, begun: Saved, said: Said) -> None:
    """100,000 tokens are no text of numbers: a row is about as large as its ids."""
    turn = said(None, segments=(Segment("content", "x", tuple(range(100_000))), Segment("reply", "y", (7,))))
    store.add(begun, turn)
    with store._database.changing() as connection:
        (length,) = connection.execute("SELECT length(ids) + length(segments) FROM turns").fetchone()
    assert length < 410_000
    assert store.load(begun).turns[0].segments == turn.segments


def test_listing_sessions_imports_nothing_heavy(home: Path) -> None:
    heavy = set("torch transformers rich prompt_toolkit huggingface_hub numpy jinja2 tokenizers safetensors pydantic".split())
    code = f"import sys, falcon_cli.app; falcon_cli.app.run(['sessions', 'list']); print([*({heavy!r} & sys.modules.keys())])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert result.stdout == "[]\n"
