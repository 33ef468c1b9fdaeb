"""The end of what is on the screen, which still changes, and what has become final above it.

    …                   │ settled: printed once, never touched again
    █the last rows      │ the tail: drawn again in place. Between two draws the cursor stands, hidden, at its beginning:
     of the answer,     │ however the terminal breaks the rows anew when its window changes, all that is to be
     still changing     │ erased stands behind the cursor, and nothing else does.

Each draw is one write, between the marks of a synchronized update, so that a terminal shows it at once. The tail is drawn with
automatic wrapping off: should the terminal take a character for wider than rich does, a row is cut off and not broken, and the
way back up is right nonetheless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_ERASE = "\x1b[J"  # from the cursor to the end of the screen
_RESET = "\x1b[0m"


class Tail:
    """Draws by `write`, which should write at once. The cursor must stand at the beginning of a row."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._rows: list[str] = []
        self._width = 0
        self._drawing = False

    def show(self, settled: Sequence[str], rows: Sequence[str], width: int) -> None:
        """Print what is settled, and the tail below it. The tail must be shorter than the screen.

        Rows that are there already are left alone, unless something goes up or the width has changed.
        """
        if not (settled or rows or self._rows):
            return
        same = 0
        if not settled and width == self._width:
            while same < min(len(rows), len(self._rows)) and rows[same] == self._rows[same]:
                same += 1
            if same == len(rows) == len(self._rows):
                return
        frame = [_BEGIN, "" if self._drawing else _HIDE, "\r", self._down(same), _ERASE]
        frame += [f"{row}\r\n" for row in settled]
        frame += [_NO_WRAP, "\r\n".join(rows[same:]), _WRAP]
        frame += [_move(same if same == len(rows) else len(rows) - 1, "A"), "\r", _END]
        self._rows, self._width, self._drawing = [*rows], width, True
        self._write("".join(frame))

    def end(self) -> None:
        """Give the terminal back as it was. Nothing may be left of the tail."""
        if self._drawing:
            self._drawing = False
            self._write(f"{_RESET}{_WRAP}{_SHOW}{_END}")

    def _down(self, same: int) -> str:
        """From the first row of the tail to the first one that changes, which may be a new one."""
        if same < len(self._rows) or not same:
            return _move(same, "B")
        return _move(same - 1, "B") + "\r\n"


def _move(rows: int, direction: str) -> str:
    return f"\x1b[{rows}{direction}" if rows > 0 else ""
