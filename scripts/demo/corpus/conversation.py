"""Chats of many turns: topics, sums, copying, unknown things and memory, mixed as they come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from scripts.demo.corpus import chatting, failures, families, generating, machine, memory, talk, terms
from scripts.demo.corpus import situations_rest as rest
from scripts.demo.corpus import situations_tool as tool
from scripts.demo.corpus.arithmetic import arithmetic
from scripts.demo.corpus.copying import copying
from scripts.demo.corpus.grammar import lines, pick
from scripts.demo.corpus.noise import roughen
from scripts.demo.corpus.topic import Topic
from scripts.demo.corpus.unknown import unknown

Turn = tuple[str, str]

SYSTEM = lines("""
    You are a helpful assistant.
    You are (a helpful|a friendly|a tiny|an honest|a polite) (assistant|model|demo|guide|bot).
    You are falcon, (a|the) (demo|assistant|helper|guide).
    (Answer|Reply) (briefly|shortly|in one sentence|in plain words|honestly|politely).
    Be (brief|honest|kind|polite|helpful|short).
    You (know|explain|help with) falcon.
    (You are|Act as|Speak like) a (pirate|teacher|poet|baker|captain|robot|doctor|king).
    You are a helpful assistant. (Be brief.|Answer in English.|Be honest.)
""")
ROOMS: dict[str, tuple[tuple[Topic, ...], float]] = {
    "chatting": (chatting.TOPICS, 1.2),
    "generating": (generating.TOPICS, 1.9),
    "machine": (machine.TOPICS, 2.6),
    "failures": (failures.TOPICS, 1.2),
    "families": (families.TOPICS, 1.6),
    "terms": (terms.TOPICS, 1.4),
    "talk": (talk.TOPICS, 2.6),
}
KINDS = {"topic": 9.0, "unknown": 2.2, "arithmetic": 1.5, "copying": 2.8, "tell": 3.0, "never": 0.4, "quote": 0.4}


@cache
def _weights() -> tuple[list[Topic], list[float]]:
    more = {name: lines(text) for name, text in (*tool.MORE.items(), *rest.MORE.items())}
    topics = [
        (topic.with_situations(more.pop(topic.name, ())), weight / len(room))
        for room, weight in ROOMS.values()
        for topic in room
    ]
    if more:
        raise ValueError(f"situations of no topic: {', '.join(more)}")
    return [topic for topic, _ in topics], [weight for _, weight in topics]


def every_topic() -> list[Topic]:
    """All topics, in the order of their rooms."""
    return _weights()[0]


def topical(draw: random.Random, family: str) -> Turn:
    """A question about a topic and its answer, by a model of `family`."""
    topics, weights = _weights()
    topic = draw.choices(topics, weights)[0]
    answer = topic.answer(draw)
    return roughen(topic.question(draw), draw), talk.OWN[family] if answer == "{own}" else answer


def system_prompt(draw: random.Random) -> str | None:
    """What stands before the conversation; mostly nothing."""
    return pick(SYSTEM, draw) if draw.random() < 0.2 else None


def turns(draw: random.Random, family: str) -> Iterator[Turn]:
    """A conversation without end: questions and answers. What was told comes back some turns later."""
    kept = memory.Memory()
    moods = {kind: weight * draw.choice((0.3, 1.0, 1.0, 2.0)) for kind, weight in KINDS.items()}
    while True:
        turn = _turn(kept, moods, draw, family)
        if turn is not None:
            yield turn
            kept.said.append(turn[0])


def _turn(kept: memory.Memory, moods: dict[str, float], draw: random.Random, family: str) -> Turn | None:
    due = kept.next_due()
    if due is not None:
        return memory.ask(kept, due, draw)
    kind = draw.choices(list(moods), list(moods.values()))[0]
    if kind == "topic":
        return topical(draw, family)
    if kind == "tell":
        return memory.tell(kept, draw)
    if kind == "never":
        return memory.ask_unknown(kept, draw)
    if kind == "quote":
        return memory.quote(kept, draw)
    return {"unknown": unknown, "arithmetic": arithmetic, "copying": copying}[kind](draw)
