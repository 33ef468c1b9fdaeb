"""The tail of the screen: drawn in place, and only as far as it has changed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from falcon_cli.render.tail import Tail


def test_any_tails_one_after_the_other(glass: Callable[..., Any]) -> None:
    """After each draw the screen shows what was settled and the tail, and the cursor stands between the two."""
    for seed in range(30):
        random = Random(seed)
        screen = glass(10, 6)
        tail = Tail(screen.write)
        settled: list[str] = []
        for _ in range(25):
            new = [random.choice("abc") * random.randint(1, 10) for _ in range(random.choice([0, 0, 0, 1, 2, 9]))]
            rows = [random.choice("ab") * random.choice([1, 10]) for _ in range(random.randint(0, 5))]
            tail.show(new, rows, 10)
            settled += new
            assert screen.texts() == settled + rows
            assert (screen.cursor.x, len(screen.above())) == (0, len(settled))
            assert screen.cursor.hidden or not settled
        tail.show([], [], 10)
        tail.end()
        assert screen.texts() == settled and not screen.cursor.hidden


def test_only_what_has_changed_is_written() -> None:
    written: list[str] = []
    tail = Tail(written.append)
    tail.show([], ["one", "two", "three"], 40)
    tail.show([], ["one", "two", "four"], 40)
    assert "four" in written[-1] and "one" not in written[-1] and "two" not in written[-1]
    tail.show([], ["one", "two", "four"], 40)
    assert len(written) == 2
    tail.show([], ["one", "two", "four"], 30)  # the terminal may have broken or cut them off
    assert "one" in written[-1] and len(written) == 3
    tail.show(["one"], ["two", "four"], 30)
    assert "one" in written[-1] and "two" in written[-1]


def test_a_character_that_the_terminal_takes_for_wider_does_not_move_the_tail(glass: Callable[..., Any]) -> None:
    screen = glass(10, 6)
    tail = Tail(screen.write)
    tail.show(["settled"], ["x" * 25, "y"], 10)
    tail.show([], ["x" * 26, "z"], 10)
    assert screen.texts() == ["settled", "x" * 10, "z"]
    tail.show(["x" * 25], [], 10)
    assert screen.texts() == ["settled", "x" * 10, "x" * 10, "x" * 5]
