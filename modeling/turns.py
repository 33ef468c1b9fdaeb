"""A conversation as it is kept: a tree of turns, none of which ever changes. Standard library only.

    Turn ◄── Turn ◄── Turn          each knows the one it followed; where the conversation stands is one of them, the head
      ▲        ▲
      │        └───── Turn          another answer, or another question at the same place
      └────────────── Turn

A turn holds what its transcript adds to that of its parent, so that the exact ids of a whole conversation can be had again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from modeling.messages import FinishReason, Message, SamplingParams, Stats


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a transcript: text and its ids. A "reply" keeps its sampled ids and is never encoded again."""

    kind: Literal["template", "content", "reply"]
    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A question and its answer, and the turn that they followed (None: they begin the conversation).

    `system` is the system prompt in force. The transcript is the first `kept` segments of the parent's, then `segments`, of
    which the last is the reply. `stop` is what ended the answer: a stop string, or the id of the token by which the model did.
    `created` is in seconds since 1970.
    """

    parent: Turn | None
    system: str | None
    user: str
    reply: str
    kept: int
    segments: tuple[Segment, ...]
    reason: FinishReason
    stop: str | int | None
    sampling: SamplingParams
    stats: Stats
    created: float

    def path(self) -> list[Turn]:
        """The turns of the conversation that ends here, the first one first."""
        return list(self._upwards())[::-1]

    def messages(self) -> list[Message]:
        """What was said up to here, without a system prompt."""
        return [message for turn in self.path() for message in (Message("user", turn.user), Message("assistant", turn.reply))]

    def transcript(self) -> list[Segment]:
        """All segments up to here, as they were fed or drawn."""
        whole: list[Segment] = []
        for turn in self.path():
            whole[turn.kept :] = turn.segments
        return whole

    def text_only(self, parent: Turn | None) -> Turn:
        """The same behind `parent`, without ids: for another tokenizer or template, which will make its own."""
        return replace(self, parent=parent, kept=0, segments=())

    def _upwards(self) -> Iterator[Turn]:
        turn: Turn | None = self
        while turn is not None:
            yield turn
            turn = turn.parent
