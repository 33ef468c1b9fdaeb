"""Two processes on one session, step by step: whoever was overtaken goes on as a branch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from falcon_cli.store import Saved, Store
from modeling.turns import Turn

Said = Callable[..., Turn]


def test_the_one_who_was_overtaken_is_told_once_and_stays_on_its_branch(store: Store, begun: Saved, said: Said) -> None:
    root = said(None)
    store.add(begun, root)
    other = store.find("trip")
    mine = store.load(other).head
    ahead = said(root, "ahead")
    assert store.add(begun, ahead) is None
    behind = said(mine, "behind")
    assert store.add(other, behind) == "parallel-1"
    assert other.branch == "parallel-1"
    assert store.add(other, later := said(behind, "later")) is None
    assert store.add(begun, said(ahead, "further")) is None
    turns, head, branches = store.load(store.find("trip"))
    assert [turn.user for turn in turns] == ["why?", "ahead", "behind", "later", "further"]
    assert head is turns[4]
    assert branches == {"parallel-1": turns[3]}
    store.move_head(other, behind)  # undo on the branch: the head is not touched
    assert store.load(store.find("trip")).branches["parallel-1"].user == "behind"
    assert store.add(other, said(behind, "instead")) is None
    store.move_head(other, None)  # back to the beginning: the branch stays, another begins
    assert store.add(other, said(None, "anew")) == "parallel-2"
    turns, head, branches = store.load(store.find("trip"))
    assert {name: turn.user for name, turn in branches.items()} == {"parallel-1": "instead", "parallel-2": "anew"}
    assert head is not None
    assert head.user == "further"
    assert later.user in [turn.user for turn in turns]


def test_an_undo_does_not_take_the_head_from_another_process(store: Store, begun: Saved, said: Said) -> None:
    root = said(None)
    store.add(begun, root)
    other = store.find("trip")
    store.load(other)
    store.add(begun, said(root, "ahead"))
    store.move_head(other, None)
    _, head, branches = store.load(store.find("trip"))
    assert head is not None
    assert (head.user, branches) == ("ahead", {})
    store.set_system(other, "mine alone")
    assert store.find("trip").system == "be kind"
    assert store.add(other, said(None, "mine")) == "parallel-1"


def test_a_branch_that_was_taken_by_a_name_is_left(store: Store, begun: Saved, said: Said) -> None:
    root = said(None)
    store.add(begun, root)
    other = store.find("trip")
    mine = store.load(other).head
    store.add(begun, said(root))
    assert store.add(other, said(mine, "mine")) == "parallel-1"
    store.name_branch(begun, "parallel-1", root)
    assert store.add(other, said(mine, "again")) == "parallel-2"


def test_sessions_that_begin_at_once_have_names_of_their_own(home: Path) -> None:
    def begin() -> None:
        with Store.open(home) as store:
            for _ in range(10):
                names.append(store.create(None, "demo", None, {}).name)

    names: list[str] = []
    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 40


def test_loading_again_follows_the_head_again(store: Store, begun: Saved, said: Said) -> None:
    other = store.find("trip")
    store.add(begun, said(None))
    store.add(other, said(None, "apart"))
    assert other.branch is not None
    head = store.load(other).head
    assert other.branch is None
    assert store.add(other, said(head, "together")) is None
    assert store.load(begun).head is not None


def test_what_could_not_be_kept_at_first_is_kept_with_the_next_turn(store: Store, begun: Saved, said: Said) -> None:
    first = said(None)
    store.add(begun, first)
    missed = said(first, "missed")
    assert store.add(begun, said(said(missed, "missed, too"), "last")) is None
    turns, head, _ = store.load(begun)
    assert [turn.user for turn in turns] == ["why?", "missed", "missed, too", "last"]
    assert head is not None
    assert len(head.path()) == 4
    assert len(head.transcript()) == 16
