"""Rows end in any order and are written in that of the input: what is too early waits here, as long as there is room."""

from __future__ import annotations

from collections.abc import Callable

ROOM = 64 << 20  # bytes of answers that may wait behind one that takes its time
ROWS = 1 << 16


class Outbox:
    """Passes lines on in the order of their places 0, 1, 2, …, or as they come if not `ordered`.

    What is never passed on, because a place before it stays empty (Ctrl-C), was not answered: so the output is at any moment
    the beginning of what it will be, and --resume finds where to go on.
    """

    def __init__(self, write: Callable[[str], None], *, ordered: bool, room: int = ROOM) -> None:
        self._write = write
        self._ordered = ordered
        self._room = room
        self._held: dict[int, str] = {}
        self._next = 0

    def put(self, place: int, line: str) -> None:
        """A line is there. Raises what writing raises."""
        if not self._ordered:
            self._write(line)
            return
        self._held[place] = line
        self._room -= len(line)
        while self._next in self._held:
            early = self._held.pop(self._next)
            self._next += 1
            self._room += len(early)
            self._write(early)

    @property
    def full(self) -> bool:
        """Whether no more rows should begin before the one that the others wait for has ended."""
        return self._room <= 0 or len(self._held) >= ROWS
