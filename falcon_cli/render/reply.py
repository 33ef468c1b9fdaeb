"""One answer of the model, shown as it comes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Protocol, TextIO

from falcon_cli import console
from falcon_cli.color import Style, wanted
from falcon_cli.terminal import Guard
from falcon_cli.thinking import Kind
from modeling.errors import WriteFailed


class Reply(Protocol):
    """What shows an answer. `end` comes last, whatever happened before, and leaves the cursor at the beginning of a row."""

    def take(self, kind: Kind, text: str) -> None:
        """The next part of a thought or of the answer."""

    def end(self) -> None:
        """There is no more, or no more is wanted."""


class PlainReply:
    """The text itself: for pipes, for --no-markdown, and for terminals that cannot move the cursor (TERM=dumb).

    `terminal` says that the text must not control what it is written to. Thoughts are dim where there are colours.
    """

    def __init__(self, write: Callable[[str, Style | None], None] = console.write, *, terminal: bool = False) -> None:
        self._write = write
        self._guard = Guard() if terminal else None
        self._last = ""
        self._style: Style | None = None

    def take(self, kind: Kind, text: str) -> None:
        if self._guard is not None:
            text = self._guard.take(text)
        self._style = "dim" if kind == "thought" else None
        self._put(text)

    def end(self) -> None:
        if self._guard is not None:
            self._put(self._guard.end())
        if self._last != "\n":
            self._write("\n", None)

    def _put(self, text: str) -> None:
        if text:
            self._write(text, self._style)
            self._last = text[-1]


def reply_for(stream: TextIO, *, markdown: bool = True) -> Reply:
    """What shows an answer on standard output: Markdown on a terminal that can draw it, if wanted, else the text itself."""
    terminal = stream is not None and stream.isatty()
    if not (terminal and markdown and _draws()):
        return PlainReply(terminal=terminal)
    from falcon_cli.render.markdown import MarkdownReply

    def write(text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            console.abandon_stdout()
            raise WriteFailed(f"the terminal cannot be written: {error.strerror}", "was it closed?") from None

    return MarkdownReply(write, lambda: _size(stream), color=wanted(stream, console.manner.color))


def _draws() -> bool:
    """Whether the terminal can move its cursor. The old console of Windows shows the codes instead."""
    return os.environ.get("TERM") != "dumb" and (sys.platform != "win32" or "WT_SESSION" in os.environ or "TERM" in os.environ)


def _size(stream: TextIO) -> tuple[int, int]:
    """Columns and rows, asked anew each time: COLUMNS and LINES of the environment do not follow the window."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 0, 0
    return columns, rows
