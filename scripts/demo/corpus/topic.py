"""One thing worth knowing: the many ways to ask for it, and the few to answer."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from scripts.demo.corpus import frames
from scripts.demo.corpus.grammar import lines, pick


@dataclass(frozen=True, slots=True)
class Topic:
    """Patterns of deeds ("leave the chat"), of things ("the /exit command") and of whole questions; and of answers."""

    name: str
    deeds: tuple[str, ...]
    things: tuple[str, ...]
    asks: tuple[str, ...]
    says: tuple[str, ...]
    situations: tuple[str, ...] = ()

    def with_situations(self, patterns: tuple[str, ...]) -> Topic:
        """The same with questions that come out of a situation."""
        return replace(self, situations=patterns)

    def question(self, draw: random.Random) -> str:
        """One of its questions. Deeds and things multiply with the frames; whole questions are as many as were written."""
        kinds = [("deeds", 5.0), ("things", 3.0), ("asks", 4.0), ("situations", 5.0)]
        kinds = [(kind, weight) for kind, weight in kinds if getattr(self, kind)]
        kind = draw.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
        text = pick(getattr(self, kind), draw)
        if kind == "deeds":
            return frames.deed(text, draw)
        return frames.thing(text, draw) if kind == "things" else frames.whole(text, draw)

    def answer(self, draw: random.Random) -> str:
        """One of its answers; the first is by far the most frequent, so that it is what a sure model says."""
        return self.says[0] if draw.random() < 0.75 else draw.choice(self.says)


def topic(name: str, *, do: str = "", it: str = "", ask: str = "", say: str) -> Topic:
    """A topic from blocks of lines: `do` verb phrases, `it` noun phrases, `ask` whole questions, `say` answers."""
    return Topic(name, lines(do), lines(it), lines(ask), lines(say))
