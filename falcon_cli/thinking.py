"""What a model thinks aloud, told apart from what it answers while the text is still coming."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from modeling.messages import Finished, Token

Kind = Literal["thought", "answer"]
OPEN, CLOSE = "<think>", "</think>"


class Thinking:
    """Sorts the text of one reply: a thought only stands at its beginning, between <think> and </think>.

    `opened` says that the prompt ended with <think>. The tags belong to the thought. What may yet become a tag is held back.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self._inside: bool | None = True if opened else None  # None: nothing but white space yet
        self._held = ""
        self._thought = opened

    def take(self, event: Token | Finished) -> Iterator[tuple[Kind, str]]:
        """The text of the next event of a reply, sorted; with the last one, what was held back."""
        yield from self.feed(event.text)
        if isinstance(event, Finished):
            yield from self.end()

    def feed(self, text: str) -> Iterator[tuple[Kind, str]]:
        """The next part of the reply, sorted."""
        self._held += text
        if self._inside is None:
            start = self._held.lstrip()
            if OPEN.startswith(start):  # also while there is nothing but white space
                return
            self._inside = self._thought = start.startswith(OPEN)
        if self._inside:
            yield from self._think()
        elif self._held:
            yield self._let_go("answer", len(self._held))

    def end(self) -> Iterator[tuple[Kind, str]]:
        """What was held back when the reply ended."""
        if self._held:
            yield self._let_go("thought" if self._inside else "answer", len(self._held))

    def _think(self) -> Iterator[tuple[Kind, str]]:
        end = self._held.find(CLOSE)
        if end >= 0:
            rest = self._held[end + len(CLOSE) :]
            if not rest.lstrip():
                return  # the white space behind the tag is no answer
            yield self._let_go("thought", len(self._held) - len(rest.lstrip()))
            self._inside = False
            yield self._let_go("answer", len(self._held))
        elif (safe := len(self._held) - _overlap(self._held, CLOSE)) > 0:
            yield self._let_go("thought", safe)

    def _let_go(self, kind: Kind, length: int) -> tuple[Kind, str]:
        text, self._held = self._held[:length], self._held[length:]
        return kind, text


def _overlap(text: str, tag: str) -> int:
    """How much of the end of `text` may be the beginning of `tag`."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
