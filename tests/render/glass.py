"""A terminal to look at: what it shows, what has scrolled off its top, and what becomes of it when its window changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyte
from pyte.screens import Char
from wcwidth import wcwidth

Row = tuple[Char, ...]
_APART = re.compile("([\u200b-\u200d\ufe00-\ufe0f])")  # of no width and no accent: pyte would drop what follows


class Glass(pyte.HistoryScreen):
    """A screen with all of its history. `reflows`: a row that a narrower window cannot hold goes on in the next one."""

    def __init__(self, width: int, height: int, *, reflows: bool = False) -> None:
        super().__init__(width, height, history=1_000_000)
        self.reflows = reflows
        self._gone: list[Row] = []  # what has scrolled off the top does not change
        self._stream = pyte.Stream(self)

    def write(self, text: str) -> None:
        self._stream.feed(text)

    def draw(self, data: str) -> None:
        for part in _APART.split(data):
            if not _APART.match(part):
                super().draw(part)
            elif self.cursor.x:
                line = self.buffer[self.cursor.y]
                place = next(x for x in range(self.cursor.x - 1, -1, -1) if line[x].data)
                line[place] = line[place]._replace(data=line[place].data + part)

    @property
    def size(self) -> tuple[int, int]:
        return self.columns, self.lines

    def rows(self) -> list[Row]:
        """All rows, with their attributes, but without what is blank at their ends and below them."""
        found = [*self.above(), *(self._row(self.buffer[y]) for y in range(self.cursor.y, self.lines))]
        while found and not found[-1]:
            found.pop()
        return found

    def above(self) -> list[Row]:
        """The rows above the cursor."""
        top = self.history.top
        self._gone += [self._row(top[at]) for at in range(len(self._gone), len(top))]
        return [*self._gone, *(self._row(self.buffer[y]) for y in range(self.cursor.y))]

    def texts(self) -> list[str]:
        return ["".join(char.data for char in row) for row in self.rows()]

    def turn(self, width: int, height: int) -> None:
        """Change the size of the window as terminals do: what is too much goes up, as long as the cursor stays in sight."""
        lines = [self._row(line) for line in (*self.history.top, *(self.buffer[y] for y in range(self.lines)))]
        cursor = len(self.history.top) + self.cursor.y
        pieces = [list(_pieces(row, width)) if self.reflows else [row[:width]] for row in lines]
        cursor = sum(len(piece) for piece in pieces[:cursor])
        lines = [row for piece in pieces for row in piece]
        while len(lines) > cursor + 1 and not lines[-1]:
            lines.pop()
        top = min(max(0, len(lines) - height), cursor)
        hidden = self.cursor.hidden
        self.reset()
        self._gone.clear()
        self.lines, self.columns = height, width
        self.history.top.extend(self._line(row) for row in lines[:top])
        for y, row in enumerate(lines[top : top + height]):
            self.buffer[y] = self._line(row)
        self.cursor.x, self.cursor.y, self.cursor.hidden = 0, cursor - top, hidden

    def _line(self, row: Row) -> Any:
        line = pyte.screens.StaticDefaultDict[int, Char](self.default_char)
        line.update(enumerate(row))
        return line

    def _row(self, line: Any) -> Row:
        row = [line[x] for x in range(self.columns)]
        while row and row[-1] == self.default_char:
            row.pop()
        return tuple(row)


def _pieces(row: Row, width: int) -> Iterator[Row]:
    piece: list[Char] = []
    for char in row:
        if len(piece) + (wcwidth(char.data[0]) if char.data else 0) > width:
            yield tuple(piece)
            piece = []
        piece.append(char)
    yield tuple(piece)
