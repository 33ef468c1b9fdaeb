"""Stop strings: found wherever the text is cut, shown text never contains one, nothing is held back without need."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.generation.stopping import StopMatcher


def read(stops: list[str], pieces: list[str]) -> tuple[str, str | None]:
    """Everything shown, and the stop string that ended it."""
    matcher, shown = StopMatcher(stops), ""
    for piece in pieces:
        text, stop = matcher.push(piece)
        shown += text
        if stop is not None:
            return shown, stop
    return shown + matcher.flush(), None


def definition(stops: list[str], text: str) -> tuple[str, str | None]:
    """The shortest beginning of the text that ends with a stop string is cut before the longest such one."""
    for end in range(len(text) + 1):
        endings = [stop for stop in stops if text[:end].endswith(stop)]
        if endings:
            longest = max(endings, key=len)
            return text[: end - len(longest)], longest
    return text, None


@pytest.mark.parametrize(
    "stops, text, expected",
    [
        (["END"], "to the END of it", ("to the ", "END")),
        (["aab"], "aaab", ("a", "aab")),
        (["abab", "bac"], "ababac", ("", "abab")),
        (["abcd", "bc"], "abcd", ("a", "bc")),
        (["b", "ab", "xab"], "zxab", ("z", "xab")),
        (["\n\n"], "one\n two\n", ("one\n two\n", None)),
        (["🦅"], "a🦅b", ("a", "🦅")),
        ([], "anything", ("anything", None)),
    ],
)
def test_examples(stops: list[str], text: str, expected: tuple[str, str | None]) -> None:
    assert read(stops, [text]) == expected
    assert read(stops, list(text)) == expected


few_letters = st.text("ab", min_size=1, max_size=5)


@given(st.lists(few_letters, max_size=4), st.lists(st.text("abc", max_size=6), max_size=8))
def test_equals_the_definition_for_any_cut(stops: list[str], pieces: list[str]) -> None:
    assert read(stops, pieces) == definition(stops, "".join(pieces))


@given(st.lists(few_letters, min_size=1, max_size=4), st.text("abc", max_size=20))
def test_holds_back_exactly_what_may_become_a_stop_string(stops: list[str], text: str) -> None:
    matcher, shown = StopMatcher(stops), ""
    for end, character in enumerate(text, 1):
        more, stop = matcher.push(character)
        shown += more
        if stop is not None:
            return
        held = max(n for n in range(end + 1) if any(stop[:n] == text[end - n : end] and n < len(stop) for stop in stops))
        assert shown == text[: end - held]


def test_long_repetitive_text_is_linear() -> None:
    """A stop string of 20,000 characters against its own near misses: quadratic work would take minutes."""
    stop = "a" * 20_000 + "b"
    pieces = ["a" * random.Random(0).randrange(1, 9) for _ in range(30_000)]
    shown, stopped = read([stop], [*pieces, "b"])
    assert stopped == stop and set(shown) == {"a"}
