"""What the demo models are taught: the same for the same seed, whole, and apart from the questions that examine them."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from itertools import islice

import pytest

from scripts.demo.corpus import values
from scripts.demo.corpus.conversation import every_topic, turns
from scripts.demo.corpus.grammar import expand, lines, parse
from scripts.demo.evaluate import read_questions

CHATS, TURNS = 1500, 16
HELD_OUT = 8  # words in a row that no held-out question shares with the corpus


def conversations(family: str = "falcon_mamba", chats: int = CHATS) -> Iterator[tuple[str, str]]:
    for number in range(chats):
        yield from islice(turns(random.Random(f"test {number}"), family), TURNS)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + HELD_OUT]) for i in range(len(found) - HELD_OUT + 1)}


def test_patterns() -> None:
    draw = random.Random(0)
    assert {expand("(a|b) [c] {d}", draw, {"d": lambda _: "e"}) for _ in range(99)} == {"a e", "b e", "a c e", "b c e"}
    assert lines("  (a|\n    b)\n  c") == ("(a|b)", "c")
    for broken in ("(a", "a)", "[a", "(a]"):
        with pytest.raises(ValueError, match="unbalanced"):
            parse(broken)


def test_the_same_seed_makes_the_same_corpus() -> None:
    digests = {
        family: hashlib.sha256("\n".join(q + "\t" + a for q, a in conversations(family, 20)).encode()).hexdigest()[:12]
        for family in ("falcon_mamba", "falcon_h1")
    }
    assert digests == {"falcon_mamba": "a6557c2b3613", "falcon_h1": "a6557c2b3613"}


def test_every_pattern_of_every_topic_is_sound() -> None:
    for topic in every_topic():
        for pattern in (*topic.deeds, *topic.things, *topic.asks, *topic.situations):
            parse(pattern)
        assert topic.situations or topic.asks, topic.name
        assert all("`" in answer or len(answer) > 10 or answer == "{own}" for answer in topic.says), topic.name


def test_turns_are_clean() -> None:
    """Nothing of the machinery shows: no holes, brackets or empty messages."""
    for question, answer in conversations(chats=300):
        assert question.strip() and answer.strip()
        assert not set(question + answer) & set("\0\1{}|[]") or "`" in answer, (question, answer)


def test_invented_values_hardly_repeat() -> None:
    draw = random.Random(1)
    names = [values.name(draw) for _ in range(2000)]
    assert len(set(names)) > 1800


def test_held_out_questions_are_held_out() -> None:
    """No run of eight words and no whole question of the held-out ones occurs in a sample of the corpus.

    What is held out of a question of memory is the conversation and its values; "Where do I live?" at its end may be plain.
    """
    sample = [question for question, _ in conversations()]
    seen, whole = set().union(*map(runs, sample)), {" ".join(words(question)) for question in sample}
    questions = read_questions()
    shared = {question.id for question in questions if seen & set().union(*map(runs, question.turns))}
    equal = {question.id for question in questions if all(" ".join(words(turn)) in whole for turn in question.turns)}
    assert (shared, equal) == (set(), set())
