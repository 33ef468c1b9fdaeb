"""States are found by their ids, deepest first; what is forgotten is what was not used for longest, the pinned one never."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from modeling.generation.snapshots import Snapshots, digest


@dataclass(eq=False)
class Saved:
    length: int
    nbytes: int = 10


def test_the_deepest_proper_prefix_is_found() -> None:
    shelf = Snapshots(1000)
    states = [Saved(length) for length in (1, 3, 5)]
    for state in states:
        shelf.add([1, 2, 3, 4, 5], state)
    assert shelf.deepest([1, 2, 3, 4, 5, 6]) is states[2]
    assert shelf.deepest([1, 2, 3, 4, 5]) is states[1]  # one id must be left to feed
    assert shelf.deepest([1, 2, 3, 9, 9, 9]) is states[1]
    assert shelf.deepest([1, 9, 3, 4]) is states[0]
    assert shelf.deepest([1, 2, 3, 4, 5], left=0) is states[2] and shelf.deepest([1, 2, 3, 4, 5], left=3) is states[0]
    assert shelf.deepest([9, 2, 3, 4]) is None and shelf.deepest([]) is None


def test_an_empty_state_is_the_record_of_nothing() -> None:
    shelf = Snapshots(1000)
    shelf.add([], empty := Saved(0))
    assert shelf.deepest([4]) is empty


@pytest.mark.parametrize("seed", range(20))
def test_found_as_by_comparing_ids_one_by_one(seed: int) -> None:
    draw = random.Random(seed)
    shelf, kept = Snapshots(10**9), {}
    for _ in range(60):
        ids = tuple(draw.randrange(2) for _ in range(draw.randrange(9)))
        kept[ids] = Saved(len(ids))
        shelf.add((*ids, 7, 7), kept[ids])
        wanted = tuple(draw.randrange(2) for _ in range(draw.randrange(10)))
        prefixes = [wanted[:length] for length in range(len(wanted)) if wanted[:length] in kept]
        assert shelf.deepest(wanted) is (kept[prefixes[-1]] if prefixes else None)


def test_the_least_recently_used_goes_first_and_the_newest_never() -> None:
    shelf = Snapshots(30)
    for first in (1, 2, 3):
        shelf.add([first], Saved(1))
    shelf.deepest([1, 0])
    shelf.add([4], Saved(1))
    assert [shelf.deepest([first, 0]) is not None for first in (1, 2, 3, 4)] == [True, False, True, True]
    shelf.add([5], big := Saved(1, 1000))
    assert shelf.deepest([5, 0]) is big and len(shelf) == 1


def test_only_the_latest_pinned_state_is_safe() -> None:
    shelf = Snapshots(20)
    shelf.add([1], Saved(1), pinned=True)
    shelf.add([2], Saved(1), pinned=True)
    for first in range(3, 9):
        shelf.add([first], Saved(1))
    assert shelf.deepest([1, 0]) is None and shelf.deepest([2, 0]) is not None
    assert shelf.nbytes <= 20


def test_room_is_made_by_halves() -> None:
    shelf = Snapshots(1000)
    for first in range(8):
        shelf.add([first], Saved(1))
    kept = shelf.deepest([0, 0])
    counts = [len(shelf)]
    while shelf.forget_half(kept):
        counts.append(len(shelf))
    assert counts == [8, 4, 2, 1] and shelf.deepest([0, 0]) is kept


def test_a_digest_names_the_ids() -> None:
    assert digest([1, 2]) == digest((1, 2)) != digest([2, 1]) != digest([1, 2, 0])
    assert len(digest([])) == 32
