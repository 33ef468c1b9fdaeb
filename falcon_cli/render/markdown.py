"""An answer as Markdown on a terminal, while it is still coming.

    take ─▶ Guard ─▶ Blocks ─┬─ done ───▶ Page.finish ──┐
         (no control         │                          ├─▶ settled rows ─┐
          characters)        └─ open ─┬─▶ Page.settle ──┘                 ├─▶ Tail ─▶ one write
                                      └─▶ Page.preview ───▶ last rows ────┘

What is settled is printed once. What may still change is shown below it, as many of its last rows as the screen has but one.
It is drawn again with the next parts, not more often than an eye can see, nor so often that drawing takes more than its share
of the time. All that is drawn is bounded, too: the blocks go up line by line, so that an answer costs what its length costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.style import Style

from falcon_cli.render.blocks import Blocks
from falcon_cli.render.ink import Ink
from falcon_cli.render.page import Page
from falcon_cli.render.tail import Tail
from falcon_cli.terminal import Guard
from falcon_cli.thinking import Kind

SHORTEST_PAUSE = 1 / 30  # seconds between two draws
SHARE = 0.1  # of the time that drawing may take
_STYLES: dict[Kind, Style] = {"answer": Style(), "thought": Style(dim=True)}


class MarkdownReply:
    """Shows an answer by `write`, which must write its text at once and as it is; the cursor stands at the beginning of a row.

    `size` gives the columns and rows of the terminal; it is asked at each draw, so that nobody has to tell of a change.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        size: Callable[[], tuple[int, int]],
        *,
        color: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tail = Tail(write)
        self._size = size
        self._ink = Ink(color=color)
        self._clock = clock
        self._guard = Guard()
        self._kind: Kind | None = None
        self._waiting: list[str] = []  # text that is not yet drawn
        self._blocks = Blocks()
        self._page = Page(self._ink, Style())
        self._begun = False  # something is on the screen
        self._next_draw = 0.0

    def take(self, kind: Kind, text: str) -> None:
        """The next part of the answer, or of a thought: each is a document of its own, one below the other."""
        if kind != self._kind:
            self._settle_all()
            self._blocks, self._page = Blocks(follows=self._begun), Page(self._ink, _STYLES[kind])
            self._kind = kind
        self._waiting.append(self._guard.take(text))
        if (now := self._clock()) >= self._next_draw:
            self._draw()
            spent = self._clock() - now
            self._next_draw = now + spent + max(SHORTEST_PAUSE, spent * (1 / SHARE - 1))

    def end(self) -> None:
        """Print the rest. The cursor is left at the beginning of the row below, whatever came before: also an interrupt."""
        self._waiting.append(self._guard.end())
        self._settle_all()
        self._tail.end()

    def _draw(self) -> None:
        width, height = self._measure()
        settled = self._settled(width)
        rows = [row for leaf in self._blocks.preview() for row in self._page.preview(leaf, width, height)]
        self._tail.show(settled, rows[-(height - 1) :], width)

    def _settle_all(self) -> None:
        """Print what there is of the document in place of the tail."""
        width, _ = self._measure()
        settled = self._settled(width)
        self._blocks.end()
        self._tail.show(settled + self._settled(width), [], width)

    def _settled(self, width: int) -> list[str]:
        """The rows that nothing can change any more, with what has come since the last time."""
        text, self._waiting = "".join(self._waiting), []
        self._blocks.take(text)
        done, self._blocks.done = self._blocks.done, []
        rows = [row for leaf in done for row in self._page.finish(leaf, width)]
        if self._blocks.open is not None:
            rows += self._page.settle(self._blocks.open, width)
        self._begun = self._begun or bool(rows)
        return rows

    def _measure(self) -> tuple[int, int]:
        """Columns and rows of the terminal. One that does not know its size says 0."""
        width, height = self._size()
        return (width, max(2, height)) if width > 0 and height > 0 else (80, 24)
