"""Fenced blocks, as Markdown has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_OPENING = re.compile(r"^ {0,3}(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})[^\n]*\n?", re.MULTILINE)


def blocks(text: str) -> Iterator[str]:
    """The contents of the fenced blocks, each line with its newline. One that nothing closes goes to the end of the text."""
    place = 0
    while opening := _OPENING.search(text, place):
        fence = opening["fence"]
        closing = re.compile(rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
        end = closing.search(text, opening.end())
        yield text[opening.end() : end.start() if end else None]
        if end is None:
            return
        place = end.end()


def first_block(text: str) -> str | None:
    """The content of the first fenced block; None if there is none."""
    return next(blocks(text), None)
