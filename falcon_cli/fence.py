"""Fenced blocks, as Markdown has them."""

from __future__ import annotations

import re

_OPENING = re.compile(r"^ {0,3}(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})[^\n]*\n?", re.MULTILINE)


def first_block(text: str) -> str | None:
    """The content of the first fenced block, each line with its newline; to the end of the text if nothing closes it.

    None if there is no fenced block.
    """
    opening = _OPENING.search(text)
    if opening is None:
        return None
    fence = opening["fence"]
    closing = re.compile(rf"^ {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
    end = closing.search(text, opening.end())
    return text[opening.end() : end.start() if end else None]
