"""`falcon sessions` as a user meets it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falcon_cli.app import run
from falcon_cli.sizes import parse_size, shown_size
from falcon_cli.store import Saved, Store
from modeling.errors import InvalidRequest
from modeling.turns import Turn

Falcon = Callable[..., Any]
Said = Callable[..., Turn]
ESCAPES = "\x1b]0;owned\x07\x9b31m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def talk(store: Store, begun: Saved, said: Said) -> Saved:
    """Three turns in the session "trip", the second and third behind the first; the second is the branch "north"."""
    first = said(None, "where to?", "Oslo", system="be kind")
    second = said(first, "and then?", f"Bergen{ESCAPES}", system="be kind", reason="interrupt", stop=None)
    third = said(first, "and back?", "home", system="be kind")
    for turn in (first, second, third):
        store.add(begun, turn)
    store.name_branch(begun, "north", second)
    store.path_for_state(begun, third).write_bytes(b"x" * 3_000_000)
    return begun


def test_the_list(falcon: Falcon, talk: Saved, store: Store) -> None:
    store.create("empty", "tiiuae/Falcon-H1-0.5B-Instruct", None, {})
    lines = falcon("sessions", "list").out.splitlines()
    assert lines[0].split() == ["NAME", "MODEL", "TURNS", "TOKENS", "UPDATED", "STATES"]
    assert lines[1].split()[:4] == ["empty", "tiiuae/Falcon-H1-0.5B-Instruct", "0", "0"]
    assert lines[2].split()[:4] == ["trip", "demo", "2", "120"]
    assert lines[2].endswith("2.9 MiB")
    assert len({line.index(cell) for line, cell in zip(lines, ("MODEL", "tiiuae", "demo"), strict=True)}) == 1


def test_the_list_for_programs(falcon: Falcon, talk: Saved, home: Path) -> None:
    content = json.loads(falcon("sessions", "list", "--json").out)
    assert content["file"] == str(home / "sessions.db")
    (entry,) = content["sessions"]
    assert entry.pop("updated") >= entry.pop("created") > "2026"
    assert entry == {
        "name": "trip",
        "model": "demo",
        "revision": "abc",
        "turns": 2,
        "all_turns": 3,
        "branches": 1,
        "tokens": 120,
        "state_bytes": 3_000_000,
    }


def test_no_session_yet(falcon: Falcon, home: Path) -> None:
    outcome = falcon("sessions", "list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "falcon chat" in outcome.err
    assert json.loads(falcon("sessions", "list", "--json").out)["sessions"] == []
    assert falcon("sessions", "show", "trip").code == 5
    assert not home.exists()


def test_show_prints_the_conversation_and_the_tree(falcon: Falcon, talk: Saved) -> None:
    out = falcon("sessions", "show", "trip").out
    assert out.startswith("trip · demo · 2 turns · ")
    assert "\n\n[system] be kind\n\n› where to?\n\nOslo\n\n› and back?\n\nhome\n\n" in out
    assert out.endswith("→ Oslo\n    2   and then? → Bergen" + ESCAPES + " (north)\n▶   3   and back? → home\n")
    out = falcon("sessions", "show", "trip", "--branch", "north").out
    assert f"› and then?\n\nBergen{ESCAPES}\n[stopped]\n" in out
    assert "▶   2" in out
    assert [turn["number"] for turn in json.loads(falcon("sessions", "show", "trip", "--json").out)["turns"]] == [1, 2, 3]


def test_a_conversation_without_branches_needs_no_tree(falcon: Falcon, store: Store, begun: Saved, said: Said) -> None:
    store.add(begun, said(None))
    out = falcon("sessions", "show", "trip").out
    assert "▶" not in out
    assert " · 1 turn · " in out


@pytest.mark.promise
def test_nothing_that_was_said_controls_the_terminal(
    talk: Saved, store: Store, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    store.create("odd", f"model{ESCAPES}", None, {})
    monkeypatch.setenv("NO_COLOR", "1")
    for command in ("list", "list --json", "show trip --branch north", "show trip --json", "export trip", "show odd"):
        screen, notes = Terminal(), Terminal()
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", notes)
        assert run(["sessions", *command.split()]) == 0
        assert screen.getvalue()
        for text in (screen.getvalue(), notes.getvalue()):
            assert not any(sign in text for sign in "\x1b\x07\x9b"), command


def test_an_unknown_branch(falcon: Falcon, talk: Saved) -> None:
    outcome = falcon("sessions", "show", "trip", "--branch", "nort")
    assert outcome.code == 2
    assert "Did you mean 'north'?" in outcome.err


def test_a_session_that_is_not_there(falcon: Falcon, talk: Saved) -> None:
    for command in ("show", "export", "rm"):
        outcome = falcon("sessions", command, "tripp")
        assert (outcome.code, outcome.out) == (5, "")
        assert "Did you mean 'trip'?" in outcome.err


# ---- export ----


def test_export_to_a_pipe_and_to_files(falcon: Falcon, talk: Saved, tmp_path: Path) -> None:
    assert falcon("sessions", "export", "trip").out.startswith("# trip\n")
    for ending in ("md", "json", "jsonl"):
        path = tmp_path / f"talk.{ending}"
        outcome = falcon("sessions", "export", "trip", str(path))
        assert (outcome.code, outcome.out) == (0, "")
        assert str(path) in outcome.err
        assert path.read_text("utf-8") == falcon("sessions", "export", "trip", "--format", ending).out
        assert falcon("sessions", "export", "trip", "-o", str(path)).code == 0
    branch = falcon("sessions", "export", "trip", "-", "--format", "jsonl", "--branch", "north")
    assert json.loads(branch.out.splitlines()[-1]) == {"role": "assistant", "content": f"Bergen{ESCAPES}"}
    assert branch.err == ""


def test_export_that_cannot_be(falcon: Falcon, talk: Saved, tmp_path: Path) -> None:
    assert falcon("sessions", "export", "trip", str(tmp_path / "talk.txt")).code == 2
    assert falcon("sessions", "export", "trip", "a.md", "-o", "b.md").code == 2
    assert falcon("sessions", "export", "trip", "--format", "pdf").code == 2
    assert falcon("sessions", "export", "trip", str(tmp_path / "missing" / "talk.md")).code == 74
    assert falcon("sessions", "export", "trip", "/dev/full", "--format", "md").code == 74


# ---- changes ----


def test_rm_asks_on_a_terminal(falcon: Falcon, talk: Saved, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer, code in (("\n", 1), ("n\n", 1), ("", 1), ("yes\n", 0)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert store.names() == ["trip"]
        assert run(["sessions", "rm", "trip"]) == code
    assert store.names() == []


def test_rm_does_not_ask_a_pipe(falcon: Falcon, talk: Saved, store: Store) -> None:
    outcome = falcon("sessions", "rm", "trip")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert store.names() == ["trip"]
    assert falcon("sessions", "rm", "trip", "tripp", "-y").code == 5
    assert store.names() == ["trip"]  # all or none
    assert falcon("sessions", "rm", "trip", "trip", "-y").code == 0
    assert store.names() == []
    assert falcon("sessions", "rm").code == 2


def test_rename(falcon: Falcon, talk: Saved, store: Store) -> None:
    assert falcon("sessions", "rename", "trip", "oslo").code == 0
    assert store.names() == ["oslo"]
    store.create("taken", "demo", None, {})
    assert falcon("sessions", "rename", "oslo", "taken").code == 2
    assert falcon("sessions", "rename", "nobody", "else").code == 5


def test_prune(falcon: Falcon, talk: Saved) -> None:
    assert json.loads(falcon("sessions", "prune", "--json").out) == {"removed": 0, "freed_bytes": 0, "left_bytes": 3_000_000}
    outcome = falcon("sessions", "prune", "--budget", "1.5MiB")
    assert outcome.out == "1 state removed, 2.9 MiB given back; 0 B of states left\n"
    assert falcon("sessions", "prune", "--budget", "much").code == 2


def test_sizes() -> None:
    assert [parse_size(text) for text in ("0", "12", "1k", "2 KiB", "1.5mb", "3GiB", "4 T", " 5B ")] == [
        0, 12, 1000, 2048, 1_500_000, 3 << 30, 4 * 10**12, 5,
    ]  # fmt: skip
    for text in ("", "-1", "GiB", "1 XB", "1e9", "0x10", "١", "9" * 40, "1..5", "nan"):
        with pytest.raises(InvalidRequest, match="is not a size"):
            parse_size(text)
    assert [shown_size(size) for size in (0, 1023, 1024, 3_000_000, 5 << 30)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "2.9 MiB",
        "5.0 GiB",
    ]


# ---- what can be wrong with the store ----


def test_a_damaged_store_is_told_once(falcon: Falcon, home: Path) -> None:
    home.mkdir()
    (home / "sessions.db").write_bytes(b"\xff" * 5000)
    outcome = falcon("sessions", "list")
    assert outcome.code == 0
    assert outcome.err.count("note: ") == 1
    assert "is now sessions-damaged-" in outcome.err
    assert "damaged" not in falcon("sessions", "list").err


def test_a_store_of_a_later_version_is_refused(falcon: Falcon, talk: Saved, store: Store) -> None:
    store._database.connection.execute("PRAGMA user_version = 99")
    for command in (["list"], ["show", "trip"], ["rm", "-y", "trip"]):
        outcome = falcon("sessions", *command)
        assert (outcome.code, outcome.out) == (5, "")
        assert "later version" in outcome.err


def test_a_store_that_cannot_be_made(falcon: Falcon, home: Path) -> None:
    home.touch()
    outcome = falcon("sessions", "prune")
    assert (outcome.code, outcome.out) == (74, "")
    assert "FALCON_HOME" in outcome.err


def test_help_tells_what_there_is(falcon: Falcon) -> None:
    out = falcon("sessions").out
    for command in ("list", "show", "export", "rm", "rename", "prune"):
        assert f"\n  {command} " in out
        assert falcon("sessions", command, "--help").code == 0
