"""Files of states: a cache with a budget, the places where conversations stand last."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from falcon_cli.store import Saved, Store
from modeling.errors import StateRefused
from modeling.turns import Turn

Said = Callable[..., Turn]


@pytest.fixture
def kept(store: Store, begun: Saved, said: Said) -> dict[str, Path]:
    """Four turns with states of 1,000 bytes, used in the order c, a, b, d; the conversation stands at c."""
    turns, paths = {}, {}
    turn = None
    for name in "abcd":
        turn = turns[name] = said(turn, name)
        store.add(begun, turn)
        paths[name] = store.path_for_state(begun, turn)
        paths[name].write_bytes(b"x" * 1000)
    for when, name in enumerate("cabd"):
        os.utime(paths[name], (when, 1_000_000 + when))
    store.move_head(begun, turns["c"])
    return paths


def left(paths: dict[str, Path]) -> str:
    return "".join(name for name, path in paths.items() if path.exists())


def test_states_are_listed_and_counted(store: Store, begun: Saved, kept: dict[str, Path]) -> None:
    states = store.states(begun)
    assert [state.path for state in states] == list(kept.values())
    assert [state.bytes for state in states] == [1000] * 4
    assert [state.used - 1_000_000 for state in states] == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("budget", "names"), [(4000, "abcd"), (3999, "bcd"), (2999, "cd"), (1999, "c"), (1000, "c"), (999, ""), (0, "")]
)
def test_the_longest_unused_go_first_and_the_head_last(budget: int, names: str, store: Store, kept: dict[str, Path]) -> None:
    pruned = store.prune(budget)
    assert left(kept) == names
    assert (pruned.files, pruned.freed, pruned.left) == (4 - len(names), 4000 - 1000 * len(names), 1000 * len(names))


def test_states_that_belong_to_nothing_go_at_once(store: Store, begun: Saved, kept: dict[str, Path], home: Path) -> None:
    other = store.create("other", "demo", None, {})
    folder = next(iter(kept.values())).parent
    orphans = [
        folder / "999.safetensors",
        folder.with_name("0" * 16) / "1.safetensors",
        folder.with_name(other.id) / "1.safetensors",
    ]
    for path in orphans:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"y")
    kept["b"].with_name(".2.safetensors.abcd.part").write_bytes(b"just begun")
    abandoned = kept["b"].with_name(".2.safetensors.ef01.part")
    abandoned.write_bytes(b"of a process that was killed")
    os.utime(abandoned, (0, 0))
    assert store.prune().files == 3
    assert left(kept) == "abcd"
    assert not any(path.exists() for path in (*orphans, abandoned, orphans[1].parent))
    assert kept["b"].with_name(".2.safetensors.abcd.part").exists()


def test_removing_a_session_removes_its_states(store: Store, begun: Saved, kept: dict[str, Path], home: Path) -> None:
    stranger = kept["a"].parent / "notes.txt"
    stranger.write_text("not falcon's")
    store.remove(begun)
    assert left(kept) == ""
    assert stranger.exists()


def test_a_link_is_not_followed(store: Store, begun: Saved, said: Said, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1.safetensors").write_bytes(b"x" * 10)
    turn = said(None)
    store.add(begun, turn)
    states = store.path_for_state(begun, turn).parent.parent
    (states / ("f" * 16)).symlink_to(tmp_path / "outside")
    target = tmp_path / "outside" / "target"
    target.write_bytes(b"x" * 10)
    store.path_for_state(begun, turn).symlink_to(target)
    store.prune(0)
    store.remove(begun)
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["1.safetensors", "target"]


def test_a_turn_that_is_not_kept_has_no_place(store: Store, begun: Saved, said: Said) -> None:
    with pytest.raises(StateRefused, match="not kept"):
        store.path_for_state(begun, said(None))


def test_the_place_of_a_state_is_the_same_for_who_comes_back(store: Store, begun: Saved, said: Said, home: Path) -> None:
    turn = said(None)
    store.add(begun, turn)
    with Store.open(home) as again:
        saved = again.find("trip")
        (found,) = again.load(saved).turns
        assert again.path_for_state(saved, found) == store.path_for_state(begun, turn)
