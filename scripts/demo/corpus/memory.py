"""The memory of a conversation: what the user tells, asks for later, corrects, or never told; and what was said before."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from scripts.demo.corpus import words
from scripts.demo.corpus.facts import PET, Fact, any_fact
from scripts.demo.corpus.grammar import lines, pick
from scripts.demo.corpus.noise import roughen
from scripts.demo.corpus.values import name

Turn = tuple[str, str]
HOLE, SECOND = "\0", "\1"  # stand for values while a sentence is roughened

FIRST_SAID = lines("""
    what did I say first?
    what was (my first|the first) (message|question|sentence|thing I said|line|input|utterance|words) [to you|in this
      chat|]?
    what (did I ask|have I asked|did I write|did I type|did I tell you) (first|at first|first of all|at the beginning|at
      the start|to begin with)?
    (what was|repeat|tell me|quote|do you remember|show me|say) the first thing I (said|wrote|asked|typed|told you)[?]
    how did (I|this conversation|our chat|this chat|I open this chat) (start|begin)?
    with what did I (start|begin|open) [this chat|the conversation|]?
    (repeat|quote|tell me|say|give me) my first (message|question|sentence|words)
    what were my (first|very first) words?
    which (question|message) (came|was) first?
""")
LAST_SAID = lines("""
    what was my (last|previous|latest) (question|message|sentence|input|line|thing|request|utterance)?
    what did I (say|ask|write|type|tell you) (just now|last|before|a moment ago|right before this|just before|in my last
      message|previously|in the previous turn)?
    what (did I just|have I just) (say|ask|write|said|asked|written|tell you)?
    (repeat|quote|tell me|say|give me) my (last|previous) (message|question|sentence|words)
    (what was|tell me|repeat|quote) the last thing I (said|asked|wrote|told you)[?]
    (do you remember|do you know|can you repeat) (my last question|what I just said|what I just asked|my last message|my
      previous question)?
""")


@dataclass
class Memory:
    """One conversation's facts, as the user told them, and what is still to be asked."""

    told: dict[str, tuple[Fact, str]] = field(default_factory=dict)
    pet: tuple[str, str] | None = None
    said: list[str] = field(default_factory=list)
    due: list[tuple[int, str]] = field(default_factory=list)  # (turn, key of the fact) to ask for

    def plan(self, key: str, draw: random.Random) -> None:
        """Ask for what was just told, once or twice, some turns later."""
        now = len(self.said)
        for _ in range(draw.choice((1, 1, 2))):
            self.due.append((now + draw.choice((1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 10, 13)), key))

    def next_due(self) -> str | None:
        """What is to be asked for now, if anything."""
        for i, (turn, key) in enumerate(self.due):
            if turn <= len(self.said):
                del self.due[i]
                return key
        return None


def _filled(text: str, value: str, second: str = "") -> str:
    return text.replace(HOLE, value).replace(SECOND, second)


def _phrase(patterns: tuple[str, ...], draw: random.Random, kind: str = "", *, ends: bool = False) -> str:
    text = pick(patterns, draw, {"v": lambda _: HOLE, "k": lambda _: kind or SECOND})
    return roughen(text, draw, ends=ends)


BEFORE_TELLING = lines("""
    (by the way|just so you know|listen|oh|also|and|well|one thing|another thing|something about me|to tell you more|
      actually|you know),
    (I want you to know|I should say|I should mention|let me tell you|you may want to know|I'd like to tell you|remember|
      note|please note|
     please remember|keep in mind|don't forget|bear in mind|make a note|for later|for your records|know) that
    (here is something about me|a fact about me|something to remember|please remember this|remember this|note this|
      memorize this):
    (hi|hello|hey|good morning|good evening)[ there|],
""")
AFTER_TELLING = lines("""
    , (remember that|please remember it|keep that in mind|don't forget it|just so you know|you know|by the way|for your
      information)
    , (and I like it|I think|as it happens|as you may guess|believe it or not|for what it's worth|that's how it is)
    . (Remember that|Please remember it|Keep that in mind|Don't forget|I will ask you later|Note that|Got it|Can you
      remember that)[?|.]
    . (How are you|Nice day today|I hope you are well|That is all|It makes me happy|I am proud of it|What do you think)[?|.]
""")


def _told(text: str, value: str, second: str, draw: random.Random) -> str:
    """A telling with its value in it, and mostly a full stop."""
    if draw.random() < 0.15:
        text = f"{pick(BEFORE_TELLING, draw)} {text}"
    end = draw.random()
    after = pick(AFTER_TELLING, draw) if end < 0.08 else "." if end < 0.6 else "!" if end < 0.66 else ""
    return _filled(text, value, second) + (" " if after[:1].isalpha() else "") + after


def tell(memory: Memory, draw: random.Random) -> Turn:
    """The user tells a fact, new or corrected, or two at once."""
    kind = draw.random()
    if kind < 0.13:
        return _tell_pet(memory, draw)
    if kind < 0.33:
        return _tell_several(memory, draw)
    key, fact = any_fact(draw)
    if memory.told and draw.random() < 0.3:
        key = draw.choice(list(memory.told))
        fact = memory.told[key][0]
    value = fact.value(draw)
    again = key in memory.told
    patterns = fact.corrections if again and draw.random() < 0.8 else fact.tells
    memory.told[key] = (fact, value)
    memory.plan(key, draw)
    return _told(_phrase(patterns, draw), value, "", draw), fact.noted.replace("{v}", value)


def _tell_several(memory: Memory, draw: random.Random) -> Turn:
    found = dict(any_fact(draw) for _ in range(draw.choice((2, 2, 3))))
    parts: list[str] = []
    noted: list[str] = []
    for key, fact in found.items():
        value = fact.value(draw)
        memory.told[key] = (fact, value)
        memory.plan(key, draw)
        parts.append(_filled(pick(fact.short, draw, {"v": lambda _: HOLE}), value))
        answer = fact.answer.replace("{v}", value)
        noted.append(answer if not noted else answer[0].lower() + answer[1:])
    text = ", ".join(parts[:-1]) + draw.choice((" and ", ", and ", ", ", ". ")) + parts[-1] if len(parts) > 1 else parts[0]
    if draw.random() < 0.2:
        text = draw.choice(("hi, ", "hello, ", "remember: ", "please remember that ", "hey, ", "for your information, ")) + text
    text = text[0].upper() + text[1:] if draw.random() < 0.6 else text
    reply = noted[0][:-1] + ", and " + ", and ".join(note[:-1] for note in noted[1:]) + "." if len(noted) > 1 else noted[0]
    return text + draw.choice((".", ".", "", "!")), "I will remember it. " + reply


def _tell_pet(memory: Memory, draw: random.Random) -> Turn:
    kind, called = draw.choice(words.ANIMALS), name(draw)
    again = memory.pet is not None
    if memory.pet is not None and draw.random() < 0.6:
        kind = memory.pet[0]
    memory.pet = (kind, called)
    memory.plan("pet", draw)
    text = _told(_phrase(PET.corrections if again else PET.tells, draw), called, kind, draw)
    return text, f"I will remember that your {kind} is called {called}."


def ask(memory: Memory, key: str, draw: random.Random) -> Turn:
    """The user asks for a fact that was told."""
    if key == "pet" and memory.pet is not None:
        kind, called = memory.pet
        patterns = PET.asks_name if draw.random() < 0.6 else PET.asks_kind
        return _filled(_phrase(patterns, draw, ends=True), called, kind), f"Your {kind} is called {called}."
    fact, value = memory.told[key]
    if len(memory.told) > 1 and draw.random() < 0.1:
        return _ask_two(memory, key, draw)
    return _phrase(fact.asks, draw, ends=True), fact.answer.replace("{v}", value)


def _ask_two(memory: Memory, key: str, draw: random.Random) -> Turn:
    other = draw.choice([name for name in memory.told if name != key])
    asks, answers = [], []
    for fact, value in (memory.told[key], memory.told[other]):
        asks.append(pick(fact.asks, draw).rstrip("?. "))
        answers.append(fact.answer.replace("{v}", value).rstrip("."))
    text = roughen(f"{asks[0]} and {asks[1]}?", draw)
    return text, f"{answers[0]}, and {answers[1][0].lower()}{answers[1][1:]}."


def ask_unknown(memory: Memory, draw: random.Random) -> Turn | None:
    """The user asks for what was never told."""
    if memory.pet is None and draw.random() < 0.15:
        kind = draw.choice(words.ANIMALS)
        return _filled(_phrase(PET.asks_name, draw, ends=True), kind, kind), "You have not told me about a pet."
    key, fact = any_fact(draw)
    if key in memory.told:
        return None
    return _phrase(fact.asks, draw, ends=True), fact.missing


def quote(memory: Memory, draw: random.Random) -> Turn | None:
    """The user asks what he said first or last; short turns only are quoted."""
    if not memory.said:
        return roughen(pick(FIRST_SAID, draw), draw), "This is the first thing you say."
    first = draw.random() < 0.5
    text = memory.said[0 if first else -1]
    if len(text.split()) > 14 or '"' in text:
        return None
    if first:
        return roughen(pick(FIRST_SAID, draw), draw), f'You first said: "{text}"'
    return roughen(pick(LAST_SAID, draw), draw), f'You said: "{text}"'
